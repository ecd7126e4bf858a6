"""The request path: one transport-neutral core (parse, features, predict, log, answer) and a thin HTTP shell.

A *prediction* is acknowledged only once its record has been written. Requests that are in flight together share one
feature lookup, one expression evaluation and one write; a lone request waits for nobody.
"""
