"""The fairness of a version as one page that needs nothing else: every number in it is in the JSON too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from backstay.core.drawing import STYLE
from backstay.core.pages import Html, document, facts, table
from backstay.core.times import instant_text
from backstay.evaluation.fairness import Frontier, Group, Point, Together
from backstay.evaluation.fairness.rates import SHORT
from backstay.evaluation.figures.frontier import frontier_figure
from backstay.evaluation.figures.rates import rates_figure
from backstay.evaluation.interval import Estimate, Interval
from backstay.lifecycle.fairness import VersionFairness

DRAWN = ("selection_rate", "tpr", "fpr", "ppv")
"""The rates that are drawn; all are in the table."""


def render(found: VersionFairness) -> str:
    """The whole page."""
    title = f"Fairness of {found.model}, version {found.number}"
    return document(title, f"<h1>{escape(title)}</h1>", *sections(found), style=STYLE)


def sections(found: VersionFairness) -> Iterator[str]:
    """What the page shows, part by part, for a page of more."""
    chosen, report = found.chosen, found.report
    yield facts(
        "",
        {
            "rows": f"{report.rows:,} of {found.asked:,} asked ({found.void:,} void, {found.immature:,} immature)",
            "asked": f"from {instant_text(found.since)} to {instant_text(found.until)}",
            "selected": f"{report.selected:,}, at a score of {report.threshold:g} or more",
            "outcome 1": f"{report.positives:,}",
            "clusters": f"by {found.cluster}",
            "primary criterion": _primary(found),
            "chosen by": None if chosen is None else f"{chosen.by}, {instant_text(chosen.at)}: {chosen.why}",
            "given up": None if chosen is None else "; ".join(f"{a}: {b}" for a, b in chosen.given_up.items()),
        },
    )
    for group in report.groups:
        yield from _group(group)
    yield from _frontier(report.frontier, found.others)


def _primary(found: VersionFairness) -> str:
    return "none is chosen" if found.criterion is None else found.criterion


def _group(group: Group) -> Iterator[str]:
    yield f"<section><h2>By {escape(group.name)}</h2>"
    yield table(
        "", ("group", ">rows", *(f">{name}" for name in SHORT.values()), ">calibration"),
        [
            (cell.name, f"{cell.rows:,}", *(_shown(cell.rates[name]) for name in SHORT), _shown(cell.calibration))
            for cell in group.cells
        ],
    )  # fmt: skip
    yield table(
        "Partially pooled: what small groups borrow from the others, for reading alone",
        ("group", ">rows", *(f">{name}" for name in SHORT.values())),
        [(cell.name, f"{cell.rows:,}", *(_shown(cell.pooled[name]) for name in SHORT)) for cell in group.cells],
        level=3,
    )  # fmt: skip
    for rate in DRAWN:
        yield f"<h3>{escape(SHORT[rate])}</h3>{rates_figure(group, rate)}"
    yield table(
        "Gaps", ("criterion", ">gap", ">chance", ">p, adjusted", "finding", "why"),
        [
            (one.criterion, _shown(one.gap), _number(one.floor), _number(one.adjusted), str(one.finding), one.reason)
            for one in group.gaps
        ],
        level=3,
    )  # fmt: skip
    panel = group.conflict
    yield f"<h3>Which criteria can hold together</h3><p>{escape(panel.reason)}</p>"
    rows = [(one.first, one.second, one.together.value, one.why) for one in panel.pairs]
    ruled = [row for row, one in zip(rows, panel.pairs, strict=True) if one.together is Together.NO]
    yield table("", ("one", "other", "together", "why"), ruled + [row for row in rows if row not in ruled])
    columns = ("group", ">p", ">PPV", ">FNR", ">FPR", ">the equation's", ">difference")
    yield table(
        "FPR = p/(1-p) x (1-PPV)/PPV x (1-FNR)", columns,
        [
            (one.group, *map(_number, (one.base_rate, one.ppv, one.fnr, one.fpr, one.implied)),
             "" if one.residual is None else f"{one.residual:.1e}")
            for one in panel.identities
        ],
        level=3,
    )  # fmt: skip
    yield "</section>"


def _frontier(found: Frontier | object, others: Sequence[Point]) -> Iterator[str]:
    yield "<section><h2>What a smaller gap would cost</h2>"
    if not isinstance(found, Frontier):
        yield f"<p>{escape(str(found))}</p></section>"
        return
    yield f"<p>Thresholds by {escape(found.partition)}, chosen on {found.fitted:,} rows, measured on the other "
    yield f"{found.measured:,}. What is given (the model as it is, others) has another colour.</p>"
    yield frontier_figure(found, others)
    yield table(
        "", ("policy", ">cost a row", ">gap", "needs the attribute", "thresholds"),
        [
            (one.name, f"{one.cost:.4f}", _shown(one.gap), "yes" if one.needs_attribute else "no",
             ", ".join(f"{group}: {limit:.3g}" for group, limit in one.thresholds.items()))
            for one in (found.now, found.single, *others, *found.points)
        ],
    )  # fmt: skip
    yield "</section>"


def _shown(one: Estimate) -> str:
    if isinstance(one, Interval):
        return f"{one.estimate:.3f} [{one.low:.3f}, {one.high:.3f}]"
    return Html(f'<span class="dim">{escape(one.reason)}</span>')


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
