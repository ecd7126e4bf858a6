"""Has a column drifted? By effect **and** evidence, with the evidence that rows which lean on each other really are.

*Effect*: the population stability index (`distances`) is above the threshold. *Evidence*: the hypothesis that the true
index is at most the threshold is rejected. For an index of d between the distributions that the rows were drawn from,

    PSI x N   is about noncentral chi-square, cells - 1 degrees of freedom, noncentrality d x N,   1/N = 1/n + 1/m

for n and m independent rows; with d = 0 it is the chi-square of Yurdakul and Naranjo ("Statistical properties of the
population stability index", Journal of Risk Model Validation, 2020). A test of *any* difference, as Kolmogorov and
Smirnov's is used, rejects a shift of a fiftieth of a standard deviation if only the window is large enough.

Rows are not independent, and N is the *effective* size. Two of them, and the lesser counts:

    on average    1/N = e/n + f/m, where e and f are the design effects of reference and window (`dependence`), the
                  first-order correction of Rao and Scott (1981): right where nothing has changed
    as it moved   4 PSI over the variance of PSI (the delta method), where on the way to what is seen PSI is at the
                  threshold: right where the hypothesis just holds. Rows that lean on each other lean most in one
                  direction, the level; and a cell that was nearly empty makes PSI vary more than its size says

An effect that a window could not show is not absent: where a true index of `severe` would be found less often than not,
the answer is UNDERPOWERED, and never OK.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import TypedDict

from backstay.core.errors import InputError, told
from backstay.core.show import Shown
from backstay.evaluation.drift.counts import Counted, Counts
from backstay.evaluation.drift.distances import index, smoothed
from backstay.evaluation.drift.reference import Reference, References
from backstay.evaluation.drift.sizes import index_tests
from backstay.evaluation.states import State

ENOUGH = 0.8
"""The power at which no more windows are put together."""


@dataclass(frozen=True, slots=True)
class Rule:
    """When a column has drifted.

    effect: the PSI that is put up with; 0.1 is "worth a look" by the common rule of thumb
    severe: the PSI that a window must be able to show, or it is UNDERPOWERED; 0.2 is "act" by the same rule
    level:  how often a column at the threshold is called drifted, at most; over many columns, the false share of those
            that are called so (Benjamini and Hochberg 1995)
    rows:   effective rows below which nothing is called drifted
    power:  how often `severe` must be found
    """

    effect: float = 0.1
    severe: float = 0.2
    level: float = 0.01
    rows: int = 5
    power: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 <= self.effect < self.severe:
            raise InputError(
                f"effect {self.effect}, severe {self.severe}", where="Rule", expected="0 <= effect < severe"
            )
        if not (0.0 < self.level < 0.5 and 0.0 < self.power < 1.0):
            raise InputError(f"level {self.level}, power {self.power}", where="Rule",
                             expected="a level in (0, 0.5), such as 0.01, and a power in (0, 1)")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Drift(Shown):
    """The answer for one column and window.

    psi:          the population stability index, smoothed; None without data
    lower:        the confidence limit of the true one: it is above this, at the rule's level
    p:            of the test that the true index is at most the rule's effect; None where there was nothing to test
    n, reference_n: rows of window and reference
    effective_n, effective_reference_n: as many independent rows would say as much of this change
    missing, unseen, out_of_range, mistyped: shares of the window's rows, 0 to 1
    why:          the state in a sentence
    """

    state: State
    psi: float | None = None
    lower: float | None = None
    p: float | None = None
    n: int = 0
    effective_n: float = 0.0
    reference_n: int = 0
    effective_reference_n: float = 0.0
    missing: float = 0.0
    unseen: float = 0.0
    out_of_range: float = 0.0
    mistyped: float = 0.0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Drifts(Shown, Mapping[str, Drift]):
    """The answers for all columns of a window, by name."""

    columns: Mapping[str, Drift] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Drift:
        return self.columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def named(self, state: State) -> list[str]:
        """The columns in this state, the largest index first."""
        return sorted((name for name, one in self.columns.items() if one.state is state),
                      key=lambda name: -(self.columns[name].psi or 0.0))  # fmt: skip


def assess(
    reference: Reference, counts: Counts, rule: Rule | None = None, *, effective: float | None = None
) -> Drift:  # fmt: skip
    """Hold a window's counts against a reference.

    effective: how many independent rows the window is worth, where that is known; else it is measured

    >>> import numpy as np
    >>> rng = np.random.default_rng(7)
    >>> reference = Reference.of(rng.normal(size=20_000))
    >>> same, moved = (assess(reference, reference.count(rng.normal(mean, 1, 2000))) for mean in (0.0, 0.6))
    >>> same.state.value, moved.state.value, assess(reference, reference.count([])).state.value
    ('OK', 'DRIFT', 'NO_DATA')
    """
    rule = rule or Rule()
    found, power = _measured(reference, counts, rule, rule.level, effective)
    return found if found.p is None else _stated(found, rule, found.p <= rule.level, power)


def assess_all(references: References, counted: Counted, rule: Rule | None = None) -> Drifts:
    """Hold a window against the references of all columns, with Benjamini and Hochberg's step-up over them.

    A column that was not counted is NO_DATA, with the reason, and does not touch the others. The procedure holds its
    level for columns that are independent or lean on each other positively, as they mostly do (Benjamini and Yekutieli
    2001).
    """
    return assess_latest(references, [counted], rule)


def assess_latest(references: References, windows: Sequence[Counted], rule: Rule | None = None) -> Drifts:
    """The same of the latest windows together, for each column as many as it takes: the shortest run with the power.

    windows: in order of time, the latest last

    A small stream, or one whose rows lean on each other, says too little in a day and enough in a week, or a month: the
    last window is taken, or the last two, four, eight, and so on, or all. How many are is decided by how much they
    could show (`severe` four times of five), and never by what they do. A column that the last window does not have is
    NO_DATA, whatever came before.
    """
    rule = rule or Rule()
    strict = rule.level / max(len(references), 1)  # what one column among all others must pass by itself
    found = {name: _latest(name, reference, windows, rule, strict) for name, reference in references.items()}
    tested = {name: one.p for name, (one, _) in found.items() if one.p is not None}
    rejected = benjamini_hochberg(tested, rule.level)
    return Drifts({
        name: one if one.p is None else _stated(one, rule, name in rejected, power)
        for name, (one, power) in found.items()
    })  # fmt: skip


def benjamini_hochberg(chances: Mapping[str, float], level: float) -> set[str]:
    """The names that are rejected, with a false share of at most `level` (Benjamini and Hochberg, JRSS B 57, 1995).

    >>> sorted(benjamini_hochberg({"a": 0.001, "b": 0.02, "c": 0.2}, 0.05))
    ['a', 'b']
    """
    ordered = sorted(chances, key=lambda name: chances[name])
    for rank in range(len(ordered), 0, -1):
        if chances[ordered[rank - 1]] <= level * rank / len(ordered):
            return set(ordered[:rank])
    return set()


def _latest(
    name: str, reference: Reference, windows: Sequence[Counted], rule: Rule, level: float
) -> tuple[Drift, float]:  # fmt: skip
    why = "there is no window" if not windows else "the window has no such column"
    why = next((f"not counted: {one.failed[name]}" for one in windows[-1:] if name in one.failed), why)
    found, power = Drift(State.NO_DATA, reference_n=reference.n, why=why), 0.0
    there = list(takewhile(lambda window: name in window, reversed(windows)))
    if there and not there[0][name].rows:
        there = there[:1]  # of what has stopped coming, what came before says nothing
    taken: Counts | None = None
    for place, window in enumerate(there, 1):
        try:
            taken = window[name] if taken is None else window[name] + taken
            if place & (place - 1) and place < len(there):
                continue  # not one of 1, 2, 4, ...: to ask each time costs more, and is hardly sooner
            found, power = _measured(reference, taken, rule, level)
        except Exception as error:  # noqa: BLE001  counts of other cells, say: told of, and the other columns go on
            why = f"not compared: {told(error)}"
            return Drift(State.NO_DATA, n=window[name].rows, reference_n=reference.n, why=why), 0.0
        if power >= ENOUGH:
            break
    return found, power


def _measured(
    reference: Reference, counts: Counts, rule: Rule, level: float, effective: float | None = None
) -> tuple[Drift, float]:  # fmt: skip
    """All but the state, which is OK until it is decided, and how often the window would show what is severe."""
    n, m = reference.n, counts.rows
    if not n or not m:
        why = "the reference has no row" if not n else "the window has no row"
        return Drift(State.NO_DATA, n=m, reference_n=n, why=why), 0.0
    used = (reference.counts.cells + counts.cells) > 0
    if used.sum() < 2:
        why = "there is one bin, and every row of both is in it"
        return Drift(State.OK, 0.0, 0.0, None, m, float(m), n, float(n), **_outside(counts), why=why), 1.0
    made = index_tests(reference, counts, rule.effect, effective)
    best, whole = min(made, key=lambda one: one.chance), made[0]
    psi = index(*smoothed(reference.counts.cells, counts.cells))
    chance = min(best.chance * len(made), 1.0)
    drift = Drift(State.OK, psi, min(best.lower(level / len(made)), psi), chance, m, best.window, n, best.reference,
                  **_outside(counts))  # fmt: skip
    power = whole.power(rule.severe, rule.effect, level / len(made)) if whole.window >= rule.rows else 0.0
    return drift, power


def _stated(drift: Drift, rule: Rule, rejected: bool, power: float) -> Drift:
    """The state of a column, by the test's answer and whether it had the power to find what is severe."""
    psi, worth = drift.psi or 0.0, f"{drift.effective_n:,.0f} effective rows of {drift.n:,}"
    if psi > rule.effect and rejected and drift.effective_n >= rule.rows:
        return replace(drift, state=State.DRIFT, why=f"PSI {psi:.3f}, and the true one is above {rule.effect:g}")
    if power < rule.power:
        why = f"PSI {psi:.3f}: {worth} could not show even {rule.severe:g}"
        return replace(drift, state=State.UNDERPOWERED, why=why)
    if psi > rule.effect:
        why = f"PSI {psi:.3f}, but the true one may be {rule.effect:g} or less: {worth}"
        return replace(drift, state=State.OK, why=why)
    return replace(drift, state=State.OK, why=f"PSI {psi:.3f}, by {worth}")


class _Outside(TypedDict):
    missing: float
    unseen: float
    out_of_range: float
    mistyped: float


def _outside(counts: Counts) -> _Outside:
    """Shares of the rows that are in no bin."""
    rows = max(counts.rows, 1)
    return {"missing": counts.missing / rows, "unseen": counts.unseen / rows,
            "out_of_range": (counts.below + counts.above) / rows, "mistyped": counts.mistyped / rows}  # fmt: skip
