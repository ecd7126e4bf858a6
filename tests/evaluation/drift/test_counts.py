"""Counts: those of each row by itself, whichever way they are counted; they add up, and come back bit for bit."""

from __future__ import annotations

import json
import math

import numpy as np
import polars as pl
import pytest

from backstay.core.errors import InputError
from backstay.evaluation.drift import Cells, Counted, Counts, Reference, References, season_cells
from backstay.evaluation.drift.dependence import hashed

DAY = 86_400_000_000


def plainly(cells: Cells, values) -> list[int]:
    """Each row by itself, by the definition."""
    out = [0] * cells.width
    for one in values:
        if math.isnan(one):
            out[-3] += 1
        elif one < cells.edges[0]:
            out[0] += 1
        elif one >= cells.edges[-1]:
            out[-4] += 1
        else:
            out[1 + max(place for place, edge in enumerate(cells.edges[:-1]) if one >= edge)] += 1
    return out


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", [37, 5_000])
def test_counts_are_those_of_each_row_by_itself_whichever_way_they_are_counted(dtype, rows):
    rng = np.random.default_rng(1)
    trained = np.where(rng.random(3_000) < 0.3, 0.0, rng.gamma(1.0, 1.0, 3_000)).astype(dtype)
    cells = Cells.of(trained)
    values = rng.gamma(1.0, 2.0, rows).astype(dtype)
    values[:20] = trained[:20]  # on edges, too
    values[20:27] = [np.nan, np.inf, -np.inf, -1.0, *np.array(cells.edges[:3])]
    expected = plainly(cells, values.tolist())
    assert cells.counted(values).tolist() == expected
    blocks = hashed(rng.integers(0, 50, rows))
    stretches, grouped = cells.tally(values, np.linspace(0, rows, 2).astype(int), None, blocks)
    assert stretches.sum(axis=0).tolist() == expected
    assert grouped.sum(axis=0).tolist() == expected
    some = int(blocks[0])
    assert grouped[some].tolist() == plainly(cells, values[blocks == some].tolist())


def test_a_float32_column_is_counted_as_its_values_are_not_as_edges_are_rounded():
    cells = Cells.of(np.array([0.1, 0.2, 0.3, 0.4]), bins=2)  # 0.2 is not a float32
    narrow = np.full(5_000, np.float32(0.2))
    assert cells.counted(narrow).tolist() == cells.counted(narrow.astype(np.float64)).tolist()


def test_a_value_that_fills_a_bin_has_it_alone():
    cells = Cells.of([0.0] * 60 + list(range(1, 41)))
    assert cells.labels[1] == "[0, 1)"
    assert Cells.of([3.0, 3.0, 3.0]).bins == 1


def test_windows_add_up_whatever_they_are_parted_into():
    rng = np.random.default_rng(2)
    reference = Reference.of(rng.normal(size=4_000))
    values, customer = rng.normal(size=3_000), rng.integers(0, 300, 3_000)
    whole = reference.count(values, entity=customer)
    parts = [reference.count(values[at : at + 1_000], entity=customer[at : at + 1_000]) for at in (0, 1_000, 2_000)]
    joined = parts[0] + parts[1] + parts[2]
    assert joined.cells.tolist() == whole.cells.tolist()
    assert joined.dependence.by_entity.tolist() == whole.dependence.by_entity.tolist()
    assert (joined.moments.n, joined.moments.least) == (3_000, values.min())
    assert joined.moments.mean == pytest.approx(values.mean())
    assert joined.moments.sd == pytest.approx(values.std(ddof=1))
    assert (parts[0] + parts[1]).cells.tolist() == (parts[1] + parts[0]).cells.tolist()
    with pytest.raises(InputError, match="other cells"):
        whole + Counts(np.zeros(3, np.int64))


def test_everything_comes_back_from_json_bit_for_bit():
    rng = np.random.default_rng(3)
    columns = {"x": rng.normal(size=500), "word": rng.choice(["a", "b"], 500), "flag": rng.random(500) < 0.5,
               "empty": [None] * 500, "huge": [1e300, math.inf] * 250}  # fmt: skip
    references = References.of(columns, at=np.arange(500) * DAY, entity=rng.integers(0, 40, 500))
    window = references.count({name: values[:60] for name, values in columns.items()}, entity=np.arange(60))
    told = json.loads(json.dumps(references.as_dict(), allow_nan=False))
    assert References.from_dict(told).as_dict() == references.as_dict()
    assert References.from_dict(told).count(columns).as_dict() == references.count(columns).as_dict()
    again = Counted.from_dict(json.loads(json.dumps(window.as_dict(), allow_nan=False)))
    assert again.as_dict() == window.as_dict()
    assert (again + window)["x"].rows == 120


