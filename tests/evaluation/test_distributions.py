"""PSI tells a shift from chance, at every sample size, and the bins are the reference's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from backstay.core.errors import InputError
from backstay.evaluation.distributions import THRESHOLD, Bins, chi_square_quantile, shift

NAN = float("nan")


@pytest.mark.parametrize("df", [1, 2, 5, 9, 12, 40])
@pytest.mark.parametrize("probability", [0.9, 0.95, 0.99])
def test_the_quantile_is_that_of_chi_square(df: int, probability: float) -> None:
    assert chi_square_quantile(probability, df) == pytest.approx(stats.chi2.ppf(probability, df), rel=0.03)


def test_the_index_is_its_formula() -> None:
    reference, found = [0.0] * 30 + [1.0] * 70, [0.0] * 60 + [1.0] * 140
    told = shift(reference, [0.0] * 50 + [1.0] * 50)
    p, q = (30.5 / 101, 70.5 / 101), (50.5 / 101, 50.5 / 101)
    assert told.psi == pytest.approx(sum((a - b) * np.log(a / b) for a, b in zip(p, q, strict=True)))
    assert shift(reference, found).psi == pytest.approx(0.0, abs=1e-4)
    assert told.floor == pytest.approx((1 / 100 + 1 / 100) * stats.chi2.ppf(0.95, 1), rel=0.03)


@pytest.mark.parametrize("size", [60, 200, 1000, 5000])
@pytest.mark.parametrize("kind", ["normal", "counts", "mostly zero", "with nulls"])
def test_chance_stays_below_the_floor_as_often_as_promised(kind: str, size: int) -> None:
    rng = np.random.default_rng(20260101)

    def draw(n: int) -> np.ndarray:
        return {
            "normal": lambda: rng.normal(size=n),
            "counts": lambda: rng.poisson(4.0, size=n).astype(float),
            "mostly zero": lambda: np.where(rng.random(n) < 0.7, 0.0, rng.gamma(2.0, size=n)),
            "with nulls": lambda: np.where(rng.random(n) < 0.2, NAN, rng.normal(size=n)),
        }[kind]()

    tries = 400
    above = sum((one := shift(draw(5000), draw(size))).psi > one.floor for _ in range(tries))
    assert above / tries < 0.09  # 5%, and three standard errors
    below = sum(shift(draw(5000), draw(size)).psi > THRESHOLD for _ in range(50))
    assert size == 60 or below <= 15


@pytest.mark.parametrize(
    ("reference", "served"),
    [
        ([3.0] * 100, [4.0] * 100),  # a constant that became another
        ([3.0] * 100, [2.0] * 100),
        ([1.0, 2.0] * 50, [NAN] * 100),  # a source that stopped
        ([NAN] * 100, [1.0] * 100),
        ([1.0, 2.0] * 50, [float("inf")] * 100),
        ([0.0] * 70 + list(np.linspace(0.1, 9, 30)), list(np.linspace(0.1, 9, 100))),  # the zeros went
        (list(range(1000)), [5000.0] * 50),  # out of range
        (list(range(1000)), list(range(500, 1000))),
    ],
)
def test_a_shift_is_seen(reference: list[float], served: list[float]) -> None:
    assert shift(reference, served).differs


def test_eight_rows_prove_little_and_many_prove_a_small_shift_that_is_not_told() -> None:
    rng = np.random.default_rng(7)
    few = shift(rng.normal(size=5000), rng.normal(size=8))
    assert few.psi > THRESHOLD
    assert not few.differs
    small = shift(rng.normal(size=200_000), rng.normal(0.05, size=200_000))
    assert small.psi > small.floor
    assert not small.differs


def test_the_bins_are_the_references_and_stay() -> None:
    bins = Bins.of(np.arange(1000.0))
    assert bins.counts(np.arange(1000.0)).tolist() == [0, 99, *[100] * 8, 101, 0, 0]
    assert bins.counts([-1.0, 2000.0, NAN]).tolist() == [1, *[0] * 10, 1, 1]


def test_facts_of_both_sides() -> None:
    told = shift([1.0, 3.0, NAN, NAN], [5.0, NAN]).as_dict()
    assert told["reference"] == {"rows": 4, "missing": 0.5, "mean": 2.0}
    assert told["served"] == {"rows": 2, "missing": 0.5, "mean": 5.0}
    assert shift([NAN], [NAN]).as_dict()["served"]["mean"] is None


@pytest.mark.parametrize(("reference", "served"), [([], [1.0]), ([1.0], [])])
def test_nothing_can_not_be_compared(reference: list[float], served: list[float]) -> None:
    with pytest.raises(InputError, match="no row"):
        shift(reference, served)
    with pytest.raises(InputError, match="no value"):
        Bins.of([NAN])
