"""What is called drift: by effect and evidence, of rows that lean on each other, and never of nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from backstay.core.errors import InputError
from backstay.evaluation.drift import (
    Counted,
    Persistence,
    Reference,
    References,
    Rule,
    assess,
    assess_all,
    assess_latest,
    distances,
)
from backstay.evaluation.states import State

SHIFT = 0.4583
"""Standard deviations by which a normal column moves for a PSI of 0.2 over its deciles."""
HALF = 0.3235
"""And for one of 0.1."""


MIXED = np.random.default_rng(0).integers(0, 1000, 10_000).tolist()


def autocorrelated(rng: np.random.Generator, rows: int, columns: int, rho: float = 0.9) -> np.ndarray:
    """Rows of AR(1) columns with mean 0 and variance 1."""
    noise = rng.normal(size=(rows, columns)) * math.sqrt(1 - rho * rho)
    noise[0] /= math.sqrt(1 - rho * rho)
    for row in range(1, rows):
        noise[row] += rho * noise[row - 1]
    return noise


def by_customer(rng: np.random.Generator, rows: int, columns: int, each: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Rows of customers who have ten each, in no order, and how they mostly are: an intraclass correlation of 0.8."""
    customer = np.repeat(rng.integers(0, 10**9, rows // each), each)
    own = np.repeat(rng.normal(size=(rows // each, columns)), each, axis=0)
    values = math.sqrt(0.8) * own + math.sqrt(0.2) * rng.normal(size=(rows, columns))
    order = rng.permutation(rows)
    return values[order], customer[order]


def named(values: np.ndarray) -> dict[str, np.ndarray]:
    return {f"x{place}": column for place, column in enumerate(values.T)}


def test_windows_in_which_nothing_has_changed_are_not_called_drifted():
    rng = np.random.default_rng(5)
    kinds = {"independent": lambda rows: (rng.normal(size=(rows, 10)), None),
             "autocorrelated": lambda rows: (autocorrelated(rng, rows, 10), None),
             "clustered": lambda rows: by_customer(rng, rows, 10)}  # fmt: skip
    for kind, drawn in kinds.items():
        values, customer = drawn(20_000)
        references = References.of(named(values), entity=customer)
        for _ in range(12):
            values, customer = drawn(500)
            found = assess_all(references, references.count(named(values), entity=customer))
            assert not found.named(State.DRIFT), kind


def test_a_window_of_two_thousand_rows_finds_an_index_of_two_tenths_and_leaves_one_at_the_threshold():
    rng = np.random.default_rng(6)
    reference = Reference.of(rng.normal(size=50_000))
    found = {mean: [assess(reference, reference.count(rng.normal(mean, 1, 2_000))).state for _ in range(60)]
             for mean in (HALF, SHIFT)}  # fmt: skip
    assert found[SHIFT].count(State.DRIFT) >= 57
    assert found[HALF].count(State.DRIFT) <= 2


@pytest.mark.parametrize("kind", ["autocorrelated", "clustered"])
def test_rows_that_lean_on_each_other_count_for_what_they_are_worth(kind):
    rng = np.random.default_rng(7)
    if kind == "autocorrelated":
        values, customer = autocorrelated(rng, 30_000, 1)[:, 0], None
        window, theirs, mean_worth = autocorrelated(rng, 20_000, 1)[:, 0], None, 1 / 19
    else:
        drawn, customer = by_customer(rng, 30_000, 1)
        other, theirs = by_customer(rng, 20_000, 1)
        values, window, mean_worth = drawn[:, 0], other[:, 0], 1 / 8.2
    reference = Reference.of(values, entity=customer)
    found = assess(reference, reference.count(window + SHIFT, entity=theirs))
    assert (
        0.5 * mean_worth < found.effective_n / found.n < 2.5 * mean_worth
    )  # of a mean; other directions are worth more
    independent = rng.permutation(values)
    assert Reference.of(independent).effective_n > 0.7 * len(values)


def test_windows_of_training_tell_how_much_windows_differ():
    """A level that changes from day to day: each day by itself looks far from all of them, and none is anything new."""
    rng = np.random.default_rng(8)
    days = np.repeat(rng.normal(size=400), 200) + 0.3 * rng.normal(size=80_000)
    reference = Reference.of(days[:60_000])
    states = [assess(reference, reference.count(days[at : at + 200])).state for at in range(60_000, 80_000, 200)]
    assert states.count(State.DRIFT) == 0
    assert assess(reference, reference.count(days[60_000:64_000] + 25.0)).state is State.DRIFT


def test_small_windows_are_put_together_until_they_can_tell():
    rng = np.random.default_rng(9)
    references = References.of({"x": rng.normal(size=20_000), "gone": rng.normal(size=20_000)})
    windows = [references.count({"x": rng.normal(SHIFT + 0.2, 1, 40)}) for _ in range(40)]
    assert assess_all(references, windows[-1])["x"].state is State.UNDERPOWERED
    found = assess_latest(references, windows)
    assert found["x"].state is State.DRIFT
    assert 80 <= found["x"].n < 1_600
    assert found["gone"].state is State.NO_DATA


def test_an_index_that_is_large_by_chance_alone_is_no_drift():
    rng = np.random.default_rng(10)
    reference = Reference.of(rng.normal(size=10_000))
    found = [assess(reference, reference.count(rng.normal(size=60))) for _ in range(40)]
    assert max(one.psi for one in found) > 0.2
    assert {one.state for one in found} == {State.UNDERPOWERED}
    assert "could not show even 0.2" in found[0].why


@pytest.mark.parametrize(
    ("trained", "served", "state"),
    [
        ([1.0, 2.0, 3.0] * 100, [], State.NO_DATA),
        ([], [1.0, 2.0], State.NO_DATA),
        ([5.0] * 300, [5.0] * 300, State.OK),  # constant, and it still is
        ([5.0] * 300, [6.0] * 300, State.DRIFT),
        ([None] * 300, [None] * 300, State.OK),
        ([None] * 300, [1.0] * 300, State.DRIFT),
        ([1.0, 2.0, 3.0] * 100, [None] * 300, State.DRIFT),  # all null
        (MIXED, MIXED[:8], State.UNDERPOWERED),  # eight rows
        (["a", "b"] * 500, ["a", "b", "new"] * 200, State.DRIFT),  # a new category
        (MIXED, [math.inf, -math.inf] * 200, State.DRIFT),
        ([True, False] * 3000, [True, False] * 300, State.OK),
        ([True, False] * 3000, [1.0, 0.0] * 300, State.OK),  # as a model's input has it
        (MIXED, [*MIXED[:1000], "x", True, None], State.OK),  # mixed types
        (MIXED, ["x"] * 500, State.DRIFT),
        (["1", "2"] * 3000, [1, 2.0] * 300, State.OK),
        ([1e300, -1e300] * 3000, [1e300, -1e300] * 300, State.OK),
    ],
)
def test_a_right_state_of_every_odd_column(trained, served, state):
    reference = Reference.of(trained)
    found = assess(reference, reference.count(served))
    assert found.state is state, found
    assert found.why
    told = distances(reference, reference.count(served))
    assert all(value is None or math.isfinite(value) for value in told.values())


def test_a_bad_column_is_told_of_and_does_not_break_the_report():
    rng = np.random.default_rng(11)
    references = References.of({"good": rng.normal(size=5_000), "bad": rng.normal(size=5_000), "gone": [1.0] * 5_000})
    counted = references.count({"good": rng.normal(1.0, 1, 1_000), "bad": [1.0]})
    found = assess_all(references, counted)
    assert [found[name].state for name in ("good", "bad", "gone")] == [State.DRIFT, State.NO_DATA, State.NO_DATA]
    assert "not counted" in found["bad"].why
    assert "no such column" in found["gone"].why
    other = Reference.of(["a"]).count(["a"])  # counts of other cells
    mixed = assess_all(references, Counted(1, {"good": other, "bad": counted["good"]}))
    assert [mixed[name].state for name in ("good", "bad")] == [State.NO_DATA, State.DRIFT]
    assert "not compared" in mixed["good"].why
    assert assess_all(references, Counted())["good"].state is State.NO_DATA


def test_the_limit_of_the_true_index_goes_with_the_answer():
    rng = np.random.default_rng(12)
    reference = Reference.of(rng.normal(size=50_000))
    drifted = assess(reference, reference.count(rng.normal(0.8, 1, 2_000)))
    assert 0.1 < drifted.lower < drifted.psi
    assert drifted.as_dict()["state"] == "DRIFT"
    assert assess(reference, reference.count(rng.normal(0.8, 1, 2_000)), effective=30).state is not State.DRIFT
    with pytest.raises(InputError, match="effect"):
        Rule(effect=0.3)
    with pytest.raises(InputError, match="level"):
        Rule(level=0.0)


def test_distances_are_what_they_are_of_the_rows_where_bins_tell_it_all():
    rng = np.random.default_rng(13)
    trained, served = rng.integers(0, 8, 4_000), rng.integers(1, 8, 2_000)
    reference = Reference.of(trained, bins=20)
    found = distances(reference, reference.count(served))
    share = [np.bincount(one, minlength=8) / len(one) for one in (trained, served)]
    assert found["ks"] == pytest.approx(np.abs(np.cumsum(share[1] - share[0])).max())
    table = np.stack([np.bincount(trained, minlength=8), np.bincount(served, minlength=8)]).astype(float)
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    assert found["chi_square"] == pytest.approx(((table - expected) ** 2 / expected).sum())
    middle = (share[0] + share[1]) / 2
    divergence = sum((one[one > 0] * np.log2(one[one > 0] / middle[one > 0])).sum() for one in share) / 2
    assert found["js"] == pytest.approx(math.sqrt(divergence))


def test_an_alarm_takes_windows_that_last():
    column = Persistence(needed=2, among=3)
    said = [State.DRIFT, State.OK, State.OK, State.DRIFT, State.NO_DATA, State.UNDERPOWERED, State.DRIFT]
    alarms = []
    for day, state in enumerate(said):
        column = column.update(state, at=day)
        alarms.append(column.alarm)
    assert alarms == [False] * 6 + [True]
    assert column.since == 3
    assert Persistence.from_dict(column.as_dict()) == column
    with pytest.raises(InputError, match="needed <= among"):
        Persistence(3, 2)


def test_a_column_that_stops_coming_is_not_told_of_by_what_came_before():
    rng = np.random.default_rng(14)
    references = References.of({"x": rng.normal(size=5_000)})
    before = [references.count({"x": rng.normal(size=50)}) for _ in range(5)]
    assert assess_latest(references, [*before, references.count({})])["x"].state is State.NO_DATA
    assert assess_latest(references, [*before, references.count({"x": []})])["x"].state is State.NO_DATA
    assert assess_latest(references, [])["x"].why == "there is no window"
    assert assess_latest(references, before)["x"].n == 250
