"""Can rows of now be told from rows of training? What a look at one column after the other can't see.

A **domain classifier** learns which of two samples a row is from (Ben-David et al. 2010; the classifier two-sample test
of Lopez-Paz and Oquab, 2017). An AUC of 0.5 says that they can't be told apart. Columns that each stay as they were,
and no longer go together as they did, are told apart by it alone.

The classifier here is Fisher's discriminant, with a ridge, of each number's rank in the reference, its square and the
products of every two, of the words of categories, and of what is missing: a closed form, the same on every machine. It
sees that a mean, a spread or a correlation of ranks has changed, and no finer pattern.

It is fitted and asked on different rows (five folds), and a *cluster* is never in both: the rows of an entity, or,
where none is told, 30 stretches of each sample in the order of time; a fold is then six of them that follow on each
other. Neighbours in both would tell a sample by its level of the day, and two samples of one process would seem far
apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backstay.core.errors import InputError
from backstay.core.show import Shown
from backstay.evaluation.areas import auc_interval
from backstay.evaluation.drift.cells import Cells
from backstay.evaluation.interval import Estimate, Insufficient, Interval, estimated

Floats = NDArray[np.float64]

FOLDS, STRETCHES = 5, 30
MOST = 20_000
"""Rows of a sample that are looked at, whole clusters, spread over all of it."""
PAIRED = 24
"""Numbers whose products are looked at: of more, those that differ most by themselves."""
RIDGE = 1e-3


@dataclass(frozen=True, slots=True)
class Domain(Shown):
    """How well rows of now are told from rows of training.

    auc:    with its interval over clusters; `Insufficient` where there are too few
    columns: how much of what tells them apart is due to each column, largest first; together 1
    n, reference_n: rows that were looked at
    """

    auc: Estimate
    columns: Mapping[str, float]
    n: int
    reference_n: int

    def differs(self, margin: float = 0.55) -> bool | None:
        """Whether the true AUC is above the margin; None where the interval can't tell."""
        if isinstance(self.auc, Insufficient):
            return None
        return True if self.auc.low > margin else False if self.auc.high < margin else None


def domain_classifier(
    reference: Mapping[str, Any],
    rows: Mapping[str, Any],
    *,
    entity: Any = None,
    reference_entity: Any = None,
    level: float = 0.95,
    seed: int = 0,
) -> Domain:
    """Tell rows from reference rows, by the columns that both have, each of shape (rows,).

    entity, reference_entity: of each row, both or neither; an entity of both samples is one cluster
    seed:  which entities are in which fold
    Raises `InputError` where they have no column in common.

    >>> rng = np.random.default_rng(7)
    >>> x, y = rng.normal(size=(2, 4000))
    >>> found = domain_classifier({"x": x[:2000], "y": x[:2000]}, {"x": x[2000:], "y": y[2000:]})
    >>> found.differs()  # each column is as it was, and they no longer go together
    True
    """
    names = [name for name in reference if name in rows]
    if not names:
        raise InputError("no column is in both samples", where="rows", expected="the columns of the reference")
    before, now = len(reference[names[0]]), len(rows[names[0]])
    clusters, kept = _clusters(before, now, reference_entity, entity)
    outcome = (np.arange(before + now) >= before)[kept]
    if outcome.all() or not outcome.any():
        return Domain(Insufficient("one of the samples has no row", int(kept.size)), {}, int(outcome.sum()), 0)
    design, owners = _design(names, reference, rows, kept, outcome)
    score, gain = _cross_fitted(design, outcome, _folds(clusters, entity is None, seed)[kept])
    found = estimated(lambda: auc_interval(outcome, score, clusters[kept], level), int(kept.size))
    return Domain(found, _credited(gain, owners, names), int(outcome.sum()), int((~outcome).sum()))


