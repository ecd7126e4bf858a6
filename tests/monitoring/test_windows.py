"""The pure parts of monitors: windows, rows as columns, what is kept, and what a look hands on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from backstay import Count, Entity, EventSource, FeatureSet, Monitor, Request, Windowed
from backstay.core.times import DAY, HOUR
from backstay.evaluation.drift import Counted, References
from backstay.evaluation.states import State
from backstay.evaluation.unlabelled import ScoredReference
from backstay.monitoring.assess import Found, drifts
from backstay.monitoring.data import columns, freshness, volumes
from backstay.monitoring.estimates import NO_LONGER, Expected, estimated, grid, joined, losses, scores_of, vague
from backstay.monitoring.kept import Kept
from backstay.monitoring.looks import Carried, after
from backstay.monitoring.rows import in_order, rows_of, watched_features
from backstay.monitoring.signals import DATA_QUALITY, ESTIMATED_LOSS, INPUT_DRIFT, REALISED_LOSS, SKEW, Signal
from backstay.monitoring.tally import Known, Tally
from backstay.monitoring.windows import Window, closed
from backstay.storage.predictions import Prediction

pays = EventSource("pays", schema={"a": "string", "id": "string", "x": "float"})
FEATURES = FeatureSet(
    "f",
    [
        Windowed(pays, by=Entity("a"), over="1h", n=Count()),
        Request(amount="float", channel="string", due="datetime"),
    ],
)
POLICY = Monitor(minimum_rows=20)


def prediction(place: int, **more: Any) -> Prediction:
    told: dict[str, Any] = {
        "route": "champion",
        "values": [place % 5, place / 3, "web", place],
        "statuses": b"\0\0\0\0",
    }
    told |= more
    return Prediction(
        f"p{place}", place * HOUR, place * HOUR, "m", "v" * 64, told["route"], 1.0, FEATURES.hash,
        {"a": f"a{place % 7}"}, {}, {}, told["values"], told["statuses"], 0.25, False,
        degraded=told.get("degraded", ""), given=told.get("given", False),
    )  # fmt: skip


def found(state: State, effect: float | None = 0.3, kind: str = INPUT_DRIFT, what: str = "x") -> Found:
    return Found(kind, what, state, effect, 0.1, "so it is")


def day(number: int) -> Window:
    return Window(number * DAY, (number + 1) * DAY)


def look(carried: Carried, number: int, *told: Found, rows: int = 100) -> tuple[Carried, tuple[Signal, ...]]:
    return after(carried, day(number), told, POLICY, rows=rows, detectors={})


def test_windows_begin_at_multiples_of_their_length_and_are_over() -> None:
    assert [one.start for one in closed(HOUR, 1, 3 * HOUR + 1)] == [HOUR, 2 * HOUR]
    assert list(closed(DAY, 0, DAY - 1)) == []
    assert Window.of(DAY + 5, DAY) == day(1)
    assert str(Window(HOUR, 2 * HOUR)) == "1970-01-01T01:00:00Z"


def test_rows_are_columns_as_the_model_got_them() -> None:
    names = watched_features(FEATURES)
    assert "due" not in names
    rows = rows_of([prediction(place) for place in range(10)], FEATURES, names)
    assert rows.features["amount"].dtype == np.float32
    assert rows.features["channel"] == ["web"] * 10
    assert len(set(rows.entity.tolist())) == 7
    broken = rows_of([prediction(1, values=[1, "much", "web", 1])], FEATURES, names)
    assert broken.features["amount"] == ["much"]
    stale = rows_of([prediction(1, degraded="last_known", statuses=b"\4\0\0\0")], FEATURES, names)
    assert stale.standins == {names[0]: 1}
    given = rows_of([prediction(1, given=True)], FEATURES, names)
    assert "channel" not in given.features


def test_tallies_of_parts_are_the_tally_of_the_whole_and_survive_being_written_down() -> None:
    names = watched_features(FEATURES)
    told = [prediction(place) for place in range(400)]
    rows = rows_of(told, FEATURES, names)
    known = Known(References.of(dict(rows.features)), References.of({"score": rows.score}))
    parts = [known.tally(rows_of(told[start : start + 100], FEATURES, names)) for start in range(0, 400, 100)]
    whole, summed = known.tally(rows), parts[0] + parts[1] + parts[2] + parts[3]
    assert summed.rows == whole.rows == 400
    assert {name: one.cells.tolist() for name, one in summed.features.items()} == {
        name: one.cells.tolist() for name, one in whole.features.items()
    }
    assert summed.scores == whole.scores
    assert Tally.from_dict(summed.as_dict()).as_dict() == summed.as_dict()


def test_rows_of_one_moment_are_counted_alike_whichever_was_written_first() -> None:
    """A replay asks of a whole slice at once; which answer is written first is a matter of threads."""
    names = watched_features(FEATURES)
    told = [
        structs.replace(prediction(place), at=place // 50 * HOUR, keys={"a": f"a{place}"}, score=place / 400)
        for place in range(400)
    ]
    told += [structs.replace(one, id=f"{one.id}g", given=True, keys={}) for one in told[:90]]
    rows = rows_of(told[:400], FEATURES, names)
    known = Known(References.of(dict(rows.features)), References.of({"score": rows.score}))
    shuffled = [told[place] for place in np.random.default_rng(1).permutation(len(told))]
    first, second = in_order(told), in_order(shuffled)
    assert [one.id for one in first] == [one.id for one in second]
    assert [one.at for one in first] == sorted(one.at for one in told)
    counted = [
        known.tally(rows_of(in_order(one for one in some if not one.given), FEATURES, names)).as_dict()
        for some in (told, shuffled)
    ]
    assert counted[0] == counted[1]


def test_what_is_kept_by_another_rule_or_damaged_is_not_there(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "windows")
    assert kept.get("m", day(1), "rule") is None
    kept.put("m", day(1), "rule", {"rows": 8})
    assert kept.get("m", day(1), "rule") == {"rows": 8}
    assert kept.get("m", day(1), "other") is None
    assert kept.get("n", day(1), "rule") is None
    (file,) = (tmp_path / "windows" / "m").iterdir()
    file.write_bytes(file.read_bytes()[:-4])
    assert kept.get("m", day(1), "rule") is None
    (tmp_path / "file").write_text("")
    Kept(tmp_path / "file").put("m", day(1), "rule", {})  # no folder: it keeps nothing, and stops nobody


def test_a_signal_takes_two_of_three_windows_and_goes_as_slowly() -> None:
    carried, signals = look(Carried(), 0, found(State.DRIFT))
    assert signals == ()
    carried, signals = look(carried, 1, found(State.DRIFT))
    assert [(one.state, one.since) for one in signals] == [("DRIFT", 0)]
    carried, signals = look(carried, 2, found(State.OK, 0.05))
    assert [one.state for one in signals] == ["DRIFT"]
    carried, signals = look(carried, 3, found(State.OK, 0.05))
    assert [(one.state, one.since) for one in signals] == [("OK", 0)]
    carried, signals = look(carried, 4, found(State.OK, 0.05))
    assert signals == ()


def test_what_a_window_cannot_tell_begins_nothing_and_ends_nothing() -> None:
    carried = Carried()
    for number in range(3):
        carried, _ = look(carried, number, found(State.DRIFT))
    for number, state in ((3, State.UNDERPOWERED), (4, State.NO_DATA)):
        carried, signals = look(carried, number, found(state))
        assert signals == ()
    again = Carried.from_dict(carried.as_dict(), POLICY)
    assert again.as_dict() == carried.as_dict()
    again, signals = look(again, 5, found(State.OK))
    assert [one.state for one in signals] == ["DRIFT"]  # two of the last three that said something
    carried, _ = look(carried, 60, found(State.UNDERPOWERED))
    assert carried.active == {}  # nobody could tell for two months


def test_broken_data_is_a_signal_at_once_and_ends_where_its_own_rows_show_it() -> None:
    carried, signals = look(Carried(), 0, found(State.DRIFT, kind=DATA_QUALITY))
    assert [one.kind for one in signals] == [DATA_QUALITY]
    carried, signals = look(carried, 1, rows=0)
    assert signals == ()  # nobody asked: nothing is known of it
    again = Carried.from_dict(carried.as_dict(), POLICY)
    _, signals = look(again, 2, found(State.DRIFT, kind=DATA_QUALITY))
    assert [one.since for one in signals] == [0]
    for number in range(2, 40):  # three rows a day, or none that could be read: it cannot be told, and is not forgotten
        told = [found(State.UNDERPOWERED, None, DATA_QUALITY)] if number % 2 else []
        carried, signals = look(carried, number, *told)
        assert signals == ()
    _, signals = look(carried, 40, found(State.OK, None, DATA_QUALITY))
    assert [(one.kind, one.state, one.since) for one in signals] == [(DATA_QUALITY, "OK", 0)]
    _, signals = look(carried, 40, found(State.OK, None, DATA_QUALITY, "y"))  # x is not watched any more
    assert [(one.what, one.state) for one in signals] == [("x", "OK")]
    carried, signals = look(Carried(), 0, found(State.DRIFT, 0.2, SKEW, "x"), found(State.DRIFT, 0.2, SKEW, "parity"))
    assert len(signals) == 2
    carried, signals = look(carried, 1, found(State.NO_DATA, None, SKEW, "parity"))
    assert signals == ()  # nothing was computed again
    carried, signals = look(carried, 2, found(State.OK, 0.0, SKEW, "parity"))
    assert {(one.what, one.state) for one in signals} == {("x", "OK"), ("parity", "OK")}


def test_a_sunday_is_held_against_sundays() -> None:
    rng = np.random.default_rng(5)
    at = np.arange(40_000) * (DAY // 500)
    weekend = ((at // DAY + 3) % 7) >= 5
    trained = References.of({"x": rng.normal(size=40_000) + 3 * weekend}, at=at)
    sunday = Window(next(day for day in range(100, 108) if (day + 3) % 7 == 6) * DAY, 0)
    sunday = Window(sunday.start, sunday.start + DAY)
    rows: list[Counted] = [trained.count({"x": rng.normal(size=2_000) + 3})]
    policy = Monitor(minimum_rows=50, persistence=(1, 1))
    (seasonal,) = drifts(INPUT_DRIFT, trained, rows, policy, sunday)
    assert seasonal.state is not State.DRIFT
    (plain,) = drifts(INPUT_DRIFT, trained, rows, Monitor(references=["training"]), sunday)
    assert plain.effect is not None
    assert plain.effect > 0.5
    (moved,) = drifts(INPUT_DRIFT, trained, [trained.count({"x": rng.normal(size=2_000) + 9})], policy, sunday)
    assert moved.effect is not None
    assert moved.effect > plain.effect


def test_volume_is_held_against_the_same_day_of_earlier_weeks() -> None:
    weeks = [1000, 1010, 990, 1005, 995, 400, 300] * 6
    assert volumes(310, weeks[:-1], Monitor()).state is State.OK  # a Sunday
    broken = volumes(310, weeks, Monitor())  # a Monday
    assert (broken.state, broken.what) == (State.DRIFT, "volume")
    assert volumes(9_000, weeks, Monitor()).state is State.DRIFT
    assert volumes(310, weeks[:10], Monitor()).state is State.NO_DATA
    pairs = [weeks[place] + weeks[place + 1] for place in range(0, 42, 2)] * 2  # seven in two weeks
    other = Monitor(window="2d")
    assert volumes(700, pairs, other).state is State.DRIFT  # a Monday and a Tuesday
    assert volumes(700, pairs[:34], other).state is State.NO_DATA


def test_a_grid_stands_for_the_scores_and_adds_up() -> None:
    scores = np.random.default_rng(2).beta(1, 5, 5_000)
    told = grid(scores)
    assert sum(told) == 5_000
    assert scores_of(told).mean() == pytest.approx(scores.mean(), abs=2e-3)
    assert joined(grid(scores[:10]), grid(scores[10:])) == told
    assert grid(np.array([0.5, 1.5])) == ()
    assert len(scores_of([10**7, *[0] * 255])) == 20_000
    assert estimated(None, [told], POLICY).state is State.NO_DATA


def test_a_signal_is_what_was_written_down() -> None:
    one = Signal(INPUT_DRIFT, "x", "DRIFT", 0.4, 0.1, 0, (0, DAY), {"p": 0.001}, 12.0)
    assert Signal.from_dict(one.as_dict()) == one
    assert "input drift: x 0.4" in str(one)
    with pytest.raises(Exception, match="kind"):
        Signal("mood", "x", "DRIFT", 0.4, 0.1, 0, (0, DAY))


def test_a_column_is_in_order_only_where_its_rows_could_have_shown_that_it_is_not() -> None:
    references = References.of({"x": np.arange(2000.0), "word": np.array(["a", "b"] * 1000, object)})

    def states(rows: int, **more: Any) -> dict[str, State]:
        told = {"x": np.arange(rows) * 2000.0 / max(rows, 1), "word": np.array(["a"] * rows, object), **more}
        tally = Tally(rows, references.count(told, at=np.arange(rows)))
        return {one.what: one.state for one in columns(references, tally, POLICY)}

    assert states(400) == {"x": State.OK, "word": State.OK}
    assert states(3) == {"x": State.UNDERPOWERED, "word": State.UNDERPOWERED}
    assert states(400, x=np.full(400, np.nan)) == {"x": State.DRIFT, "word": State.OK}
    unread = columns(references, Tally(400), POLICY)
    assert {one.state for one in unread} == {State.NO_DATA}


def test_a_source_that_is_silent_is_late_by_all_that_was_looked_back_and_one_that_cannot_be_read_is_not() -> None:
    (late,) = freshness({"weather": (None, 3 * HOUR)}, POLICY.data)
    assert (late.state, late.effect) == (State.DRIFT, 8.0)  # a day
    carried, _ = look(Carried(), 0, late)
    for number, state in ((1, State.NO_DATA), (2, State.DRIFT)):
        volume = found(State.OK, 1.0, DATA_QUALITY, "volume")
        carried, signals = look(carried, number, volume, found(state, None, DATA_QUALITY, late.what))
        assert [(one.state, one.since) for one in signals] == ([] if state is State.NO_DATA else [("DRIFT", 0)])
    _, signals = look(carried, 3, found(State.OK, 1.0, DATA_QUALITY, "volume"))  # it is no source of the model any more
    assert [(one.what, one.state) for one in signals] == [(late.what, "OK")]


def test_what_an_estimated_loss_costs_is_of_a_day_whatever_the_windows() -> None:
    random = np.random.default_rng(0)
    score = random.beta(2, 8, 5_000)
    outcome = (random.random(5_000) < score).astype(np.int8)
    reference = ScoredReference.of(outcome, score, clusters=np.arange(5_000) // 100)
    known = Expected(reference, float(losses("log_loss", outcome, score).mean()))
    of_hour = grid(random.beta(4, 5, 100))
    of_day = tuple(24 * count for count in of_hour)
    by_day = estimated(known, [of_day], Monitor(cost=1.0)).evidence["cost"]
    assert estimated(known, [of_hour], Monitor(window="1h", cost=1.0)).evidence["cost"] == pytest.approx(by_day)
    little, nearer = grid(random.beta(2, 8, 30)), Expected(reference, known.base - 0.05)
    together = estimated(nearer, [little] * 24, Monitor(cost=1.0, margin=0.001))  # one says too little by itself
    assert together.evidence["rows"] == 720
    assert together.effect is not None
    assert together.evidence["cost"] == pytest.approx(30 * max(together.effect, 0.0))
    assert together.evidence["cost"] > 0


def test_against_a_baseline_that_knows_little_nothing_is_called_in_order() -> None:
    random = np.random.default_rng(0)
    score = random.beta(2, 8, 5_000)
    outcome = (random.random(5_000) < score).astype(np.int8)
    reference = ScoredReference.of(outcome, score, clusters=np.arange(5_000) // 100)
    base, counted = float(losses("log_loss", outcome, score).mean()), [grid(random.beta(2, 8, 5_000))]
    for unsure, state in ((0.04, State.OK), (0.041, State.UNDERPOWERED)):
        told = estimated(Expected(reference, base + unsure, unsure), counted, Monitor(margin=0.01))
        assert told.state is state
    assert "up to 0.051 higher than theirs" in told.why
    moved = [grid(random.beta(4, 5, 5_000))]
    assert estimated(Expected(reference, base + 0.05, 0.05), moved, Monitor(margin=0.01)).state is State.DRIFT
    assert vague(9.0, Monitor(margin=0.0)) == ""


def test_a_baseline_that_knows_little_begins_nothing_and_ends_what_was_found() -> None:
    """Or a loss that is over stays open, and so does that of the version before, whose cure has few days behind it."""
    policy, carried, told = Monitor(margin=0.01), Carried(), []
    for day, state in enumerate([State.UNDERPOWERED, *[State.DRIFT] * 3, *[State.UNDERPOWERED] * 4]):
        window = Window(day * DAY, (day + 1) * DAY)
        evidence = {NO_LONGER: True} if state is State.UNDERPOWERED else {}
        found = [
            Found(kind, "log_loss", state, 0.1, 0.01, "", evidence) for kind in (ESTIMATED_LOSS, REALISED_LOSS)
        ]  # fmt: skip
        carried, signals = after(carried, window, found, policy, rows=900, detectors={})
        told.append({one.kind: one.state for one in signals})
    assert told[0] == {}
    assert told[3] == {ESTIMATED_LOSS: "DRIFT", REALISED_LOSS: "DRIFT"}
    assert told[4][REALISED_LOSS] == "OK"
    assert [one[ESTIMATED_LOSS] for one in told if one.get(ESTIMATED_LOSS)][-1] == "OK"
    assert (told[-1], dict(carried.active)) == ({}, {})
