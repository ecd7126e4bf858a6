"""Features of a user's own frame: whatever kind it is, however it is cut into parts, row for row."""

from __future__ import annotations

import math
import signal
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import polars as pl
import pytest

from backstay import FeatureSet, Request
from backstay.core.errors import InputError
from backstay.features.historical import historical
from backstay.features.offline import feature_rows
from backstay.storage.backends.local import LocalEvents
from backstay.storage.backends.memory import MemoryEvents
from backstay.storage.ports import EventStore
from backstay.testing import features_at
from tests.features import world
from tests.features.test_oracle import history
from tests.features.world import HOUR, SETS, SOURCES, START, TIME
from tests.warm import Warm

ROWS = 300


@pytest.fixture(params=["memory", "local"])
def record(request: pytest.FixtureRequest, tmp_path: Path) -> EventStore:
    store: EventStore = MemoryEvents() if request.param == "memory" else LocalEvents(tmp_path / "events")
    for source in SOURCES.values():
        rows = world.table(history(Random(3)))
        for begin in range(0, rows.height, 130):
            store.append(source.name, rows[begin : begin + 130])
    return store


def labels() -> pl.DataFrame:
    random = Random(5)
    rows = [
        (START + random.randrange(60) * HOUR, random.choice(["1", "11", "2", "9", None]), random.choice(["12", "2"]), n)
        for n in range(ROWS)
    ]
    frame = pl.DataFrame(
        rows, schema={"when": pl.Int64, "a": pl.String, "b": pl.String, "label": pl.Int64}, orient="row"
    )
    return frame.with_columns(pl.col("when").cast(TIME))


