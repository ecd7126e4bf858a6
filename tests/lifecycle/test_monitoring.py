"""The monitor's tick: quiet while nothing changes, columns by name when something does, and each window once."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from backstay.core.errors import InputError
from backstay.core.times import DAY
from backstay.lifecycle.monitoring import MONITOR, looks
from backstay.lifecycle.monitoring.counting import Answerer, Counting
from backstay.lifecycle.monitoring.looking import look
from backstay.lifecycle.monitoring.losses import realised
from backstay.lifecycle.references import REFERENCES, trained_references
from backstay.monitoring.estimates import NO_LONGER
from backstay.monitoring.report import Day
from backstay.monitoring.signals import DATA_QUALITY, ESTIMATED_LOSS, INPUT_DRIFT, REALISED_LOSS, SCORE_DRIFT
from backstay.monitoring.windows import Window
from backstay.storage.predictions import SHADOW
from tests.lifecycle.watched import FIRST, POLICY, Days
from tests.serving import shop


@pytest.fixture(scope="session")
def quiet(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Days:
    """Six days on which nothing changed, looked at; never changed."""
    days = Days(shop.copied(base, tmp_path_factory.mktemp("quiet")))
    days.live(6)
    return days


@pytest.fixture
def days(quiet: Days, tmp_path: Path) -> Days:
    """A copy of one's own."""
    return Days(Path(shutil.copytree(quiet.path, tmp_path / "shop")), quiet.policy, quiet.day, like=quiet)


def larger(row: dict[str, Any]) -> None:
    row["size"] = row["size"] * 2 + 300


def on(watched: Any) -> dict[tuple[str, str], Any]:
    return {(one.kind, one.what): one for one in watched.signals if one.state == "DRIFT"}


def test_nothing_is_signalled_while_nothing_changes(quiet: Days) -> None:
    found = looks(quiet.project.records, quiet.project.model("late"))
    assert [one.window.start for one in found] == [FIRST + day * DAY for day in range(6)]
    assert [one.signals for one in found] == [()] * 6
    assert {one.version for one in found} == {1}
    assert all(one.rows == 300 for one in found)
    assert found[-1].states[INPUT_DRIFT]["OK"] >= 8
    assert found[-1].states[REALISED_LOSS] == {"OK": 1}


def test_a_moved_input_is_named_once_it_lasts_and_ended_when_it_is_back(days: Days) -> None:
    first, second = days.live(2, change=larger)
    assert on(first) == {}
    assert set(on(second)) == {(INPUT_DRIFT, "size")}
    signal = on(second)[INPUT_DRIFT, "size"]
    assert signal.effect > 1
    assert signal.since == FIRST + 6 * DAY
    assert signal.evidence["lower"] > signal.threshold == 0.1
    after = days.live(3)
    ended = [one for watched in after for one in watched.signals if one.state == "OK"]
    assert [(one.kind, one.what, one.since) for one in ended] == [(INPUT_DRIFT, "size", FIRST + 6 * DAY)]
    assert on(after[-1]) == {}


def test_a_tick_looks_at_each_window_once_and_writes_no_counts_down(days: Days) -> None:
    before = days.project.services.ledger.entries(kind=MONITOR)
    assert days.tick().looks == ()
    days.serve()
    assert len(days.pass_day().looks) == 1
    assert days.tick().looks == ()
    days.open()
    assert days.tick().looks == ()
    entries = days.project.services.ledger.entries(kind=MONITOR)
    assert len(entries) == len(before) + 1
    assert len(str(entries[-1].body)) < 4_000


