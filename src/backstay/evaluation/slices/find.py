"""Finding: slices that nobody had named, found on one half of the rows and confirmed on the other.

The halves are made of whole clusters, drawn by a seed: a day that is bad for everyone may not be in both, or it would
confirm on one side what it suggested on the other. On the finding half `search` picks candidates; they are put in order
by the test that `confirm` makes, with clustered errors. The worst of them, at most `most`, are tested on the confirming
half, together at the level asked for (Holm).

A confirmed slice is *explained* by a simpler one where nothing is shown beyond it: neither do its rows outside the
simpler slice differ from the others there, nor those inside from the rest of the simpler slice. It is shown as that,
and counted, but it is no finding of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from backstay.core.errors import InputError
from backstay.core.show import Shown
from backstay.evaluation.influence import cluster_codes
from backstay.evaluation.interval import NotEnough
from backstay.evaluation.metrics import as_numbers
from backstay.evaluation.quantiles import level_tails
from backstay.evaluation.slices.bins import Binned, binned
from backstay.evaluation.slices.confirm import DEFAULT, Compared, Least, Losses, holm
from backstay.evaluation.slices.predicates import Predicate
from backstay.evaluation.slices.search import Candidate, search

CONFIRMED, EXPLAINED, NOT_CONFIRMED, INSUFFICIENT = "confirmed", "explained", "not confirmed", "INSUFFICIENT"
LEAST_T = 0.1
"""The one-sided p-value that a candidate must have on the half where it was found to be tested at all."""
_SAME = 0.5
"""A simpler slice can explain another if it has at least this share of its rows."""

Progress = Callable[[str, int, int], None]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class FoundSlice(Shown):
    """A slice that looked bad on the finding half, and what the other half says.

    verdict:  "confirmed"; "explained" by a simpler slice; "not confirmed"; "INSUFFICIENT": too few rows or clusters
    found:    on the finding half, where it was chosen for looking bad: no evidence
    measured: on the confirming half
    p:        adjusted for all slices that were tested (Holm 1979); None where it could not be told
    """

    predicate: Predicate
    verdict: str
    found: Compared
    measured: Compared
    p: float | None
    explained_by: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {
            "slice": str(self.predicate), "verdict": self.verdict, "explained_by": self.explained_by or None,
            **self.measured.as_dict(), "p": self.p, "found": self.found.as_dict(),
            "predicate": self.predicate.as_dict(),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found(Shown):
    """What a search for slices came to.

    rows, clusters: in all; loss: their mean
    slices:   those that were tested, the confirmed first, of them the simplest first
    looked:   slices of the finding half that were compared; small: those with fewer rows than are needed
    untold:   candidates, looking bad by their rows, that are in too few clusters to be told
    unlooked: columns that have no bins, and why; combinations that did not fit the budget, and why
    notes:    by column, what its bins do not tell apart
    insufficient: why nothing could be looked for; "" where it could
    """

    rows: int
    clusters: int
    loss: float | None
    level: float
    effect: float
    order: int
    slices: tuple[FoundSlice, ...] = ()
    looked: int = 0
    small: int = 0
    untold: int = 0
    unlooked: dict[str, str] | None = None
    notes: dict[str, str] | None = None
    insufficient: str = ""

    @property
    def confirmed(self) -> tuple[FoundSlice, ...]:
        return tuple(one for one in self.slices if one.verdict == CONFIRMED)


def find_slices(
    features: pl.DataFrame, loss: ArrayLike, clusters: ArrayLike | None, *, order: int = 2, level: float = 0.95,
    effect: float = 0.0, least: Least = DEFAULT, most: int = 20, bins: int = 8, words: int = 30,
    budget: int = 256 * 2**20, seed: int = 0, progress: Progress = lambda *_: None,
) -> Found:  # fmt: skip
    """Slices of the features whose mean loss is above that of the rest by more than `effect`.

    features: a column a feature, a row a row; loss: a number a row, larger is worse, in any unit
    clusters: each row's; None: each row stands for itself, and the halves depend on the order of the rows
    order:  features that a slice may name: 1, 2 (pairs too) or 3
    level:  1 - level is the chance that any slice is confirmed falsely; the intervals have this level each
    effect: in the unit of the loss; 0: any difference
    most:   candidates that are tested: the more, the more each must show
    bins, words, budget: see `binned` and `search`; seed: of the draw of the halves

    Too few clusters, or losses without any difference, are told in `Found.insufficient`. `InputError` for losses that
    are no number (take such rows out, and count them) and for lengths that differ.

    >>> rng = np.random.default_rng(7)
    >>> frame = pl.DataFrame({"carrier": rng.choice(["EV", "UA", "DL"], 4000), "miles": rng.random(4000)})
    >>> loss = rng.exponential(0.3, 4000) + 0.3 * (frame["carrier"] == "EV").to_numpy()
    >>> for one in find_slices(frame, loss, np.arange(4000) // 20).confirmed:
    ...     print(one.predicate, one.measured.difference)
    carrier = 'EV' +0.2861 [+0.2547, +0.3175]
    """
    _check(level, effect, most)
    told = _losses(loss, features.height)
    try:
        codes, groups = cluster_codes(clusters, rows=told.size)
    except NotEnough as error:
        mean = float(told.mean()) if told.size else None
        return Found(told.size, min(told.size, 1), mean, level, effect, order, insufficient=error.what)
    everything = Losses.of(told, np.arange(told.size) if codes is None else codes)
    blank = Found(told.size, groups, everything.mean, level, effect, order)
    if why := _obstacle(everything, features, least):
        return replace(blank, insufficient=why)
    finding = (np.random.default_rng(seed).permutation(groups) < groups // 2)[everything.cluster]
    columns, without = binned(features, finding, bins=bins, words=words, progress=progress)
    first, other = (_Half.of(columns, everything, rows, level, effect, least) for rows in (finding, ~finding))
    searched = search(
        first.columns, first.losses.steps, order=order, minimum=least.rows, keep=3 * most,
        effect=effect / first.losses.step, budget=budget, progress=progress,
    )  # fmt: skip
    chosen, untold = _chosen(searched.candidates, first, most, progress)
    return replace(
        blank, slices=_tested(chosen, other, 1 - level, progress), looked=searched.looked, small=searched.small,
        untold=untold,
        unlooked=without | {" and ".join(one): "its table does not fit the budget" for one in searched.skipped},
        notes={one.feature: one.note for one in columns if one.note},
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Half:
    columns: list[Binned]
    losses: Losses
    level: float
    effect: float
    least: Least

    @classmethod
    def of(
        cls, columns: Sequence[Binned], losses: Losses, rows: Bools, level: float, effect: float, least: Least
    ) -> _Half:
        some = np.flatnonzero(rows)  # places are taken in a fraction of the time that a mask needs
        return cls([replace(one, codes=one.codes[some]) for one in columns], losses.only(rows), level, effect, least)

    def rows(self, candidate: Candidate) -> Bools:
        masks = [self.columns[feature].codes == place for feature, place in candidate.places]
        return np.asarray(np.logical_and.reduce(masks), np.bool_)

    def compare(self, candidate: Candidate) -> Compared:
        return self.losses.compare(self.rows(candidate), level=self.level, effect=self.effect, least=self.least)

    def shown(self, inside: Bools, among: Bools) -> bool:
        """Whether the rows inside are shown to be worse than the rest of some rows, by this one test."""
        part = self.losses.only(among)
        p = part.compare(inside[among], level=self.level, effect=self.effect, least=self.least).p
        return p is not None and p <= 1 - self.level

    def beyond(self, one: Bools, simpler: Bools) -> bool:
        """Whether anything is shown of a slice beyond what a simpler one shows."""
        return self.shown(one, simpler) or self.shown(one, ~simpler)


def _losses(loss: ArrayLike, rows: int) -> NDArray[np.float64]:
    told = as_numbers(loss, "loss")
    if told.size != rows:
        raise InputError(f"there are {told.size} losses for {rows} rows", where="loss", expected="one for each row")
    wrong = np.flatnonzero(~np.isfinite(told))
    if wrong.size:
        found = f"{wrong.size} losses are not finite, the first is {told[wrong[0]]} in row {wrong[0]}"
        raise InputError(found, where="loss", expected="a number", fix="take rows without one out, and count them")
    return told


def _check(level: float, effect: float, most: int) -> None:
    level_tails(level)
    if not 0 <= effect < float("inf"):
        raise InputError(f"the effect is {effect}", where="effect", expected="0 or more, in the unit of the loss")
    if most < 1:
        raise InputError(f"{most} candidates are to be tested", where="most", expected="at least one")


def _obstacle(losses: Losses, features: pl.DataFrame, least: Least) -> str:
    """Why there is nothing to look for; "" if there may be."""
    if not features.width:
        return "there is no feature to look at"
    if losses.sizes.size < 2 * least.clusters:
        return f"the rows are in {losses.sizes.size} clusters, and {least.clusters} are needed on each half"
    if not losses.variance:
        return "every row has the same loss"
    return ""


def _chosen(
    candidates: Sequence[Candidate], half: _Half, most: int, progress: Progress
) -> tuple[list[tuple[Candidate, Compared]], int]:
    """The candidates that look worst when clusters are counted, and how many are in too few of them to be told."""
    out, untold = [], 0
    for done, one in enumerate(candidates):
        compared = half.compare(one)
        untold += compared.p is None
        if compared.p is not None and compared.p <= LEAST_T:
            out.append((one, compared))
        progress("candidates", done + 1, len(candidates))
    return sorted(out, key=lambda pair: (pair[1].p, pair[0].rank))[:most], untold


def _tested(
    chosen: Sequence[tuple[Candidate, Compared]], half: _Half, alpha: float, progress: Progress
) -> tuple[FoundSlice, ...]:
    """What the confirming half says of each, the simplest confirmed first."""
    measured = [half.compare(one) for one, _ in chosen]
    adjusted = holm([one.p for one in measured])
    rows = sorted(
        zip(chosen, measured, adjusted, strict=True), key=lambda row: _place(row[0][0], row[1].p, row[2], alpha)
    )
    kept: list[tuple[str, Bools]] = []
    out = []
    for done, ((candidate, found), told, p) in enumerate(rows):
        predicate = Predicate(tuple(half.columns[feature].conditions[bin_] for feature, bin_ in candidate.places))
        verdict, by = (INSUFFICIENT if p is None else NOT_CONFIRMED), ""
        if p is not None and p <= alpha:
            inside = half.rows(candidate)
            by = next((name for name, one in kept if _explains(half, one, inside)), "")
            verdict = EXPLAINED if by else CONFIRMED
            kept += [] if by else [(str(predicate), inside)]
        out.append(FoundSlice(predicate, verdict, found, told, p, by))
        progress("confirming", done + 1, len(rows))
    return tuple(sorted(out, key=lambda one: (CONFIRMED, EXPLAINED, NOT_CONFIRMED, INSUFFICIENT).index(one.verdict)))


def _place(candidate: Candidate, p: float | None, adjusted: float | None, alpha: float) -> tuple[bool, int, float, Any]:
    """The confirmed first, of them the simplest, of equals the surest."""
    confirmed = adjusted is not None and adjusted <= alpha
    return not confirmed, len(candidate.places) if confirmed else 0, 2.0 if p is None else p, candidate.rank


def _explains(half: _Half, simpler: Bools, inside: Bools) -> bool:
    shared = int(np.count_nonzero(simpler & inside))
    return shared >= _SAME * int(np.count_nonzero(inside)) and not half.beyond(inside, simpler)