@pytest.mark.parametrize("name", sorted(SETS))
@pytest.mark.parametrize("memory", [None, 60_000, 2_000])
def test_parts_and_files_change_nothing(
    record: EventStore, name: str, memory: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = labels()
    asked = frame.select(pl.col("when").to_physical().alias("at"), "a", "b")
    want = feature_rows(SETS[name], asked, record).rows
    monkeypatch.setattr("backstay.features.historical.CHUNK", 77)
    whole = historical(SETS[name], frame, record, at="when", memory=memory, statuses=True)
    written = historical(SETS[name], frame, record, at="when", memory=memory, statuses=True, out=tmp_path / "out")
    assert written.path is not None
    assert len(list(written.path.iterdir())) == 4
    for got in (whole.frame, written.frame.collect()):
        assert got.select(frame.columns).equals(frame)  # no row lost, doubled or reordered
        features = want.frame()
        for column in features.columns:
            ours, again = features[column], got[column]
            if ours.dtype == pl.Float64:
                ours, again = ours.reinterpret(signed=True), again.reinterpret(signed=True)
            assert ours.equals(again, null_equal=True), column
        assert got["a_x__status"].to_list() == [
            ["OK", "NULL", "MISSING", "EXPIRED"][code] for code in want.statuses[:, features.columns.index("a_x")]
        ]
    assert whole.versions == {name: record.version(name)}


def test_a_folder_that_holds_another_result_is_refused(record: EventStore, tmp_path: Path) -> None:
    frame, out = labels(), tmp_path / "out"
    first = historical(SETS["things"], frame, record, at="when", out=out)
    with pytest.raises(InputError, match="the folder holds 1 part of another result") as told:
        historical(SETS["things"], None, record, at="when", out=out)  # before anything else is looked at
    assert str(out) in told.value.where
    assert told.value.fix
    (out / "part-notes.parquet").write_bytes(b"written by somebody else, later")
    assert first.frame.collect().height == ROWS
    (file := tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file"):
        historical(SETS["things"], frame, record, at="when", out=file)


INTERRUPTED = """
import os, signal, sys
from pathlib import Path
import polars as pl
from backstay.features import historical
from backstay.storage.backends.memory import MemoryEvents
from tests.features.test_historical import labels
from tests.features.world import SETS, SOURCES, table

historical.CHUNK, digest, made = 77, historical.frame_digest, []
def interrupted(frame):
    made.append(frame)
    if len(made) == 3:
        os.kill(os.getpid(), int(sys.argv[2]))
    return digest(frame)
historical.frame_digest = interrupted
record = MemoryEvents()
record.append("things", table([]))
historical.historical(SETS["things"], labels(), record, at="when", out=Path(sys.argv[1]))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_what_was_interrupted_is_not_taken_for_a_result(
    record: EventStore, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "out"
    process = Warm(INTERRUPTED, out, int(number))
    assert process.wait() != 0
    process.close()
    assert not list(out.glob("*.parquet"))
    left = list(out.iterdir())
    assert bool(left) is (number == signal.SIGKILL)
    if left:
        with pytest.raises(pl.exceptions.InvalidOperationError, match="different file extensions"):
            pl.read_parquet(out)
    done = historical(SETS["things"], labels(), record, at="when", out=out)
    assert done.frame.collect().height == pl.read_parquet(out).height == ROWS
    assert [one.name for one in out.iterdir()] == ["part-00000.parquet"]


def test_a_folder_that_cannot_be_made_is_refused_before_anything_is_computed(
    record: EventStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("backstay.features.historical.views", None)
    with pytest.raises(InputError, match="file/out cannot be written: Not a directory"):
        historical(SETS["things"], labels(), record, at="when", out=tmp_path / "file" / "out")


def test_kinds_of_frames_come_back_as_they_came(record: EventStore) -> None:
    features, frame = SETS["things"], labels()
    plain = historical(features, frame, record, at="when").frame
    assert isinstance(plain, pl.DataFrame)
    assert historical(features, frame.lazy(), record, at="when").frame.equals(plain)
    pandas = frame.to_pandas().set_index(np.arange(ROWS)[::-1])
    back = historical(features, pandas, record, at="when").frame
    assert type(back).__module__.startswith("pandas")
    assert list(back.index) == list(range(ROWS))[::-1]
    assert pl.from_pandas(back).select(plain.columns).equals(plain)
    arrow = historical(features, frame.to_arrow(), record, at="when").frame
    assert type(arrow).__module__.startswith("pyarrow")
    assert pl.DataFrame(arrow).equals(plain)


def test_what_was_used_is_recorded(record: EventStore) -> None:
    features, frame = SETS["things"], labels()
    first = historical(features, frame, record, at="when")
    assert historical(features, frame, record, at="when").digest == first.digest
    changed = frame.with_columns(pl.when(pl.col("label") == 7).then(0).otherwise("label").alias("label"))
    assert historical(features, changed, record, at="when").digest != first.digest
    assert (first.feature_set, first.rows) == (features.hash, ROWS)
    assert first.as_dict()["digest"] == first.digest


def test_a_digest_is_of_the_frame_as_it_was_made(record: EventStore) -> None:
    features, frame = SETS["things"], labels()
    polars, pandas = (historical(features, one, record, at="when") for one in (frame, frame.to_pandas()))
    polars.frame.drop_in_place("label")
    pandas.frame["label"] = 0
    assert polars.digest == pandas.digest == historical(features, frame, record, at="when").digest


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.drop("when"), "there is no column 'when' of times"),
        (lambda f: f.with_columns(pl.col("when").dt.replace_time_zone(None)), "carry no time zone"),
        (lambda f: f.drop("a"), "there is no column 'a'"),
        (lambda f: f.with_columns(a=pl.lit(1)), "column 'a' is of type"),
        (lambda f: f.with_columns(when=pl.lit(None, TIME)), "some rows have no 'at'"),
        (lambda f: f.to_dicts(), "the frame is a list"),
    ],
)
def test_bad_frames(change: Any, said: str) -> None:
    record = world.store(world.PLAIN, [])
    with pytest.raises(InputError, match=said) as refused:
        historical(SETS["things"], change(labels()), record, at="when")
    assert "world.py" in str(refused.value)


def test_what_an_input_may_not_be_is_told_with_its_row() -> None:
    features = FeatureSet("inputs", [Request(n="int", note="string", optional="note")])
    times = pl.Series("at", [START] * 3, pl.Int64).cast(TIME)
    ask = partial(historical, features, events=MemoryEvents())
    none = ask(pl.DataFrame([times]).with_columns(n=pl.Series([1, 2, 3]), note=pl.lit(None))).frame
    assert none["n"].to_list() == [1, 2, 3]
    with pytest.raises(InputError, match="'n' is null in row 1, and in 1 more") as caught:
        ask(pl.DataFrame([times]).with_columns(n=pl.Series([1, None, None], dtype=pl.Int64), note=pl.lit("")))
    assert "Request(..., optional=['n'])" in caught.value.fix
    with pytest.raises(InputError, match="'n' is 9223372036854775808 in row 2"):
        ask(pl.DataFrame([times]).with_columns(n=pl.Series([1, 2, 2**63], dtype=pl.UInt64), note=pl.lit("")))


@pytest.mark.parametrize(("bad", "said"), [(math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf")])
@pytest.mark.parametrize("optional", [False, True])
def test_an_input_that_is_not_finite_is_refused_as_online(bad: float, said: str, optional: bool) -> None:
    features = FeatureSet("inputs", [Request(x="float", optional=["x"] if optional else [])])
    frame = pl.DataFrame({"at": [START] * 3, "x": [1.0, bad, bad]})
    with pytest.raises(InputError, match=f"'x' is {said} in row 1, and in 1 more") as caught:
        historical(features, frame.with_columns(pl.col("at").cast(TIME)), MemoryEvents())
    assert ("fill_nan(None)" in caught.value.fix) == optional
    with pytest.raises(InputError, match=f"'x' is {said} in row 0"):
        features_at(features, "2024-05-01T12:00Z", {}, x=bad)


def test_nan_of_pandas_is_null() -> None:
    features = FeatureSet("inputs", [Request(x="float", optional=["x"])])
    frame = pl.DataFrame({"at": [START] * 2, "x": [1.0, None]}).with_columns(pl.col("at").cast(TIME)).to_pandas()
    assert historical(features, frame, MemoryEvents()).frame["x"].isna().tolist() == [False, True]


def test_no_rows() -> None:
    got = historical(SETS["things"], labels().clear(), world.store(world.PLAIN, []), at="when").frame
    assert got.height == 0
    assert set(got.columns) > {feature.name for feature in SETS["things"]}


@pytest.mark.parametrize("name", sorted(SETS))
@pytest.mark.parametrize("store", [MemoryEvents, LocalEvents])
def test_a_source_that_never_had_an_event_has_seen_nobody(name: str, store: Any, tmp_path: Path) -> None:
    record = store() if store is MemoryEvents else store(tmp_path / "events")
    features = SETS[name]
    made = historical(features, labels(), record, at="when", statuses=True).frame
    stored = [one.name for one in features if one.kind not in ("request", "derived")]
    told = {status for one in stored for status in made.get_column(f"{one}__status").unique()}
    assert told == {"MISSING"}
