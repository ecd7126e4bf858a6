"""Incidents: one a cause; how they are graded, ranked, grow, end and come back; and what people may do with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from backstay.core.errors import InputError, RefusedError
from backstay.core.times import DAY
from backstay.definitions import IncidentPolicy
from backstay.monitoring.grouping import Looked, Origins, changed, fold
from backstay.monitoring.incidents import (
    Incident,
    acknowledge,
    own,
    ranked,
    resolve,
    snooze,
    spent,
    woken,
)
from backstay.monitoring.signals import Signal

POLICY = IncidentPolicy(owner="risk", runbook={"skew": "https://wiki/skew"}, clean=3, silent="5d", grace="7d")
ORIGINS: Origins = {
    **{f"wind{place}": frozenset({"weather"}) for place in range(5)},
    **{f"delay{place}": frozenset({"landings"}) for place in range(5)},
    "ratio": frozenset({"weather", "landings"}),
    "distance": frozenset({"the caller"}),
}


def signal(
    what: str, kind: str = "input_drift", *, day: int = 0, since: int | None = None, effect: float = 0.3,
    state: str = "DRIFT", cost: float | None = None,
) -> Signal:  # fmt: skip
    began = (day if since is None else since) * DAY
    return Signal(kind, what, state, effect, 0.1, began, (day * DAY, (day + 1) * DAY), cost=cost)


def clean(what: str, kind: str = "input_drift", *, day: int, effect: float = 0.01) -> Signal:
    return signal(what, kind, day=day, state="OK", effect=effect)


def after(incidents: Sequence[Incident], day: int, *signals: Signal, policy: IncidentPolicy = POLICY) -> list[Incident]:
    window = Looked((day * DAY, (day + 1) * DAY), signals, entry=day + 1)
    out = fold("late", incidents, window, ORIGINS, policy)
    # A window that is seen again, after a kill, changes nothing.
    assert fold("late", out, window, ORIGINS, policy) == out
    return out


def test_fifty_features_at_once_are_one_incident() -> None:
    many = [signal(f"column{place}", effect=0.2 + place / 100) for place in range(50)]
    (one,) = after([], 0, *many)
    assert (one.cause, one.severity, len(one.members), one.worst.what) == ("input_drift", "input_drift", 50, "column49")
    assert "column49 0.69, tolerated 0.1, and 49 more" in one.text


def test_skew_drift_scores_and_loss_of_one_window_are_one_incident() -> None:
    kinds = ("realised_loss", "score_drift", "skew", "input_drift")
    (one,) = after([], 0, *(signal("wind1" if "s" in kind[:2] and kind == "skew" else kind, kind) for kind in kinds))
    assert (one.cause, one.severity, one.owner, one.runbook) == (
        "skew", "realised_loss", "risk", "https://wiki/skew",
    )  # fmt: skip
    assert one.text.endswith("it has come to realised loss")


def test_two_causes_are_two_incidents_and_each_gets_its_own() -> None:
    first = after([], 0, signal("wind0"), signal("wind1"))
    both = after(first, 20, signal("delay0", day=20), signal("wind0", day=20))
    assert [sorted(one.origins) for one in both] == [["weather"], ["landings"]]
    grown = after(both, 21, signal("wind2", day=21), signal("delay3", day=21))
    assert [len(one.members) for one in grown] == [3, 2]
    assert [one.event for one in grown] == ["grew", "grew"]
    # The scores move: the incident that began next to it is its cause.
    scored = after(grown, 22, signal("score", "score_drift", day=22))
    assert [one.severity for one in scored] == ["input_drift", "score_drift"]


def test_a_derived_feature_joins_what_it_is_made_of() -> None:
    there = after([], 0, signal("delay0"))
    assert [len(one.members) for one in after(there, 30, signal("ratio", day=30))] == [2]


def test_bad_data_are_not_hidden_by_a_drift_that_has_been_going_on() -> None:
    """Somebody has acknowledged the drift; that values are null today in the same column must be told."""
    there = [acknowledge(after([], 0, signal("wind0"), signal("score", "score_drift"))[0], "ann")]
    found = after(there, 30, signal("wind0", day=30), signal("wind0", "data_quality", day=30))
    assert [(one.state, one.cause) for one in found] == [("acknowledged", "input_drift"), ("open", "data_quality")]
    # What comes of it goes to it, and not to the old one.
    more = after(found, 31, signal("wind1", day=31), signal("wind0", "skew", day=31))
    assert [len(one.members) for one in more] == [2, 3]
    # Where both begin together they are one, in whatever order they are found.
    late = after(after([], 0, signal("wind0")), 1, signal("wind0", "data_quality", day=1))
    assert [(one.cause, len(one.members)) for one in late] == [("data_quality", 2)]


def test_what_began_before_an_incident_is_not_caused_by_it() -> None:
    there = after([], 20, signal("wind0", day=20))
    found = after(there, 21, signal("log_loss", "realised_loss", day=21, since=3))
    assert [one.cause for one in found] == ["input_drift", "realised_loss"]


def test_what_begins_after_an_incident_is_clean_is_not_caused_by_it() -> None:
    policy = IncidentPolicy(clean=30)
    there = after(after([], 0, signal("wind0"), policy=policy), 1, clean("wind0", day=1), policy=policy)
    soon = after(there, 2, signal("log_loss", "realised_loss", day=2), policy=policy)
    late = after(there, 9, signal("log_loss", "realised_loss", day=9), policy=policy)
    assert (len(soon), len(late)) == (1, 2)
    assert there[0].active


def test_rules_about_data_may_name_a_source_or_a_column_of_it() -> None:
    there = after([], 0, signal("freshness of weather", "data_quality"))
    found = after(there, 20, signal("wind3", day=20), signal("weather.speed", "data_quality", day=20))
    assert [(one.cause, len(one.members)) for one in found] == [("data_quality", 3)]


def test_it_ends_by_itself_after_clean_windows_and_comes_back_within_its_grace() -> None:
    there = after([], 0, signal("wind0"))
    for day in (1, 2, 3):
        assert there[0].active
        there = after(there, day, clean("wind0", day=day))
    assert (there[0].state, there[0].event, there[0].ended) == ("resolved", "ended", 4 * DAY)
    again = after(there, 8, signal("wind0", day=8))
    assert [(one.number, one.state, one.event, one.reopened) for one in again] == [(1, "open", "reopened", 1)]
    late = after(there, 30, signal("wind0", day=30))
    assert [(one.number, one.state) for one in late] == [(1, "resolved"), (2, "open")]


def test_what_was_told_to_be_clean_once_is_clean_until_it_is_named_again_where_anybody_asked() -> None:
    there = after(after([], 0, signal("wind0")), 1, clean("wind0", day=1))
    for day in range(2, 6):  # nobody asks anything, but for less long than `silent`
        window = Looked((day * DAY, (day + 1) * DAY), (), entry=day + 1, rows=0)
        there = fold("late", there, window, ORIGINS, POLICY)
    assert (there[0].active, there[0].clean) == (True, 1)
    assert [one.state for one in after(after(there, 9), 10)] == ["resolved"]


def test_what_comes_beside_one_that_comes_back_is_of_it() -> None:
    there = after([], 0, signal("log_loss", "realised_loss"))
    over = [resolve(there[0], "ann", DAY, "a new version is on its way")]
    found = after(
        over, 1, signal("auc", "realised_loss", day=1, since=0), signal("log_loss", "realised_loss", day=1, since=0)
    )
    assert [(one.event, len(one.members)) for one in found] == [("reopened", 2)]


def test_silence_is_no_clean_window_until_it_has_lasted() -> None:
    there, ended = after([], 0, signal("wind0")), None
    for day in range(1, 12):
        there = after(there, day)
        if ended is None and not there[0].active:
            ended = day
    assert ended == 7  # five days of silence, the fifth of which is the first of three that count


def test_what_is_over_is_told_of_no_more() -> None:
    loss, drift = ("log_loss", "realised_loss"), ("wind0", "input_drift")
    there = after([], 0, signal(*drift, cost=1.0), signal(*loss, cost=50.0))
    there = after(there, 1, signal(*drift, day=1, since=0, cost=1.0), clean(*loss, day=1))
    (one,) = there
    assert (one.severity, one.reached, one.cost, "realised" in one.text) == ("input_drift", "realised_loss", 1.0, False)
    flapping = after(there, 2, signal(*loss, day=2), signal(*drift, day=2, since=0))
    assert ([each.severity for each in flapping], changed(there, flapping)) == (["realised_loss"], [])
    for day in (2, 3, 4):
        there = after(there, day, clean(*drift, day=day), clean(*loss, day=day))
    (over,) = there
    assert (over.state, over.severity, over.cost) == ("resolved", "realised_loss", 50.0)
    # It comes back by its drift alone: that is what it is now, and what it costs begins anew.
    (back,) = after([replace(over, before=({"at": 0},))], 9, signal(*drift, day=9, cost=1.0))
    assert (back.event, back.severity, back.cause, back.before) == ("reopened", "input_drift", "input_drift", ())
    assert (back.onset, spent(back, 10 * DAY), "realised" in back.text) == (9 * DAY, 1.0, False)
    (worse,) = after([back], 10, signal(*drift, day=10, since=9), signal(*loss, day=10))
    assert (worse.event, worse.severity, worse.onset) == ("worsened", "realised_loss", 9 * DAY)


def test_where_nobody_asks_any_more_it_ends_too() -> None:
    there, ended = after([], 0, signal("wind0", "data_quality")), None
    for day in range(1, 12):
        there = fold("late", there, Looked((day * DAY, (day + 1) * DAY), (), day + 1, rows=0), ORIGINS, POLICY)
        if ended is None and not there[0].active:
            ended = day
    assert ended == 7


def test_what_a_person_accepts_is_no_news_until_another_version_answers() -> None:
    word = {"evidence": {"corrupts": False}}

    def window(day: int, version: int | None, *signals: Signal) -> Looked:
        return Looked((day * DAY, (day + 1) * DAY), signals, day + 1, version=version)

    def told(day: int, **more: object) -> Signal:
        return replace(signal("channel", "data_quality", day=day), **{**word, **more})  # type: ignore[arg-type]

    there = fold("late", [], window(0, 3, told(0)), ORIGINS, POLICY)
    there = [resolve(there[0], "ann", DAY + 1000, "a new channel", accept=3)]
    for day in range(2, 60):
        assert fold("late", there, window(day, 3, told(day)), ORIGINS, POLICY) == there
    nulls = told(5, evidence={"corrupts": True})
    assert fold("late", there, window(5, 3, nulls), ORIGINS, POLICY)[0].event == "reopened"
    assert fold("late", there, window(5, 4, told(5)), ORIGINS, POLICY)[0].event == "reopened"
    # Something else brings the incident back: what was accepted stays accepted.
    (back,) = fold("late", there, window(5, 3, told(5), signal("channel", "skew", day=5)), ORIGINS, POLICY)
    assert (back.event, back.members[0].clean, back.members[0].accepted) == ("reopened", True, 3)
    assert Incident.from_dict(back.as_dict()) == back


def test_a_flapping_signal_is_one_incident() -> None:
    rng = np.random.default_rng(5)
    there: list[Incident] = []
    entries = 0
    for day in range(365):
        found = signal("wind0", day=day) if rng.random() < 0.4 else clean("wind0", day=day)
        following = after(there, day, found)
        entries += len(changed(there, following))
        there = following
    assert len(there) == 1
    assert entries < 60  # it is told when it ends and comes back, and not each day


def test_false_signals_make_fewer_incidents_than_there_are() -> None:
    """Fifty false signals in a year that have nothing to do with each other: those close in time are one."""
    rng = np.random.default_rng(11)
    starts = np.sort(rng.integers(0, 365, 50))
    there: list[Incident] = []
    for day in range(365):
        told = [signal(f"c{place}", day=day) for place, start in enumerate(starts) if start <= day < start + 2]
        told += [clean(f"c{place}", day=day) for place, start in enumerate(starts) if start + 2 <= day < start + 6]
        there = after(there, day, *told)
    assert 5 <= len(there) <= 40


def test_a_person_acknowledges_snoozes_and_resolves() -> None:
    (one,) = after([], 0, signal("wind0"))
    seen = acknowledge(replace(one, owner=""), "ann", "looking")
    assert (seen.state, seen.owner, seen.who, seen.why) == ("acknowledged", "ann", "ann", "looking")
    assert own(seen, "ann", "weather team").owner == "weather team"
    later = snooze(seen, "ann", 9 * DAY, 2 * DAY)
    assert woken(later, 8 * DAY) is later
    assert (woken(later, 9 * DAY).state, woken(later, 9 * DAY).event) == ("open", "woke")
    with pytest.raises(InputError, match="has passed"):
        snooze(seen, "ann", DAY, 2 * DAY)
    with pytest.raises(InputError, match="no reason"):
        resolve(seen, "ann", 3 * DAY, " ")
    with pytest.raises(InputError, match="no name"):
        own(seen, "ann", "")
    over = resolve(seen, "ann", 3 * DAY, "the feed was mended")
    with pytest.raises(RefusedError, match="it is resolved: the feed was mended"):
        acknowledge(over, "bob")


def test_what_a_window_says_of_the_time_before_a_person_resolved_it_opens_nothing() -> None:
    there = after([], 0, signal("wind0"))
    over = [resolve(there[0], "ann", DAY + 1000, "mended")]
    assert after(over, 1, signal("wind0", day=1)) == over  # it began before
    assert [one.state for one in after(over, 2, signal("wind0", day=2))] == ["open"]


def test_a_snoozed_one_wakes_when_it_gets_worse() -> None:
    there = after([], 0, signal("wind0"))
    quiet = [snooze(there[0], "ann", 30 * DAY, DAY)]
    assert after(quiet, 1, signal("wind0", day=1), signal("wind1", day=1))[0].state == "snoozed"
    worse = after(quiet, 1, signal("score", "score_drift", day=1))
    assert (worse[0].state, worse[0].event, worse[0].until) == ("open", "worsened", None)
    told = [acknowledge(there[0], "ann")]
    assert after(told, 1, signal("score", "score_drift", day=1))[0].state == "open"  # it was acknowledged at less


def test_they_are_ranked_by_what_they_cost() -> None:
    there = after([], 0, signal("wind0", cost=5.0), signal("wind1", cost=9.0))
    there = after(there, 20, signal("delay0", day=20, cost=20.0))
    there = after(there, 40, signal("distance", "skew", day=40))
    assert [(one.number, one.cost) for one in ranked(there)] == [(2, 20.0), (1, 9.0), (3, None)]
    assert spent(there[0], 10 * DAY) == 90.0
    assert spent(there[2], 50 * DAY) is None
    assert ranked([snooze(there[1], "ann", 60 * DAY, 41 * DAY), there[2]])[0].number == 3


def test_it_reads_back_what_it_wrote() -> None:
    (one,) = after([], 0, signal("wind0", cost=2.0), signal("score", "score_drift"))
    one = replace(one, before=({"kind": "alias", "at": 3},))
    assert Incident.from_dict(one.as_dict()) == one


def test_of_windows_seen_again_after_a_kill_nothing_is_opened_twice() -> None:
    """Two groups in one window, and only the first was written: the next look opens the second alone."""
    window = Looked((0, DAY), (signal("wind0", since=-20), signal("delay0")), entry=1)
    both = fold("late", [], window, ORIGINS, POLICY)
    assert len(both) == 2
    assert fold("late", both[:1], window, ORIGINS, POLICY) == both


def test_whatever_comes_each_signal_is_of_one_incident_and_none_is_forgotten() -> None:
    """Random windows and random people: what is wrong is of one active incident, or of one that a person resolved."""
    kinds = ("data_quality", "skew", "input_drift", "score_drift", "estimated_loss", "realised_loss")
    for seed in range(20):
        rng = np.random.default_rng(seed)
        there: list[Incident] = []
        for day in range(40):
            names = rng.choice([*ORIGINS, "volume", "score"], rng.integers(0, 4), replace=False)
            told = [
                signal(str(name), str(rng.choice(kinds)), day=day, since=max(0, day - int(rng.integers(0, 9))))
                for name in names
            ]
            on = {member.key for one in there if one.active for member in one.members if not member.clean}
            quiet = [key for key in on if key not in {(one.kind, one.what) for one in told} and rng.random() < 0.5]
            told += [clean(what, kind, day=day) for kind, what in quiet]
            there = after(there, day, *told)
            assert [one.number for one in there] == [*range(1, len(there) + 1)]
            for each in (one for one in told if one.state == "DRIFT"):
                homes = [
                    one
                    for one in there
                    for member in one.members
                    if member.key == (each.kind, each.what) and member.last == (day + 1) * DAY and not member.clean
                ]
                resolved = [one for one in there if not one.active and (each.kind, each.what) in one.keys]
                assert len(homes) == 1 or (not homes and resolved), (seed, day, each)
            for place, one in enumerate(there):
                if one.active and rng.random() < 0.05:
                    there[place] = resolve(one, "ann", (day + 1) * DAY + int(rng.integers(0, DAY)), "done")
