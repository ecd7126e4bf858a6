"""Folds in time: nothing is trained on that was not known when the first scored row was asked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.core.errors import InputError
from backstay.training.splits import time_folds

RANDOM = np.random.default_rng(0)


@given(
    st.lists(st.integers(0, 1_000), min_size=60, max_size=200),
    st.integers(0, 50),
    st.integers(0, 50),
    st.integers(1, 4),
)
def test_what_is_trained_on_was_known(times: list[int], maturity: int, embargo: int, folds: int) -> None:
    at = np.array(times)
    try:
        made = time_folds(at, maturity, folds, embargo=embargo)
    except InputError:
        return
    assert len(made) == folds
    for fold in made:
        first = at[fold.test].min()
        assert (at[fold.train] + maturity + embargo <= first).all()
        known = np.flatnonzero((at + maturity + embargo <= first) & (at < first))
        assert set(fold.train) == set(known)  # all of it
    scored = np.concatenate([fold.test for fold in made])
    assert len(scored) == len(set(scored))
    assert at[made[0].test].max() <= at[made[-1].test].min() or folds == 1


def test_parts_are_about_as_large_and_rows_of_one_moment_stay_together() -> None:
    at = np.repeat(np.arange(400), 5)
    made = time_folds(RANDOM.permutation(at), 0, 3)
    assert [len(fold.test) for fold in made] == [500, 500, 500]
    assert [len(fold.train) for fold in made] == [500 + 0, 1_000, 1_500]


def test_groups_that_are_scored_are_not_trained_on() -> None:
    at, groups = np.arange(1_000), RANDOM.integers(0, 1_000, 1_000)
    for fold in time_folds(at, 0, 3, groups=groups):
        assert not set(groups[fold.train]) & set(groups[fold.test])
        assert len(fold.train)


@pytest.mark.parametrize(("maturity", "folds"), [(2_000, 1), (400, 3)])
def test_a_history_that_is_too_short_is_said(maturity: int, folds: int) -> None:
    with pytest.raises(InputError, match=r"1,000 rows cannot be split into \d folds"):
        time_folds(np.arange(1_000), maturity, folds)
