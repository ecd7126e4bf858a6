"""The features of a flight, each on a handful of events: how a project tests its own definitions."""

from __future__ import annotations

from backstay.testing import features_at
from features import flight_features, landings, weather

NOON = "2013-05-01T12:00-04:00"
FLIGHT = {
    "carrier": "UA",
    "origin": "EWR",
    "dest": "SFO",
    "tailnum": "N1",
    "scheduled_departure": "2013-05-01T14:30-04:00",
    "distance": 2565.0,
}


def landed(at: str, delay: float | None, **other: str) -> dict[str, object]:
    return {"event_time": f"2013-05-01T{at}-04:00", **FLIGHT_KEYS, **other, "arr_delay": delay}


FLIGHT_KEYS = {name: FLIGHT[name] for name in ("carrier", "origin", "dest", "tailnum")}


def test_only_what_has_landed_counts() -> None:
    events = {landings: [landed("10:00", 40.0), landed("11:59", 20.0), landed("12:00", 500.0)]}
    got = features_at(flight_features, NOON, events, **FLIGHT)
    assert (got["carrier_delay_3h"], got["carrier_late_3h"], got["tailnum_last_arrival_delay"]) == (30.0, 0.5, 20.0)


def test_routes_are_pairs() -> None:
    events = {landings: [landed("10:00", 40.0, dest="LAX"), landed("11:00", 10.0)]}
    got = features_at(flight_features, NOON, events, **FLIGHT)
    assert (got["route_delay_1d"], got["origin_delay_1d"]) == (10.0, 25.0)


def test_the_hour_is_new_yorks() -> None:
    got = features_at(flight_features, NOON, {}, **FLIGHT)
    assert (got["hour"], got["weekday"]) == (14.5, 3)
    assert got.statuses["carrier_delay_3h"] == "MISSING"


def test_weather_expires() -> None:
    storm = {"event_time": "2013-05-01T10:00-04:00", "origin": "EWR", "temp": 50.0}
    assert features_at(flight_features, NOON, {weather: [storm]}, **FLIGHT)["origin_temp"] == 50.0
    later = features_at(flight_features, "2013-05-01T13:01-04:00", {weather: [storm]}, **FLIGHT)
    assert (later["origin_temp"], later.statuses["origin_temp"]) == (None, "EXPIRED")
