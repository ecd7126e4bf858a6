"""Batch scoring, held against the server, killed, and bounded in memory."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from backstay.core.clock import ReplayClock
from backstay.core.errors import ConflictError, InputError, IntegrityError, NotFoundError
from backstay.core.times import instant
from backstay.definitions import CsvFiles, DeltaTable
from backstay.features.views import Status
from backstay.lifecycle.batch import LINEAGE
from backstay.project import Project
from backstay.runtimes.onnx import OnnxScorer
from backstay.storage.tables import Table
from tests.serving import shop
from tests.shared import once
from tests.warm import Warm

NOW = "2024-03-10"
T = datetime(2024, 2, 20, tzinfo=UTC)


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return once(tmp_path_factory, "born", lambda folder: shop.born(folder / "shop")) / "shop"


@pytest.fixture
def project(base):
    one = Project(base, clock=ReplayClock(instant(NOW)), actor="test")
    yield one
    one.close()


def rows(number: int = 300) -> pl.DataFrame:
    """Orders asked about in the hours before T, some of shops never seen, some without a shop."""
    place = pl.int_range(number, eager=True)
    shops = ("shop" + (place % 9).cast(pl.String)).set((place % 17 == 0), None)
    return pl.DataFrame(
        {
            "asked": [T - timedelta(minutes=n % 120) for n in range(number)],
            "shop": shops,
            "counter": place % 5,
            "order": "o" + place.cast(pl.String),
            "size": (place * 104729 % 997).cast(pl.Float64) / 7,
            "items": place % 9 + 1,
            "gift": place % 11 == 0,
            "due": [T + timedelta(hours=n % 40) for n in range(number)],
            "channel": pl.Series([("web", "phone", "desk")[n % 3] for n in range(number)]),
            "note": pl.Series([None if n % 2 else "fragile" for n in range(number)]),
        }
    )


@pytest.fixture
def file(tmp_path) -> Path:
    rows().write_parquet(tmp_path / "rows.parquet", row_group_size=64)
    return tmp_path / "rows.parquet"


def bits(scores: pl.Series) -> list[int]:
    return scores.to_numpy().view(np.int64).tolist()


@pytest.mark.parametrize("runtime", ["onnx", "lightgbm"])
def test_scores_and_features_are_those_of_the_server(tmp_path, base, runtime):
    path = shop.copied(base, tmp_path)
    if runtime != "onnx":
        (path / "models.py").write_text(
            shop.MODELS.replace(
                "estimator=estimator,\n    gate", f"estimator=estimator,\n    runtime={runtime!r},\n    gate"
            )
        )
    project = Project(path, clock=ReplayClock(instant(NOW)))
    if runtime != "onnx":
        version = project.train("late", as_of=shop.SECOND)
        assert version.manifest.scorer.format == runtime
        shop.move_champion(project, version.number)
    table = rows()
    table.write_parquet(tmp_path / "rows.parquet")
    done = project.predict(tmp_path / "rows.parquet", tmp_path / "out", "late", at="asked", features=True, part=70)
    project.close()
    output = done.frame.collect()
    names = [name for name in output.columns if f"{name}__status" in output.columns]
    with shop.Server(path, "--replay") as server:
        for place, row in enumerate(table.iter_rows(named=True)):
            fields = {name: row[name] for name in ("size", "items", "gift", "channel", "note")}
            body = {
                "keys": {name: row[name] for name in ("shop", "counter", "order")},
                "fields": {**fields, "due": row["due"].isoformat()},
                "at": row["asked"].isoformat(),
            }
            status, answer = server.predict(body)
            assert status == 200, answer
            written = output.row(place, named=True)
            assert written["score"] == answer["score"]
            assert (written["decision"], written["version"]) == (answer["decision"], answer["version"])
            statuses = {name: written[f"{name}__status"] for name in names}
            assert {name: one for name, one in statuses.items() if one != Status.OK.name} == answer["statuses"]


def test_every_row_has_its_lineage_and_what_the_table_had(project, file, tmp_path):
    done = project.predict(str(file), tmp_path / "out", "late", at="asked", part=100)
    version = project.versions("late")[0]
    output = done.frame.collect()
    table = rows()
    assert output.columns == [*table.columns, *LINEAGE]
    assert output.select(table.columns).equals(table)
    assert output["row"].to_list() == list(range(300))
    assert output["prediction_id"].n_unique() == 300
    assert output["at"].to_list() == table["asked"].to_list()
    facts = output.select("model", "version", "version_digest", "feature_set", "scored_at").unique().rows()
    moment = datetime.fromisoformat(NOW).replace(tzinfo=UTC)
    assert facts == [("late", 1, version.digest, project.model("late").features.hash, moment)]
    assert ((output["score"] >= version.manifest.threshold) == output["decision"]).all()
    assert (done.rows, done.scored, done.refused, done.parts, done.written) == (300, 300, 0, 3, 3)
    assert sorted(one.name for one in (tmp_path / "out").iterdir()) == [f"part-0000{n}.parquet" for n in range(3)]


def test_the_size_of_a_part_changes_nothing(project, file, tmp_path):
    scores = []
    for part in (1_000, 99, 37):
        done = project.predict(file, tmp_path / f"out{part}", "late", at="asked", part=part)
        scores.append(bits(done.frame.collect()["score"]))
    assert scores[0] == scores[1] == scores[2]
    one = project.predict(file, tmp_path / "one", "late", at="asked", part=1, keep=["order"]).frame.head(40).collect()
    assert bits(one["score"]) == scores[0][:40]


def test_bounded_events_change_nothing(base, file, tmp_path):
    path = shop.copied(base, tmp_path)
    whole = Project(path, clock=ReplayClock(instant(NOW)))
    expected = bits(whole.predict(file, tmp_path / "whole", "late", at="asked").frame.collect()["score"])
    whole.close()
    (path / "backstay.toml").write_text(shop.TOML + "\n[features]\nmemory = 500000\n")
    parted = Project(path, clock=ReplayClock(instant(NOW)))
    assert (
        bits(parted.predict(file, tmp_path / "parted", "late", at="asked", part=70).frame.collect()["score"])
        == expected
    )
    parted.close()


def test_csv_delta_folders_and_globs_are_read_alike(project, file, tmp_path):
    expected = bits(project.predict(file, tmp_path / "o", "late", at="asked").frame.collect()["score"])
    table = rows()
    (tmp_path / "many").mkdir()
    for place, begin in enumerate(range(0, 300, 70)):
        table[begin : begin + 70].write_parquet(tmp_path / f"many/{place}.parquet")
    table.write_csv(tmp_path / "rows.csv", datetime_format="%+")
    (tmp_path / "csvs").mkdir()
    for place, begin in enumerate(range(0, 300, 41)):
        table[begin : begin + 41].write_csv(tmp_path / f"csvs/{place}.csv", datetime_format="%+")
    table[:200].write_delta(tmp_path / "delta")
    table[200:].write_delta(tmp_path / "delta", mode="append")
    for name, data in {
        "folder": tmp_path / "many", "glob": f"{tmp_path}/many/*.parquet", "csv": tmp_path / "rows.csv",
        "csvs": tmp_path / "csvs", "reader": CsvFiles(str(tmp_path / "csvs")),
    }.items():  # fmt: skip
        done = project.predict(data, tmp_path / f"out-{name}", "late", at="asked", part=64)
        assert bits(done.frame.collect()["score"]) == expected, name
    for data in (tmp_path / "delta", DeltaTable(str(tmp_path / "delta"))):
        done = project.predict(data, tmp_path / f"out-{type(data).__name__}", "late", at="asked", part=64)
        found = done.frame.sort(pl.col("order").str.slice(1).cast(pl.Int64)).collect()
        assert bits(found["score"]) == expected


def test_a_version_and_one_moment_for_all(project, file, tmp_path):
    done = project.predict(file, tmp_path / "out", "late", at="2024-02-20", version=2, keep=["order", "size"])
    output = done.frame.collect()
    assert output.columns == ["order", "size", *LINEAGE]
    assert output["at"].unique().to_list() == [T]
    assert output["version"].unique().to_list() == [2]
    assert done.at == "2024-02-20T00:00:00Z"
    by_now = project.predict(file, tmp_path / "now", "late").frame.collect()
    assert by_now["at"].unique().to_list() == [datetime.fromisoformat(NOW).replace(tzinfo=UTC)]
    assert bits(by_now["score"]) != bits(output["score"])


def test_rows_that_a_server_would_refuse_are_told_and_the_others_scored(project, tmp_path):
    table = rows().with_columns(
        size=pl.when(pl.col("order") == "o3").then(float("nan")).otherwise("size"),
        items=pl.when(pl.col("order") == "o4").then(None).otherwise("items"),
        asked=pl.when(pl.col("order") == "o5").then(None).otherwise("asked"),
        due=pl.when(pl.col("order") == "o7").then(None).otherwise("due"),
    )
    table = table.with_columns(
        asked=pl.when(pl.col("order") == "o6").then(datetime(2030, 1, 1, tzinfo=UTC)).otherwise("asked")
    )
    table.write_parquet(tmp_path / "rows.parquet")
    done = project.predict(tmp_path / "rows.parquet", tmp_path / "out", "late", at="asked", part=64, features=True)
    output = done.frame.collect()
    told = dict(output.filter(pl.col("error").is_not_null()).select("order", "error").iter_rows())
    assert told == {
        "o3": "size is not finite", "o4": "items is null", "o5": "asked is null",
        "o6": "asked is after 2024-03-10T00:00:00Z", "o7": "due is null",
    }  # fmt: skip
    assert (done.scored, done.refused) == (295, 5)
    assert done.errors["size is not finite"] == {"rows": 1, "first": f"{tmp_path}/rows.parquet, row 3"}
    assert output.filter(pl.col("score").is_null())["order"].to_list() == ["o3", "o4", "o5", "o6", "o7"]
    assert output["decision"].null_count() == 5


@pytest.mark.parametrize("part", [1, 3])
def test_a_first_part_of_bad_rows_alone_refuses_no_other_one(project, tmp_path, part):
    table = rows(9).with_columns(size=pl.when(pl.int_range(9) < 3).then(None).otherwise("size"))
    table.write_parquet(tmp_path / "rows.parquet")
    done = project.predict(tmp_path / "rows.parquet", tmp_path / "out", "late", at="asked", part=part)
    assert (done.scored, done.refused, done.parts) == (6, 3, 9 // part)
    assert done.errors == {"size is null": {"rows": 3, "first": f"{tmp_path}/rows.parquet, row 0"}}


@pytest.mark.parametrize("part", [1, 4, 1_000])
def test_rows_that_the_model_has_no_score_for_are_told_and_the_others_scored(
    project, file, tmp_path, monkeypatch, part
):
    score, place = OnnxScorer.score, project.model("late").features.vector.index("size")
    raises, nan, infinite, short = rows()["size"].cast(pl.Float32)[3:7].to_list()

    def odd(self, vector):
        size = vector[:, place]
        if (size == raises).any():
            raise RuntimeError("no such size")
        found = score(self, vector)
        found[size == nan], found[size == infinite] = np.nan, np.inf
        return found[:-1] if (size == short).any() else found

    expected = project.predict(file, tmp_path / "whole", "late", at="asked").frame.collect()["score"].to_list()
    monkeypatch.setattr(OnnxScorer, "score", odd)
    done = project.predict(file, tmp_path / "out", "late", at="asked", part=part)
    output = done.frame.collect()
    assert {reason: (one["rows"], one["first"][-5:]) for reason, one in done.errors.items()} == {
        "RuntimeError: no such size": (1, "row 3"), "the score is NaN": (1, "row 4"),
        "the score is infinite": (1, "row 5"), "the model gave scores of shape (0,) for 1 rows": (1, "row 6"),
    }  # fmt: skip
    assert (done.scored, done.refused) == (296, 4)
    assert output["score"].to_list() == [one if not 3 <= row <= 6 else None for row, one in enumerate(expected)]
    assert output["decision"].null_count() == 4


def test_a_model_that_names_each_row_in_its_error_does_not_fill_the_answer(project, file, tmp_path, monkeypatch):
    score, place = OnnxScorer.score, project.model("late").features.vector.index("size")
    some = rows()["size"].cast(pl.Float32)[:60].to_list()

    def odd(self, vector):
        for size in vector[:, place]:
            if size in some:
                raise RuntimeError(f"not {size}")
        return score(self, vector)

    monkeypatch.setattr(OnnxScorer, "score", odd)
    done = project.predict(file, tmp_path / "out", "late", at="asked")
    assert len(done.errors) == 21
    *_, (last, others) = done.errors.items()
    kinds = done.frame.collect()["error"].drop_nulls().n_unique()
    assert last == f"{kinds - 20} other reasons"
    assert sum(one["rows"] for one in done.errors.values()) == done.refused >= 60
    assert ", row " in others["first"]


def test_cells_of_csv_that_say_nothing_are_told(project, tmp_path):
    table = rows().with_columns(pl.all().cast(pl.String))
    table = table.with_columns(asked=rows()["asked"].dt.to_string("%+"), due=rows()["due"].dt.to_string("%+"))
    table = table.with_columns(
        size=pl.when(pl.col("order") == "o3").then(pl.lit("far")).otherwise("size"),
        due=pl.when(pl.col("order") == "o4").then(pl.lit("2024-02-21 09:00")).otherwise("due"),
    )
    table.write_csv(tmp_path / "rows.csv")
    done = project.predict(tmp_path / "rows.csv", tmp_path / "out", "late", at="asked")
    assert set(done.errors) == {
        "size is not read as float", "due is not read as a time with a zone, such as 2013-04-01T12:00:00Z",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.drop("size"), r"no column 'size'.*table .*rows.parquet.*size: float"),
        (lambda t: t.with_columns(pl.col("size").cast(pl.String)), r"column 'size' is of type String.*Float64"),
        (
            lambda t: t.with_columns(pl.col("due").dt.replace_time_zone(None)),
            r"column 'due' carry no time zone.*replace_time",
        ),
        (lambda t: t.with_columns(pl.col("asked").dt.replace_time_zone(None)), r"column 'asked' carry no time zone"),
        (lambda t: t.with_columns(score=1.0), r"column 'score' has the name of one that is written.*--keep"),
        (lambda t: t.with_columns(size=None), r"column 'size' holds nothing but nulls.*table .*rows.parquet.*float"),
        (lambda t: t.rename({"asked": "then"}), r"'asked' is neither a column of the table nor a time"),
    ],
    ids=["missing", "type", "naive", "naive-at", "taken", "empty", "no-at"],
)
def test_a_table_that_does_not_fit_is_refused_by_column(project, tmp_path, change, said):
    change(rows()).write_parquet(tmp_path / "rows.parquet")
    with pytest.raises(InputError, match=f"(?s){said}"):
        project.predict(tmp_path / "rows.parquet", tmp_path / "out", "late", at="asked")
    assert not (tmp_path / "out").exists()


def test_files_of_different_kinds_are_refused_by_name(project, tmp_path):
    (tmp_path / "many").mkdir()
    rows().write_parquet(tmp_path / "many/a.parquet")
    rows().with_columns(pl.col("size").cast(pl.Float32)).write_parquet(tmp_path / "many/b.parquet")
    with pytest.raises(
        InputError, match=r"column 'size' of .*b.parquet is Float32.*expected Float64, as in .*a.parquet"
    ):
        project.predict(tmp_path / "many", tmp_path / "out", "late", at="asked")
    (tmp_path / "many/c.csv").write_text("a\n1\n")
    with pytest.raises(InputError, match="there are Parquet and CSV files"):
        project.predict(tmp_path / "many", tmp_path / "out", "late", at="asked")


def test_what_there_is_not_is_refused(project, file, tmp_path):
    for attempt, kind, said in (
        (lambda: project.predict(tmp_path / "no.parquet", tmp_path / "o", "late"), InputError, "there is no file"),
        (lambda: project.predict(file, tmp_path / "o", "late", version=9), NotFoundError, "none with number 9"),
        (lambda: project.predict(file, tmp_path / "o", "unborn"), NotFoundError, "no champion.*--version"),
        (lambda: project.predict(file, tmp_path / "o", "late", keep=["none"]), InputError, "no column 'none'"),
        (
            lambda: project.predict(file, tmp_path / "o", "late", keep=["order"] * 2),
            InputError,
            "'order' is named twice",
        ),
        (lambda: project.predict(file, tmp_path / "o", "late", at="2030-01-01"), InputError, "not after now"),
        (lambda: project.predict(file, tmp_path / "o", "late", part=0), InputError, "1 or more"),
        (
            lambda: project.predict(rows(), tmp_path / "o", "late"),
            InputError,
            "table is a DataFrame.*Parquet file",
        ),
        (lambda: project.predict(file, file, "late"), InputError, "is a file"),
    ):
        with pytest.raises(kind, match=f"(?s){said}"):
            attempt()


def test_an_empty_table_gives_an_empty_output(project, tmp_path):
    rows(0).write_parquet(tmp_path / "rows.parquet")
    done = project.predict(tmp_path / "rows.parquet", tmp_path / "out", "late", at="asked", features=True)
    assert (done.rows, done.parts, done.frame.collect().height) == (0, 1, 0)
    rows(0).write_csv(tmp_path / "rows.csv")
    assert project.predict(tmp_path / "rows.csv", tmp_path / "out2", "late", at="asked").frame.collect().height == 0


def test_a_finished_run_is_not_done_again(project, file, tmp_path):
    first = project.predict(file, tmp_path / "out", "late", at="asked", part=100)
    again = project.predict(file, tmp_path / "out", "late", at="asked", part=30)
    assert (first.written, again.written, again.run, again.parts) == (3, 0, first.run, 3)


def test_a_finished_run_as_of_now_is_not_taken_for_another_now(project, file, tmp_path):
    done = project.predict(file, tmp_path / "out", "late")
    with pytest.raises(ConflictError, match=r"a finished run as of 2024-03-10T00:00:00Z.*name another folder"):
        project.predict(file, tmp_path / "out", "late")
    assert project.predict(file, tmp_path / "out", "late", at=NOW).run == done.run


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"version": 2}, r"has the version 1, and not 2.*--version 1"),
        ({"at": "2024-02-20"}, r"has the at 'asked'"),
        ({"keep": ["order"]}, r"has the keep all, and not \['order'\]"),
        ({"features": True}, r"has the features False, and not True"),
    ],
    ids=str,
)
def test_another_run_into_the_same_folder_is_refused(project, file, tmp_path, other, said):
    project.predict(file, tmp_path / "out", "late", at="asked", part=100)
    (tmp_path / "out/part-00001.parquet").unlink()
    before = sorted((one.name, one.stat().st_mtime_ns) for one in (tmp_path / "out").iterdir())
    with pytest.raises(InputError, match=said):
        project.predict(file, tmp_path / "out", "late", **{"at": "asked", **other})
    assert sorted((one.name, one.stat().st_mtime_ns) for one in (tmp_path / "out").iterdir()) == before


def test_another_table_into_the_same_folder_is_refused(project, file, tmp_path):
    project.predict(file, tmp_path / "out", "late", at="asked")
    rows(200).write_parquet(file)
    with pytest.raises(InputError, match=r"has the table of 1 files.*and not"):
        project.predict(file, tmp_path / "out", "late", at="asked")


def test_a_folder_of_other_files_is_refused(project, file, tmp_path):
    (tmp_path / "out").mkdir()
    rows(5).write_parquet(tmp_path / "out/part-00000.parquet")
    with pytest.raises(InputError, match=r"part-00000.parquet is not a part of what is written there"):
        project.predict(file, tmp_path / "out", "late", at="asked")


def test_a_table_that_changes_under_the_run_is_noticed(project, file, tmp_path):
    def changing(what, done, total):
        if done == total:
            rows(200).write_parquet(file)

    with pytest.raises(IntegrityError, match="the table changed while it was scored"):
        project.predict(file, tmp_path / "out", "late", at="asked", progress=changing)


def test_a_run_goes_on_from_the_events_and_the_table_that_it_began_with(base, tmp_path):
    path = shop.copied(base, tmp_path)
    project = Project(path, clock=ReplayClock(instant(NOW)))
    table = rows().with_columns(shop=pl.lit("shop1"))
    table.write_delta(tmp_path / "delta")
    first = project.predict(tmp_path / "delta", tmp_path / "out", "late", part=100, features=True)
    before = first.frame.collect()
    (tmp_path / "out/part-00001.parquet").unlink()
    project.close()
    # A week later there are more events, also some that were known before, and more rows in the table.
    later = Project(path, clock=ReplayClock(instant("2024-03-17")))
    moment = datetime(2024, 3, 9, tzinfo=UTC)
    new = {**shop.event(), "event_time": moment, "size": 900.0, "late": False, "due": moment}
    later.services.events.append(
        "orders",
        pl.DataFrame([{**new, "event_time": moment, "known_time": moment}]).select(
            pl.col("event_time", "known_time").cast(pl.Datetime("us", "UTC")),
            *[pl.col(name).cast(kind) for name, kind in later.definitions.sources["orders"].schema.items()],
        ),
    )
    table.write_delta(tmp_path / "delta", mode="append")
    again = later.predict(tmp_path / "delta", tmp_path / "out", "late", part=100, features=True)
    assert (again.run, again.rows, again.written) == (first.run, 300, 1)
    after = again.frame.collect()
    assert bits(after["score"]) == bits(before["score"])
    assert after.drop("scored_at").equals(before.drop("scored_at"))
    fresh = later.predict(tmp_path / "delta", tmp_path / "fresh", "late", at=NOW, features=True)
    assert fresh.rows == 600
    counts = [frame["shop_orders_7d"].unique().to_list() for frame in (before, after, fresh.frame.collect())]
    assert counts == [[0], [0], [1]]
    later.close()


def test_a_damaged_part_is_told(project, file, tmp_path):
    project.predict(file, tmp_path / "out", "late", at="asked", part=100)
    part = tmp_path / "out/part-00001.parquet"
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(IntegrityError, match=r"cannot be read.*part-00001.parquet.*remove it"):
        project.predict(file, tmp_path / "out", "late", at="asked")
    part.unlink()
    assert project.predict(file, tmp_path / "out", "late", at="asked").written == 1


def test_two_at_once_do_not_write_into_one_folder(project, file, tmp_path):
    def meanwhile(what, done, total):
        if done == 100:
            with pytest.raises(ConflictError, match="another process is writing there"):
                project.predict(file, tmp_path / "out", "late", at="asked")

    assert project.predict(file, tmp_path / "out", "late", at="asked", part=100, progress=meanwhile).written == 3


_RUN = """
import json, sys, threading, time
from pathlib import Path
from backstay.core.clock import ReplayClock
from backstay.core.times import instant
from backstay.project import Project