def test_words_flags_and_what_does_not_fit_its_column_are_told_apart():
    words = Reference.of(["a"] * 600 + ["b"] * 399 + ["rare"] + [None] * 10)
    assert words.cells.labels == ("below", "a", "b", "other", "above", "missing", "unseen", "mistyped")
    counts = words.count(["a", "rare", "new", None, 7])
    assert (counts.bins.tolist(), counts.missing, counts.unseen) == ([1, 0, 1], 1, 2)
    flags = Reference.of([True, False, None])
    assert flags.count([True, 0.0, 1, "maybe", None]).cells.tolist() == [0, 1, 2, 0, 1, 1, 0]
    numbers = Reference.of([1, 2.5, None, 3])
    assert numbers.kind == "number"
    assert numbers.count([1, "n/a", None, True, float("inf"), -5]).cells.tolist()[-4:] == [1, 1, 0, 1]
    series = Reference.of(pl.Series([1, 2, None, 4]))
    assert series.count(pl.Series([2, None], dtype=pl.Int64)).missing == 1
    assert Reference.of(pl.Series(["x", None])).count(pl.Series(["x", "y"], dtype=pl.Categorical)).unseen == 1


def test_a_column_of_too_many_words_does_not_say_what_it_never_had():
    ids = Reference.of([f"id{number}" for number in range(11_000)])
    assert ids.cells.known is None
    assert ids.count(["new"]).unseen == 0


def test_seasons_are_counted_in_utc_and_held_by_themselves():
    at = np.arange(0, 14 * 24) * (DAY // 24)  # two weeks of hours, from a Thursday on
    reference = Reference.of(np.where(at // DAY % 7 == 0, 100.0, 1.0), at=at)
    thursdays = reference.at_season("weekday", [3])
    assert (thursdays.n, thursdays.counts.bins.tolist()[-1]) == (48, 48)
    assert reference.at_season("hour", [0, 23]).n == 28
    assert reference.at_season("month", season_cells("month", 0, 14 * DAY)).n == 14 * 24
    assert season_cells("hour", 5 * DAY // 24, 5 * DAY // 24 + 1) == [5]
    assert season_cells("weekday", 0, 0) == []
    with pytest.raises(InputError, match="no counts by"):
        Reference.of([1.0]).at_season("weekday", [0])
    with pytest.raises(InputError, match="expected 0 to 6"):
        reference.at_season("weekday", [7])


def test_rows_out_of_order_are_put_into_the_order_of_time():
    rng = np.random.default_rng(4)
    values, at = np.repeat([0.0, 1.0], 500), np.arange(1_000)
    mixed = rng.permutation(1_000)
    reference = Reference.of(values[mixed], at=at[mixed])
    assert reference.counts.as_dict() == Reference.of(values, at=at).counts.as_dict()
    assert reference.effective_n < 30 < Reference.of(values[mixed]).effective_n


def test_one_bad_column_is_told_of_and_the_others_are_counted():
    references = References.of({"x": [1.0, 2.0], "y": [1.0, 2.0]})
    window = references.count({"x": [1.0, 1.5, 2.0], "y": [1.0], "z": [1.0] * 3})
    assert list(window) == ["x"]
    assert "1 values of 3 rows" in window.failed["y"]
    assert (window + references.count({"y": [1.0], "x": [1.0]})).failed.keys() == {"y"}
    with pytest.raises(InputError, match="times of 3 rows"):
        references.count({"x": [1.0] * 3}, at=[1])
    with pytest.raises(InputError, match="entities of 3 rows"):
        references.count({"x": [1.0] * 3}, entity=[1])
    with pytest.raises(InputError, match="at least 2"):
        Reference.of([1.0], bins=1)
    with pytest.raises(InputError, match="no kind"):
        Reference.of([1.0], kind="text")


def test_the_references_of_columns_are_those_of_each_and_entities_are_hashed_once(monkeypatch):
    rng = np.random.default_rng(12)
    at, entity = rng.permutation(600) * (DAY // 20), [f"c{one}" for one in rng.integers(0, 90, 600)]
    columns = {"size": rng.normal(size=600), "kind": rng.choice(["a", "b"], 600).tolist()}
    alone = {name: Reference.of(values, at=at, entity=entity) for name, values in columns.items()}
    times = []
    monkeypatch.setattr(
        "backstay.evaluation.drift.counts.hashed", lambda told: times.append(len(told)) or hashed(told)
    )  # fmt: skip
    together = References.of(columns, at=at, entity=entity)
    assert {name: one.as_dict() for name, one in together.items()} == {
        name: one.as_dict() for name, one in alone.items()
    }
    assert times == [600]
    with pytest.raises(InputError, match="600 times of 3 rows"):
        References.of({**columns, "short": [1, 2, 3]}, at=at)
