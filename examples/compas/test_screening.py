"""What is known of a person at a screening, each on a handful of events."""

from __future__ import annotations

from typing import Any

from screening import bookings, criminal_record, protected, register

from backstay.testing import features_at

EVENING = "2013-05-02T00:00-04:00"
"""The end of the day on which they were screened."""
RECORD = {"person": "p1", "priors": 4, "juvenile_felonies": 1, "juvenile_misdemeanors": 0, "juvenile_other": 2}


def booked(at: str, felony: bool, person: str = "p1") -> dict[str, Any]:
    return {"event_time": at, "person": person, "felony": felony}


def test_a_booking_after_the_screening_is_not_known() -> None:
    events = {bookings: [booked("2013-05-01T03:00-04:00", False), booked("2013-05-02T01:00-04:00", True)]}
    assert features_at(criminal_record, EVENING, events, **RECORD)["person_felony"] is False
    none = features_at(criminal_record, EVENING, {bookings: events[bookings][1:]}, **RECORD)
    assert (none["person_felony"], none.statuses["person_felony"]) == (None, "MISSING")


def test_a_booking_is_not_carried_over_for_long() -> None:
    old = features_at(criminal_record, EVENING, {bookings: [booked("2013-01-01T03:00-05:00", True)]}, **RECORD)
    assert (old["person_felony"], old.statuses["person_felony"]) == (None, "EXPIRED")


def test_the_record_is_counted() -> None:
    got = features_at(criminal_record, EVENING, {}, **RECORD)
    assert (got["priors_root"], got["juvenile"]) == (2.0, 3)


def test_what_people_are_grouped_by_is_apart() -> None:
    known = {"person": "p1", "race": "Other", "sex": "Female", "age_band": "over 45"}
    got = features_at(protected, EVENING, {register: [{"event_time": "2013-05-01T00:00-04:00", **known}]}, person="p1")
    assert got == {"person_race": "Other", "person_sex": "Female", "person_age_band": "over 45"}
    assert not {"race", "sex", "age"} & {word for name in criminal_record.vector for word in name.split("_")}
    assert "protected" not in criminal_record.tags