def held():  # not the pages of mapped files, which the system takes back when it needs them
    return next(int(line.split()[1]) for line in Path("/proc/self/status").open() if line.startswith("RssAnon"))

def watch():
    while True:
        peak[0] = max(peak[0], held())
        time.sleep(0.005)

peak = [0]
threading.Thread(target=watch, daemon=True).start()
project, table, out, part = sys.argv[1:]
opened = Project(project, clock=ReplayClock(instant("2024-03-10")))
done = opened.predict(table, out, "late", at="asked", part=int(part))
print(json.dumps({"written": done.written, "peak": peak[0]}))
"""


def started(*words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _RUN, *map(str, words)], stdout=subprocess.PIPE, text=True, env=shop.environment()
    )


def test_killed_again_and_again_nothing_is_lost_or_scored_twice(base, project, file, tmp_path):
    expected = project.predict(file, tmp_path / "whole", "late", at="asked").frame.collect()
    out, kills, chance = tmp_path / "out", 0, random.Random(1)
    written: dict[str, tuple[int, bytes]] = {}
    while True:
        process = Warm(_RUN, base, file, out, 2)
        before = len(list(out.glob("*.parquet"))) if out.exists() else 0
        deadline = time.monotonic() + 60
        goal = before + chance.randint(5, 25)
        while process.poll() is None and len(list(out.glob("*.parquet"))) < goal:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        process.kill()
        process.wait()
        told = process.stdout.read()
        process.close()
        for part in out.glob("*.parquet"):
            content = (part.stat().st_ino, part.read_bytes())
            assert written.setdefault(part.name, content) == content, "a part was written twice"
        if told:
            break
        kills += 1
    assert kills >= 3
    assert len(written) == 150
    found = pl.scan_parquet(out / "*.parquet").collect()
    assert found["row"].to_list() == list(range(300))
    assert bits(found["score"]) == bits(expected["score"])
    assert not [one for one in tmp_path.iterdir() if one.name.startswith(".out")]


def peak(base: Path, tmp_path: Path, ending: str, thousands: int, width: int) -> tuple[float, float]:
    """The most that a run held at once, and the size of its table, in megabytes."""
    path = tmp_path / f"{thousands}.{ending}"
    table = pl.concat([rows(3_000)] * (thousands // 3))
    table = table.with_columns(wide=pl.int_range(table.height).cast(pl.String).str.zfill(width))
    if ending == "csv":
        table.write_csv(path, datetime_format="%+")
    else:
        table.write_parquet(path, row_group_size=20_000)
    size = table.estimated_size("mb")
    del table
    told, _ = started(base, path, tmp_path / str(thousands), 20_000).communicate(timeout=120)
    path.unlink()
    return json.loads(told)["peak"] / 1024, size


def test_memory_is_bounded_by_the_part_and_not_by_the_table(base, tmp_path):
    (small, _), (large, size) = (peak(base, tmp_path, "parquet", thousands, 500) for thousands in (60, 450))
    assert size > 200
    assert large < small + 80, (small, large, size)


def test_csv_is_not_held_whole(base, tmp_path):
    """Polars reads some four hundred megabytes ahead, of any file."""
    held, size = peak(base, tmp_path, "csv", 300, 3_000)
    assert size > 800
    assert held < 0.85 * size, (held, size)


def test_a_second_ctrl_c_as_the_table_is_let_go_of_is_not_printed_there(project, file, tmp_path, monkeypatch):
    printed = []
    monkeypatch.setattr(sys, "unraisablehook", printed.append)

    def second(frame, event, _):
        if event == "call" and frame.f_back is not None and frame.f_back.f_code is Table.parts.__code__:
            raise KeyboardInterrupt  # as Polars does it, which has the signal told twice

    def first(what, done, total):
        if 0 < done < total:
            sys.setprofile(second)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        project.predict(file, tmp_path / "out", "late", at="asked", part=100, progress=first)
    assert printed == []
    again = project.predict(file, tmp_path / "out", "late", at="asked", part=100)
    assert 0 < again.written < again.parts