def _clusters(before: int, now: int, old: Any, new: Any) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The cluster of each row, reference first, and the rows that are kept: those of whole clusters."""
    if (old is None) != (new is None):
        raise InputError("entities are told of one sample", where="entity", expected="of both, or of neither")
    if old is None:
        parts = [np.arange(size) * STRETCHES // max(size, 1) for size in (before, now)]
        clusters = np.concatenate([parts[0], parts[1] + STRETCHES])
        kept = [first + np.unique(np.linspace(0, size - 1, min(size, MOST)).astype(np.intp))
                for first, size in ((0, before), (before, now)) if size]  # fmt: skip
        return clusters.astype(np.intp), np.concatenate([np.empty(0, np.intp), *kept])
    told = [str(one) for one in (*np.asarray(old).tolist(), *np.asarray(new).tolist())]
    _, clusters = np.unique(np.asarray(told, object).astype(str), return_inverse=True)
    order = np.random.default_rng(0).permutation(clusters.max(initial=0) + 1)[clusters]  # any order but the names'
    chosen = []
    for first, size in ((0, before), (before, now)):
        mine = order[first : first + size]
        limit = np.sort(mine)[MOST - 1] if size > MOST else np.inf
        chosen.append(first + np.flatnonzero(mine <= limit))
    return clusters.astype(np.intp), np.concatenate(chosen)


def _design(
    names: list[str], reference: Mapping[str, Any], rows: Mapping[str, Any],
    kept: NDArray[np.intp], outcome: NDArray[np.bool_],
) -> tuple[Floats, list[tuple[str, ...]]]:  # fmt: skip
    """What the classifier goes by, standardised, and which columns each of it is of."""
    ranks: dict[str, Floats] = {}
    found: list[Floats] = []
    owners: list[tuple[str, ...]] = []
    for name in names:
        cells = Cells.of(reference[name])
        codes = np.concatenate([cells.codes(reference[name]), cells.codes(rows[name])])[kept]
        inner = codes <= cells.bins + 1  # below, bins, above: in order, where it is a number
        if cells.kind == "number" and cells.bins > 1:
            middle, half = (cells.bins + 1) / 2, cells.bins / 2
            ranks[name] = np.where(inner, (codes - middle) / half, 0.0)
            found += [ranks[name], np.square(ranks[name])]
            owners += [(name,)] * 2
            told = range(cells.bins + 2, cells.width)
        else:
            told = range(cells.width)
        for cell in told:
            found.append((codes == cell).astype(np.float64))
            owners.append((name,))
    apart = {name: abs(float(one[outcome].mean() - one[~outcome].mean())) for name, one in ranks.items()}
    paired = sorted(apart, key=lambda name: -apart[name])[:PAIRED]
    for left, right in combinations(paired, 2):
        found.append(ranks[left] * ranks[right])
        owners.append((left, right))
    design = np.column_stack(found)
    spread = design.std(axis=0)
    keep = spread > 0
    return (design[:, keep] - design[:, keep].mean(axis=0)) / spread[keep], [
        owner for owner, one in zip(owners, keep, strict=True) if one
    ]


def _folds(clusters: NDArray[np.intp], in_time: bool, seed: int) -> NDArray[np.intp]:
    """The fold of each row: of stretches those that follow on each other, of entities any."""
    if in_time:
        return np.asarray(clusters % STRETCHES * FOLDS // STRETCHES, np.intp)
    count = int(clusters.max(initial=-1)) + 1
    return np.asarray((np.random.default_rng(seed).permutation(count) % FOLDS)[clusters], np.intp)


def _cross_fitted(
    design: Floats, outcome: NDArray[np.bool_], mine: NDArray[np.intp]
) -> tuple[Floats, Floats]:  # fmt: skip
    """Each row's score by a fit without its fold (`mine`), and what each part of the design gives to the fit of all."""
    parts = [_sums(design[mine == one], outcome[mine == one]) for one in range(FOLDS)]
    whole = [sum(part[place] for part in parts) for place in range(5)]
    score = np.zeros(len(design))
    for one, part in enumerate(parts):
        weights, _ = _fisher(*(total - own for total, own in zip(whole, part, strict=True)))
        score[mine == one] = design[mine == one] @ weights
    weights, gap = _fisher(*whole)
    return score, weights * gap


def _sums(design: Floats, outcome: NDArray[np.bool_]) -> tuple[Any, ...]:
    return (design.T @ design, design[outcome].sum(axis=0), design[~outcome].sum(axis=0),
            float(outcome.sum()), float((~outcome).sum()))  # fmt: skip


def _fisher(products: Floats, now: Floats, before: Floats, m: float, n: float) -> tuple[Floats, Floats]:
    """The weights of Fisher's discriminant, and how far the means lie apart."""
    if not (m and n):
        return np.zeros(len(products)), np.zeros(len(products))
    gap = now / m - before / n
    within = (products - np.outer(now, now) / m - np.outer(before, before) / n) / (m + n)
    weights = np.linalg.solve(within + RIDGE * np.eye(len(within)), gap) if len(within) else gap
    return np.asarray(weights, np.float64), np.asarray(gap, np.float64)


def _credited(gain: Floats, owners: list[tuple[str, ...]], names: list[str]) -> dict[str, float]:
    given = dict.fromkeys(names, 0.0)
    for one, owner in zip(gain.tolist(), owners, strict=True):
        for name in owner:
            given[name] += max(one, 0.0) / len(owner)
    whole = sum(given.values())
    return {name: given[name] / whole if whole else 0.0 for name in sorted(names, key=lambda name: -given[name])}


__all__ = ["Domain", "Interval", "domain_classifier"]
