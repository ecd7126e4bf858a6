"""The report of a monitor as one page that needs nothing else: no script, no file beside it, nothing loaded."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from backstay.core.drawing import STYLE
from backstay.core.pages import Html, document, facts, table
from backstay.core.times import age_text, instant_text
from backstay.evaluation.interval import Insufficient
from backstay.evaluation.states import State
from backstay.monitoring.assess import Found
from backstay.monitoring.labels import LabelReport
from backstay.monitoring.report import Report
from backstay.monitoring.signals import DATA_QUALITY, ESTIMATED_LOSS, INPUT_DRIFT, SCORE_DRIFT, SKEW, Signal

SECTIONS = (
    (SKEW, "Training-serving skew", "rows computed again from the events record"),
    (DATA_QUALITY, "Data quality", "what is broken rather than moved"),
    (ESTIMATED_LOSS, "Quality before labels", "what it will be, if scores go on meaning what they meant"),
    (SCORE_DRIFT, "Scores and decisions", "against rows that the version had not learned from"),
    (INPUT_DRIFT, "Features", "against the rows that it was trained on"),
)
_CLASSES = {State.DRIFT: "bad", State.OK: "good", State.UNDERPOWERED: "dim", State.NO_DATA: "dim"}


def render(found: Report) -> str:
    """The whole page."""
    first, last = (instant_text(at)[:10] for at in (found.since, found.until))
    heat = found.heat_map()
    drawn = (
        f"<h2>Drift by window</h2><figure>{heat}<figcaption>Each window with as many before it as it takes to tell. A "
        "bar below a cell: it drifts, by effect and evidence; what is dark and has none may be chance. Dashed: another "
        "champion.</figcaption>"
        "</figure>"
    )
    return document(
        f"monitor of {found.model}",
        f"<h1>{escape(found.model)}, {first} to {last}</h1>",
        facts("", _head(found)),
        table("Signals that are on", ("kind", "what", ">effect", ">tolerated", "since", "why"),
              map(_signal, found.signals), empty="none, by the last window that a tick has looked at"),
        drawn if heat else "",
        *(
            table(f"{title}: {about}", ("what", "state", ">effect", ">tolerated", "why"), map(_row, found.of(kind)),
                  empty="nothing stands out")
            for kind, title, about in SECTIONS
        ),
        _domain(found),
        *_labels(found.labels),
        style=STYLE,
    )  # fmt: skip


def _head(found: Report) -> dict[str, str | None]:
    answered = ", ".join(f"v{number}: {rows:,}" for number, rows in found.versions.items())
    return {
        "rows": f"{found.rows:,} in {len(found.days)} windows", "answered by": answered or "nobody",
        "about": None if found.version is None else f"v{found.version}, which answered last",
        "open": None if found.open is None else found.open.line,
        "drifting": ", ".join(found.drifting) or "nothing that these rows can show",
    }  # fmt: skip


def _signal(one: Signal) -> tuple[str, ...]:
    why = str(one.evidence.get("why", ""))
    return (
        one.kind.replace("_", " "), one.what, f"{one.effect:.3g}", f"{one.threshold:.3g}",
        instant_text(one.since)[:10], why,
    )  # fmt: skip


def _row(one: Found) -> tuple[str, ...]:
    state = Html(f'<span class="{_CLASSES[one.state]}">{escape(one.state.value)}</span>')
    effect = "" if one.effect is None else f"{one.effect:.3f}"
    return one.what, state, effect, f"{one.threshold:.3g}", one.why


def _domain(found: Report) -> str:
    if found.domain is None:
        return ""
    auc, told = found.domain.auc, _shares(found.domain.columns.items())
    said = str(auc) if isinstance(auc, Insufficient) else f"AUC {auc.estimate:.3f} [{auc.low:.3f}, {auc.high:.3f}]"
    about = (
        "How well a classifier tells the last rows from training rows by all inputs together: 0.5 is not at all. It "
        "also sees what no column shows by itself. Rows of one day lean on each other; the interval is over days."
    )
    return f"<h2>All inputs at once</h2><p>{escape(about)}</p>" + facts("", {"result": said, "by": told})


def _labels(found: LabelReport | None) -> list[str]:
    """How the labels come, what is wrong with them, and what they say by week."""
    if found is None:
        return []
    maturity = found.maturity
    reached = str(maturity)
    if not isinstance(maturity, Insufficient):
        ages = [(one.share, one.age) for one in maturity.reached]
        reached = ", ".join(f"{share:.0%} {_after(age)}" for share, age in ages)
    wrong = {name.replace("_", " "): count for name, count in found.faults.as_dict().items() if count}
    told = found.calibration
    gap = "" if told.gap is None else f", {told.gap} more often than said"
    facts_ = {
        "rows": f"{found.rows:,}, of which {found.mature:,} are mature and {found.void:,} void",
        "labels are known": reached,
        "wrong with them": ", ".join(f"{name}: {count:,}" for name, count in wrong.items()) or "nothing",
        "calibration": f"{told.state}{gap}" + (f": {told.why}" if told.why else ""),
    }
    rows = [
        (
            instant_text(one.start)[:10], f"{one.served:,}", f"{one.maturity:.0%}", f"{one.labelled:,}",
            *(str(one.realised.get(name, "")) for name in ("auc", "log_loss")),
        )
        for one in found.cohorts
    ]  # fmt: skip
    columns = ("week of", ">asked", ">mature", ">labelled", "AUC", "log loss")
    return [facts("Labels", facts_), table("", columns, rows, empty="no week")]


def _after(age: float | None) -> str:
    return "at no age that was seen" if age is None else f"after {age_text(int(age))}"


def _shares(columns: Iterable[tuple[str, float]]) -> str:
    return ", ".join(f"{name} {share:.0%}" for name, share in list(columns)[:6] if share >= 0.01)