def test_of_ticks_at_once_one_writes(days: Days, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other comes between counting and writing: the window is written once, and the loser goes on behind it."""
    days.serve()
    days.day += 1
    days.project.clock.advance(FIRST + days.day * DAY)  # type: ignore[attr-defined]
    other = Days(days.path, days.policy, days.day, like=days)
    raced: list[int] = []

    def race(*given: Any) -> Any:
        if not raced:
            raced.append(0)
            raced[0] = len(other.tick().looks)
        return look(*given)

    monkeypatch.setattr("backstay.lifecycle.monitoring.tick.look", race)
    assert days.tick().looks == ()
    assert raced == [1]
    monkeypatch.undo()
    assert days.tick().looks == ()
    assert len(looks(days.project.records, days.project.model("late"))) == 7


def test_killed_between_counting_and_writing_it_is_done_again_alike(
    days: Days, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days.serve(change=larger)
    twin = Days(Path(shutil.copytree(days.path, tmp_path / "twin")), days.policy, days.day, like=days)
    expected = twin.pass_day().looks[0]

    def killed(*_given: Any, **_more: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(days.project.services.ledger, "append", killed, raising=False)
    with pytest.raises(KeyboardInterrupt):
        days.pass_day()
    monkeypatch.undo()
    days.open()
    again = days.tick().looks[0]
    assert dataclasses.replace(again, entry_id=0, at=0) == dataclasses.replace(expected, entry_id=0, at=0)


def test_what_was_counted_is_read_and_not_counted_again(days: Days, monkeypatch: pytest.MonkeyPatch) -> None:
    first = days.project.monitoring.report("late", since=FIRST, deep=False)
    days.open()

    def unread(*_given: Any, **_more: Any) -> Any:
        raise AssertionError("predictions were read again")

    days.project.clock.advance(FIRST + 6 * DAY + 3_600_000_000)  # type: ignore[attr-defined]
    days.project.monitoring.report("late", since=FIRST, deep=False)  # the last window is settled now, and kept
    days.open()
    days.project.clock.advance(FIRST + 6 * DAY + 3_600_000_000)  # type: ignore[attr-defined]
    monkeypatch.setattr(type(days.project.services.predictions), "scan", unread)
    again = days.project.monitoring.report("late", since=FIRST, deep=False)
    assert again.as_dict() == first.as_dict()
    monkeypatch.undo()
    shutil.rmtree(days.project.services.home / "windows")
    days.open()
    days.project.clock.advance(FIRST + 6 * DAY + 3_600_000_000)  # type: ignore[attr-defined]
    assert days.project.monitoring.report("late", since=FIRST, deep=False).as_dict() == first.as_dict()


def test_one_bad_column_breaks_nothing_and_is_named(days: Days) -> None:
    def words(row: dict[str, Any]) -> None:
        row["size"] = "large"
        row["channel"] = {"of": "another kind"}

    (watched,) = days.live(1, change=words)
    found = on(watched)
    assert {what for kind, what in found if kind == DATA_QUALITY} >= {"size"}
    assert watched.looks[0].states[INPUT_DRIFT]["OK"] >= 6


def test_nulls_and_stand_ins_are_data_quality_at_once(days: Days) -> None:
    def nulls(row: dict[str, Any]) -> None:
        row["shop_last_size"] = None

    (watched,) = days.live(1, change=nulls)
    assert (DATA_QUALITY, "shop_last_size") in on(watched)
    (back,) = days.live(1)
    assert ("shop_last_size", "OK") in {(one.what, one.state) for one in back.signals if one.kind == DATA_QUALITY}
    (degraded,) = days.live(1, degraded="last_known", status=4)
    assert {what for kind, what in on(degraded) if kind == DATA_QUALITY} >= {"size", "shop_late_7d"}


def test_a_unit_that_changed_is_data_quality_and_a_warm_summer_is_not(days: Days) -> None:
    def cents(row: dict[str, Any]) -> None:
        row["size"] = row["size"] * 100

    (watched,) = days.live(1, change=cents)
    assert "unit" in on(watched)[DATA_QUALITY, "size"].evidence["why"]
    (watched,) = days.live(1, change=larger)
    assert (DATA_QUALITY, "size") not in on(watched)


def test_no_requests_and_few_requests_have_states_of_their_own(days: Days) -> None:
    few, none = days.live(1, rows=8)[0].looks[0], days.pass_day().looks[0]
    assert few.rows == 8
    assert few.states[INPUT_DRIFT].get("DRIFT", 0) == 0
    assert (none.rows, none.version) == (0, None)
    assert none.states[DATA_QUALITY] == {"NO_DATA": 1}
    assert INPUT_DRIFT not in none.states


def test_windows_are_those_of_the_version_that_answered_and_shadows_do_not_count(days: Days) -> None:
    days.serve(200, number=2)
    days.serve(50, change=larger)
    days.serve(400, change=larger, route=SHADOW)
    seen = days.pass_day().looks[0]
    assert (seen.version, seen.rows) == (2, 250)
    assert "DRIFT" not in seen.states[INPUT_DRIFT]


def test_what_was_served_from_another_definition_says_nothing_of_features(days: Days) -> None:
    (watched,) = days.live(1, feature_set="f" * 64)
    assert [
        one["what"] for one in watched.looks[0].worst if one["kind"] == INPUT_DRIFT and one["state"] == "DRIFT"
    ] == []
    assert watched.looks[0].states[SCORE_DRIFT].get("NO_DATA", 0) == 0
    (given,) = days.live(1, given=True)
    assert given.looks[0].states[INPUT_DRIFT].get("OK", 0) >= 8  # the vector's features; others were not brought


def test_a_version_whose_reference_is_lost_is_watched_by_its_sample_and_one_without_either_says_so(
    days: Days,
) -> None:
    version = days.project.records.registry.get("late", 1)
    files = {name: digest for name, digest in version.manifest.files.items() if name != REFERENCES}
    older = dataclasses.replace(version, manifest=msgspec.structs.replace(version.manifest, files=files))
    assert list(trained_references(days.project.records, older)) == list(days.project.model("late").features.vector)
    foreign = dataclasses.replace(version, manifest=msgspec.structs.replace(version.manifest, files={}))
    with pytest.raises(InputError, match="no sample of the rows"):
        trained_references(days.project.records, foreign)


def test_harm_is_realised_loss_and_the_estimate_does_not_see_it(days: Days) -> None:
    watched = days.live(8, wrong=0.45)
    signals = on(watched[-1])
    assert (REALISED_LOSS, "log_loss") in signals
    assert (ESTIMATED_LOSS, "log_loss") not in signals
    assert (INPUT_DRIFT, "size") not in signals
    harm = signals[REALISED_LOSS, "log_loss"]
    assert harm.effect > harm.threshold
    assert abs(harm.since - (FIRST + 6 * DAY)) <= 2 * DAY


def test_a_pause_is_caught_up_and_a_model_without_a_monitor_is_left_alone(days: Days) -> None:
    for _ in range(3):
        days.serve()
        days.day += 1
    days.project.clock.advance(FIRST + days.day * DAY)  # type: ignore[attr-defined]
    assert [one.window.start for one in days.tick().looks] == [FIRST + day * DAY for day in (6, 7, 8)]
    days.policy = None
    days.serve()
    days.open()
    assert days.pass_day().looks == ()
    with pytest.raises(InputError, match="not monitored"):
        days.project.monitoring.report("late")


def test_the_report_of_a_span_says_what_its_rows_say_together(quiet: Days, days: Days) -> None:
    days.live(2, change=larger)
    found = days.project.monitoring.report("late", since=FIRST + 6 * DAY)
    assert found.drifting == ["size"]
    assert found.rows == 600
    assert found.domain is not None
    assert found.domain.differs() is True
    assert next(iter(found.domain.columns)) == "size"
    assert [one.what for one in found.signals] == ["size"]
    assert found.heat_map().count("<svg") == 1
    still = quiet.project.monitoring.report("late", since=FIRST)
    assert still.drifting == []
    assert "DRIFT" not in still.as_dict()["states"][INPUT_DRIFT]
    with pytest.raises(InputError, match="no window is closed"):
        days.project.monitoring.report("late", since=FIRST + 90 * DAY)


def test_reading_changes_nothing(days: Days) -> None:
    before = days.project.services.ledger.revision()
    days.project.monitoring.report("late")
    assert days.project.monitoring.signals("late") == []
    assert days.project.services.ledger.revision() == before


def test_a_tick_of_the_project_watches_too(days: Days) -> None:
    days.serve()
    days.day += 1
    days.project.clock.advance(FIRST + days.day * DAY)  # type: ignore[attr-defined]
    (seen,) = days.project.tick("late").watched.looks
    assert seen.line == "2024-02-26: 300 rows, no signal"


def test_a_reference_that_is_damaged_is_said_and_breaks_nothing_else(days: Days) -> None:
    version = days.project.records.registry.get("late", 1)
    digest = version.manifest.files[REFERENCES]
    (file,) = (days.project.services.home / "artifacts").rglob(f"*{digest[2:]}")
    file.chmod(0o644)
    file.write_bytes(b"{}")
    days.serve()
    seen = days.pass_day().looks[0]
    assert seen.rows == 300
    assert seen.states[INPUT_DRIFT] == {"NO_DATA": 1}
    assert seen.states[REALISED_LOSS] == {"OK": 1}


def test_windows_of_hours_are_looked_at_one_by_one(days: Days) -> None:
    days.policy = dataclasses.replace(POLICY, window="6h", minimum_rows=20)
    days.serve()
    days.open()
    seen = days.pass_day().looks
    assert [one.window.end - one.window.start for one in seen] == [DAY // 4] * 4
    assert sum(one.rows for one in seen) == 300
    assert all(one.signals == () for one in seen)


def test_outcomes_count_once_for_whoever_answered_whether_or_not_there_are_requests_now(days: Days) -> None:
    for number in (1, 2, 1):  # what one answered becomes mature while the other answers; there is no baseline of v2
        days.serve(200, number=number)
        days.pass_day()
    silent = [days.pass_day().looks[0] for _ in range(3)]
    assert [one.rows for one in silent] == [0, 0, 0]
    assert silent[0].states[REALISED_LOSS] == {"OK": 1}
    told = days.project.services.ledger.last(MONITOR, "late").body["carried"]["detectors"]  # type: ignore[union-attr]
    assert sum(one["detector"]["rows"] for one in told.values()) == 6 * 300 + 2 * 200


def test_a_source_that_cannot_be_read_once_is_no_bad_data(days: Days, monkeypatch: pytest.MonkeyPatch) -> None:
    (source, *_) = days.project.model("late").features.sources
    monkeypatch.setattr(source, "freshness", 400 * DAY, raising=False)
    store = type(days.project.services.events)
    read = store.read

    def slow(self: Any, name: str, **more: Any) -> Any:
        if more.get("columns") == ["known_time"]:
            raise OSError("the disk is slow")
        return read(self, name, **more)

    monkeypatch.setattr(store, "read", slow)
    (watched,) = days.live(1)
    assert watched.signals == ()
    assert watched.looks[0].states[DATA_QUALITY]["NO_DATA"] >= 1


def test_what_was_in_hand_when_a_window_ended_is_counted_once_it_is_settled(days: Days) -> None:
    days.serve(100)
    assert days.pass_day().looks[0].rows == 100
    days.day -= 1
    days.serve(200, route="canary")  # asked yesterday, written after the tick
    days.day += 1
    for _ in range(2):  # by the process that has counted it before, and by a fresh one
        days.project.clock.advance(FIRST + days.day * DAY + 600_000_000)  # type: ignore[attr-defined]
        report = days.project.monitoring.report("late", since=FIRST + 6 * DAY, deep=False)
        assert report.rows == 300
        days.open()


def test_a_report_names_the_window_that_is_open_and_counts_the_first_ones_rows(base: Path, tmp_path: Path) -> None:
    days = Days(shop.copied(base, tmp_path / "new"))
    days.serve()
    days.serve(20, route=SHADOW)
    days.project.clock.advance(FIRST + DAY // 2)  # type: ignore[attr-defined]
    first = days.project.monitoring.report("late", deep=False)
    assert first.rows == 0
    assert first.open is not None
    assert (first.open.window.start, first.open.window.end, first.open.rows) == (FIRST, FIRST + DAY, 150)
    assert days.tick().looks == ()
    days.pass_day()
    later = days.project.monitoring.report("late", deep=False)
    assert later.rows == 300
    assert later.open is not None
    assert (later.open.window.start, later.open.rows) == (FIRST + DAY, None)  # not read: there is more to tell
    assert days.project.monitoring.report("late", until=FIRST + DAY, deep=False).open is None


def test_a_report_as_of_a_moment_is_what_it_was_then(days: Days) -> None:
    days.live(3, change=larger)
    monitoring = days.project.monitoring
    now, then = monitoring.report("late"), FIRST + 8 * DAY + DAY // 2
    while_on = monitoring.report("late", as_of=then)
    assert [one.what for one in while_on.signals] == ["size"]
    assert (while_on.until, now.until) == (FIRST + 8 * DAY, FIRST + 9 * DAY)
    assert monitoring.report("late", as_of=FIRST + 7 * DAY, deep=False).signals == ()  # it had not lasted
    assert monitoring.report("late", until=FIRST + 8 * DAY, as_of=then).as_dict() == {
        **while_on.as_dict(), "open": None,
    }  # fmt: skip
    assert while_on.labels is not None
    assert while_on.labels.as_of == then
    assert monitoring.report("late", as_of=FIRST + 99 * DAY).as_dict() == now.as_dict()  # what is to come is not known


def test_a_loss_that_has_not_risen_is_in_order_only_where_its_baseline_could_show_it(quiet: Days) -> None:
    records, model = quiet.project.records, quiet.project.model("late")
    last = quiet.project.services.ledger.last(MONITOR, "late")
    assert last is not None
    ((key, told),) = last.body["carried"]["detectors"].items()
    who, window = Answerer(*key.split(" ", 1)), Window(FIRST + 5 * DAY, FIRST + 6 * DAY)
    version = records.registry.by_digest(who.digest)

    def state(unsure: float) -> tuple[str, bool]:
        before = {**told["detector"], "unsure": unsure, "at": None}
        (found,), _ = realised(records, model, POLICY, window, who, version, {key: {**told, "detector": before}})
        return found.state.value, NO_LONGER in found.evidence

    assert [state(0.04), state(0.05)] == [("OK", False), ("UNDERPOWERED", True)]


def _just_ended(days: Days) -> Window:
    """The window of a day of 60 rows, at its very end: it is not settled yet."""
    days.serve(60)
    days.day += 1
    days.project.clock.advance(FIRST + days.day * DAY)  # type: ignore[attr-defined]
    return Window(FIRST + 6 * DAY, FIRST + 7 * DAY)


def test_a_window_is_counted_anew_where_its_version_has_become_known(days: Days) -> None:
    """Predictions that come before their version, as from another project: at first only how many is counted."""
    records, model = days.project.records, days.project.model("late")
    window = _just_ended(days)
    first = Counting(records, model, POLICY)
    first._versions[records.registry.get("late", 1).digest] = None
    (bare,) = first.windows([window])[window].values()
    assert (bare.rows, len(bare.said)) == (60, 0)
    days.project.clock.advance(FIRST + days.day * DAY + DAY // 2)  # type: ignore[attr-defined]
    for _ in range(2):
        (whole,) = Counting(records, model, POLICY).windows([window])[window].values()
        assert (whole.rows, len(whole.said)) == (60, 2)


def test_what_was_found_in_a_window_is_kept_of_the_counts_that_it_was_found_in(days: Days) -> None:
    records, model = days.project.records, days.project.model("late")
    window = _just_ended(days)
    tick, report = Counting(records, model, POLICY), Counting(records, model, POLICY)
    tick.windows([window])
    days.day -= 1
    days.serve(40, route="canary")  # written in between
    days.day += 1
    days.project.clock.advance(FIRST + days.day * DAY + 1)  # type: ignore[attr-defined]
    report.windows([window])
    tick.keep_day(Day(window, 1, 60, ()))
    days.project.clock.advance(FIRST + days.day * DAY + DAY // 2)  # type: ignore[attr-defined]
    later = Counting(records, model, POLICY)
    assert sum(one.rows for one in later.windows([window])[window].values()) == 100
    assert later.day(window) is None


def test_what_a_tick_said_of_a_window_stands_once_it_is_settled_if_nothing_was_written_since(
    days: Days, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ticks come at the very end of windows, in a replay each of them: none is counted and judged twice."""

    def never(*_given: Any, **_more: Any) -> Any:
        raise AssertionError("it was counted, or judged, again")

    days.live(1, change=larger)
    days.serve(100)
    days.pass_day()
    days.project.clock.advance(FIRST + days.day * DAY + 600_000_000)  # type: ignore[attr-defined]
    with monkeypatch.context() as patched:
        patched.setattr("backstay.monitoring.tally.Known.tally", never)
        patched.setattr("backstay.lifecycle.monitoring.report.of_columns", never)
        said = days.project.monitoring.days("late", since=FIRST + 6 * DAY)
    assert [one.rows for one in said] == [300, 100]
    shutil.rmtree(days.project.services.home / "windows")
    days.open()
    days.project.clock.advance(FIRST + days.day * DAY + 600_000_000)  # type: ignore[attr-defined]
    again = days.project.monitoring.days("late", since=FIRST + 6 * DAY)
    assert [one.kept() for one in again] == [one.kept() for one in said]
