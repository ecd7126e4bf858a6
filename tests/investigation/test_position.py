"""Propensities against worlds whose propensities are known, and what they correct."""

from __future__ import annotations

import numpy as np
import pytest

from backstay.core.errors import InputError
from backstay.evaluation.influence import linear_interval
from backstay.evaluation.interval import Insufficient
from backstay.evaluation.metrics import auc
from backstay.investigation.position import Propensities, corrected, harvested, regression_em


def ranked(seed: int, eta: float, items: int = 4000, noise: float = 1.0) -> tuple[np.ndarray, ...]:
    """Items ranked five to a page by two versions that know their relevance with errors of their own."""
    rng = np.random.default_rng(seed)
    relevance = rng.beta(2, 3, items)
    out = []
    for _ in range(2):
        score = relevance + noise * rng.normal(0, 0.2, items)
        position = np.argsort(np.argsort(-score.reshape(-1, 5), axis=1), axis=1).ravel() + 1
        clicked = rng.random(items) < relevance / position**eta
        out.append(np.column_stack([np.arange(items), position, clicked, relevance, score]))
    return tuple(np.concatenate(out).T)


@pytest.mark.parametrize("eta", [0.0, 0.7, 1.4])
def test_harvested_propensities_cover_the_truth(eta: float) -> None:
    held = []
    for seed in range(20):
        item, position, clicked, _, _ = ranked(seed, eta)
        found = harvested(item, position, clicked)
        assert isinstance(found, Propensities)
        truth = np.array(found.positions) ** -eta
        held += [one.low <= t <= one.high for one, t in zip(found.relative[1:], truth[1:], strict=True)]
    assert np.mean(held) >= 0.88


def test_flat_positions_are_called_flat() -> None:
    tails = [harvested(*ranked(seed, 0.0)[:3]).flat for seed in range(40)]  # type: ignore[union-attr]
    assert np.mean(np.array(tails) < 0.05) <= 0.15
    assert harvested(*ranked(0, 1.0)[:3]).flat < 1e-6  # type: ignore[union-attr]


def test_corrected_quality_is_that_of_relevance() -> None:
    # What is judged follows the first version's order, and so its positions: clicks flatter it.
    item, position, clicked, relevance, score = ranked(3, 1.0, items=20_000, noise=3.0)
    found = harvested(item, position, clicked)
    assert isinstance(found, Propensities)
    first = slice(0, 20_000)
    rng = np.random.default_rng(9)
    unbiased = rng.random(20_000) < relevance[first]
    told = linear_interval(corrected("auc", clicked[first], score[first], found.of(position[first])))
    truth = auc(unbiased, score[first])
    assert auc(clicked[first], score[first]) > truth + 0.05
    assert abs(told.estimate - truth) < 0.02  # beside its error there is that of the propensities
    assert told.low < told.estimate < told.high


def test_regression_em_finds_what_no_item_that_moved_tells() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(20_000, 2))
    order = x[:, 0] + rng.normal(0, 1.5, 20_000)
    position = np.argsort(np.argsort(-order.reshape(-1, 4), axis=1), axis=1).ravel() + 1
    clicked = rng.random(20_000) < 1 / (1 + np.exp(-x @ [1.0, -0.5])) / position
    found = regression_em(x, position, clicked, clusters=np.repeat(np.arange(5000), 4))
    assert isinstance(found, Propensities)
    for one, truth in zip(found.relative, (1, 1 / 2, 1 / 3, 1 / 4), strict=True):
        assert abs(one.estimate - truth) < 0.08
    assert found.slope.low < 1.0 < found.slope.high + 0.05


def test_what_cannot_be_told_is_said() -> None:
    item, position, clicked, _, _ = ranked(0, 1.0, items=400)
    assert isinstance(harvested(np.arange(item.size), position, clicked), Insufficient)  # nothing moved
    assert isinstance(harvested(item, np.ones(item.size), clicked), Insufficient)
    assert isinstance(harvested(item, position, np.zeros(item.size)), Insufficient)
    assert isinstance(harvested(item, np.full(item.size, np.nan), clicked), Insufficient)
    assert isinstance(harvested([], [], []), Insufficient)
    # Two islands of positions that no item ties together: the first one's is told.
    island = np.where(item < 200, np.minimum(position, 2), 10 + np.minimum(position, 2))
    found = harvested(item, island, clicked)
    assert isinstance(found, Propensities)
    assert found.positions == (1, 2)
    assert np.isnan(found.of([11])).all()
    with pytest.raises(InputError, match="whole number"):
        harvested([1, 1], [0.5, 2], [0, 1])
    with pytest.raises(InputError, match="one of each"):
        harvested([1], [1, 2], [0, 1])
    with pytest.raises(InputError, match="above 0"):
        corrected("auc", [0, 1], [0.1, 0.2], [0.0, 1.0])
