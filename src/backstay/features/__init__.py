"""Features in numbers: the window kernel, the row engine, training sets, online lookup and push, label joins, parity.

A *feature value* is computed from the events visible at T (event_time < T and known_time <= T) and from nothing else.
There is one implementation: `history` (what happened to an entity, ready to be asked at any T), `views` (windowed and
latest features from a history) and `rows` (request-time and derived features) serve training sets, the server and
parity alike. `backfill` and `online` keep histories where a server can read them in microseconds.
"""
