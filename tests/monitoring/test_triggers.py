"""What makes a training due, and what forbids it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backstay.core.errors import DefinitionError
from backstay.core.times import DAY
from backstay.definitions import IncidentPolicy, Monitor, RetrainPolicy
from backstay.evaluation.drift import References
from backstay.evaluation.states import State
from backstay.monitoring.assess import Found
from backstay.monitoring.data import columns, freshness, volumes
from backstay.monitoring.grouping import Looked, fold
from backstay.monitoring.incidents import Incident, acknowledge, resolve
from backstay.monitoring.signals import Signal
from backstay.monitoring.tally import Tally
from backstay.monitoring.triggers import Blocked, Evidence, Trigger, due

EVERY = RetrainPolicy(
    every="30d", retrain_on=("cadence", "psi", "estimated", "realised", "volume"), rows=500, cooldown="2d"
)


def signal(kind: str, effect: float = 0.3, state: str = "DRIFT", day: int = 9) -> Signal:
    return Signal(kind, "distance", state, effect, 0.1, day * DAY, (day * DAY, (day + 1) * DAY))


def asked(*signals: Signal, now: int = 10, rows: int = 0, newest: int = 0, more: list[Incident] | None = None) -> (
    Evidence
):  # fmt: skip
    return Evidence(now * DAY, newest * DAY, signals, 7, more or [], lambda: rows)


def reason(policy: RetrainPolicy, seen: Evidence) -> str | None:
    found = due(policy, seen)
    assert not isinstance(found, Blocked)
    return None if found is None else found.reason


def test_each_reason_and_the_weightiest_first() -> None:
    assert reason(EVERY, asked()) is None
    assert reason(EVERY, asked(now=30)) == "cadence"
    assert reason(EVERY, asked(rows=500)) == "volume"
    assert reason(EVERY, asked(signal("input_drift", 0.2))) == "psi"
    assert reason(EVERY, asked(signal("estimated_loss"))) == "estimated"
    assert reason(EVERY, asked(signal("realised_loss"))) == "realised"
    found = due(EVERY, asked(signal("input_drift"), signal("realised_loss"), now=40, rows=600))
    assert isinstance(found, Trigger)
    assert (found.reason, found.also) == ("realised", ("psi", "volume", "cadence"))
    assert found.said == "realised: distance 0.3, tolerated 0.1"
    assert found.evidence["monitor"] == 7
    assert found.evidence["signals"][0]["since"] == "1970-01-10T00:00:00Z"


def test_what_is_too_little_old_or_over_makes_nothing_due() -> None:
    assert reason(EVERY, asked(signal("input_drift", 0.19))) is None
    assert reason(EVERY, asked(signal("realised_loss", state="OK"))) is None
    assert reason(EVERY, asked(signal("score_drift"), signal("skew"))) is None
    assert reason(EVERY, asked(rows=499)) is None
    # The newest version was trained on this very window, or is too young for another.
    assert reason(replace(EVERY, cooldown="0s"), asked(signal("realised_loss"), newest=10)) is None
    assert reason(EVERY, asked(signal("realised_loss"), newest=9)) is None


def test_by_default_input_drift_trains_nothing() -> None:
    by_default = RetrainPolicy(every="30d", cooldown="0s")
    assert reason(by_default, asked(signal("input_drift", 5.0))) is None
    assert reason(by_default, asked(signal("estimated_loss"))) == "estimated"
    assert reason(RetrainPolicy(retrain_on="psi"), asked(signal("input_drift"), now=300)) == "psi"
    assert reason(RetrainPolicy(retrain_on="psi"), asked(now=300)) is None  # no cadence


def opened(*signals: Signal) -> Incident:
    (one,) = fold("late", [], Looked((9 * DAY, 10 * DAY), signals), {}, IncidentPolicy())
    return one


def test_nothing_is_learned_from_corrupt_data() -> None:
    bad = opened(signal("data_quality"), signal("input_drift"), signal("realised_loss"))
    for each in (bad, acknowledge(bad, "ann")):
        for seen in (asked(now=40, more=[each]), asked(signal("realised_loss"), more=[each])):
            found = due(EVERY, seen)
            assert isinstance(found, Blocked)
            assert f"while data are bad: incident 1 ({each.text}). It goes on once it is over" in found.why
            assert found.incidents == (1,)
    assert due(EVERY, asked(more=[bad])) is None  # nothing is due
    assert reason(EVERY, asked(now=40, more=[resolve(bad, "ann", 10 * DAY, "mended")])) == "cadence"
    # One window is in order, and may have been one that tells little: until the incident is over nothing is learned.
    (sound,) = fold("late", [bad], Looked((10 * DAY, 11 * DAY), (
        replace(signal("data_quality", 0.0, "OK", 10)), signal("input_drift", day=10),
    )), {}, IncidentPolicy())  # fmt: skip
    assert sound.active
    assert isinstance(due(EVERY, asked(now=40, more=[sound])), Blocked)
    # It was resolved, and what came of it goes on: that can be learned from.
    over = resolve(sound, "ann", 11 * DAY, "the feed was mended")
    on = Looked((11 * DAY, 12 * DAY), (signal("input_drift", day=11),))
    (again,) = fold("late", [over], on, {}, IncidentPolicy())
    assert (again.active, len(again.members)) == (True, 3)
    assert reason(EVERY, asked(now=40, more=[again])) == "cadence"
    assert reason(EVERY, asked(now=40, more=[opened(signal("input_drift"))])) == "cadence"


def test_all_incidents_that_forbid_a_training_are_told_the_dearest_first() -> None:
    costs = (1.0, None, 7.0, 2.0, 3.0)
    several = [
        replace(opened(replace(signal("data_quality"), cost=cost)), number=number)
        for number, cost in enumerate(costs, 1)
    ]
    found = due(EVERY, asked(now=40, more=several))
    assert isinstance(found, Blocked)
    assert found.incidents == (3, 5, 4, 1, 2)
    assert [f"incident {number} (" in found.why for number in found.incidents] == [True, True, True, False, False]
    assert ") and 2 more. It goes on once all are over" in found.why


def rows_of(found: Found) -> Signal:
    """The signal of a finding in the window of day 9."""
    return replace(signal("data_quality"), what=found.what, evidence=found.evidence)


def test_only_values_that_are_wrong_stop_a_training() -> None:
    trained = References.of({"channel": ["web", "desk"] * 500, "size": [1.0, 2.0] * 500})
    rule = Monitor()

    def block(channel: list[str | None], size: list[float]) -> bool:
        counted = Tally(len(channel), trained.count({"channel": channel, "size": size}))
        (found,) = [one for one in columns(trained, counted, rule) if one.state is State.DRIFT]
        return isinstance(due(EVERY, asked(now=40, more=[opened(rows_of(found))])), Blocked)

    sizes = [1.0, 2.0] * 200
    assert not block(["web", "app"] * 200, sizes)  # a new word is how the world is now
    assert block(["web", None] * 200, sizes)
    assert block(["web", "desk"] * 200, [one * 100 for one in sizes])
    for found in (volumes(3, [1000] * 40, rule), freshness({"weather": (9 * DAY, DAY)}, rule.data)[0]):
        assert found.state is State.DRIFT
        assert not isinstance(due(EVERY, asked(now=40, more=[opened(rows_of(found))])), Blocked)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"retrain_on": "drift"}, "retrain_on='drift'"),
        ({"retrain_on": ("volume",)}, "rows=None"),
        ({"rows": 5}, "rows=5"),
        ({"psi": 0.0}, "psi 0.0"),
        ({"cooldown": "soon"}, "'soon' is not a duration"),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(Exception, match=said.replace("(", r"\(")) as caught:
        RetrainPolicy(**given)  # type: ignore[arg-type]
    assert isinstance(caught.value, DefinitionError) or "duration" in said


@pytest.mark.parametrize("given", [{"clean": 0}, {"runbook": "see the wiki"}])
def test_incidents_that_make_no_sense_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(DefinitionError):
        IncidentPolicy(**given)  # type: ignore[arg-type]
