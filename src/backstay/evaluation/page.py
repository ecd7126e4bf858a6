"""The page of an evaluation: one HTML file that needs nothing else, made from the plain values of its record alone.

So every number on it is in the JSON beside it, and whoever doubts the page can read the record.

>>> told = {"about": {"model": "late", "version": "3"}}
>>> page("late 3", told)[:15]
'<!doctype html>'
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

from backstay.core.drawing import STYLE
from backstay.core.pages import Html, document, facts, table
from backstay.evaluation.figures import curves

Told = Mapping[str, Any]

HEADLINES = (
    ("average_precision", "average precision"), ("auc", "AUC"), ("log_loss", "log loss, nats a row"),
    ("log_loss_gain", "better than the constant by"), ("brier", "Brier score"),
    ("calibration_error", "calibration error (ECE)"),
)  # fmt: skip
SHARES = (
    ("recall", "recall"), ("precision", "precision"), ("false_positive_rate", "false positive rate"),
    ("flagged", "decided true"), ("f1", "F1"), ("cost", "cost of a row"),
)  # fmt: skip


def page(title: str, told: Told, *more: str) -> str:
    """The page of a record: what of `about`, `evaluation` and `comparison` it has, and `more` sections, as HTML."""
    parts = [f"<h1>{escape(title)}</h1>"]
    if "about" in told:
        parts.append(facts("", {name: _text(value) for name, value in told["about"].items()}))
    for name, section in SECTIONS.items():
        if told.get(name):
            parts.append(f"<section>{''.join(section(told[name]))}</section>")
    return document(title, *parts, *more, style=STYLE)


def _evaluation(told: Told) -> Iterator[str]:
    prevalence = f"{told['positives']:,} of {told['n']:,} rows ({number(told['prevalence'])}) have outcome 1"
    yield f"<h2>How good it is</h2><p>{prevalence}, in {told['clusters']:,} clusters.</p>"
    rows = [(words, *estimate(told[name])) for name, words in HEADLINES]
    notes = {"average precision": _lift(told), "log loss, nats a row": _constant(told)}
    yield table(
        "", ("", ">estimate", f">{told['level']:.0%} interval", ""), [(*row, notes.get(row[0], "")) for row in rows]
    )
    shown = told["curves"]
    if "insufficient" not in shown["precision_recall"]:
        named = "precision falls to the prevalence as recall rises; a model that knows nothing lies on the dashed line"
        yield figure(curves.precision_recall({"model": shown["precision_recall"]}, told["prevalence"]), named)
        yield figure(curves.roc({"model": shown["roc"]}), "the diagonal is a score that knows nothing")
    yield from _calibration(told)
    if told["decisions"] is not None:
        yield from _decisions(told)


def _lift(told: Told) -> str:
    return "" if told["lift"] is None else f"{number(told['lift'])} times the prevalence"


def _constant(told: Told) -> str:
    constant = told["constant_log_loss"]
    return "" if constant is None else f"saying the prevalence always: {number(constant)}"


def _calibration(told: Told) -> Iterator[str]:
    yield "<h2>Whether its probabilities mean what they say</h2>"
    line, parts = told["calibration"], told["brier_parts"]
    names = (
        ("intercept", "intercept (0 is right)"),
        ("slope", "slope (1 is right; below: too sure)"),
        ("level", "level (0 is right)"),
    )
    rows = [(words, *estimate(line if "insufficient" in line else line[name])) for name, words in names]
    yield table("", ("Cox's line of log-odds", ">estimate", ">interval"), rows)
    if "insufficient" not in parts:
        said = {name: number(parts[name]) for name in ("brier", "reliability", "resolution", "uncertainty", "skill")}
        yield facts("Parts of the Brier score", said, level=3)
    bins = told["curves"]["reliability"]
    if bins:
        named = "each point is a bin of equally many rows, with the interval of what happened; in the band lies chance"
        yield figure(curves.reliability(bins), named)


def _decisions(told: Told) -> Iterator[str]:
    decisions = told["decisions"]
    yield f"<h2>What its decisions do, from {number(decisions['threshold'])} on</h2>"
    rows = [(words, *estimate(decisions[name])) for name, words in SHARES if decisions[name] is not None]
    yield table("", ("", ">estimate", ">interval"), rows)
    count = decisions["counts"]
    cells = [("happened", f"{count['tp']:,}", f"{count['fn']:,}"), ("did not", f"{count['fp']:,}", f"{count['tn']:,}")]
    yield table("Counts", ("", ">decided true", ">decided false"), cells, level=3)
    right = f"{number(decisions['accuracy'])} of the decisions are right"
    constant = f"the commoner answer alone gets {number(decisions['constant'])}"
    yield f'<p class="dim">{right}; {constant}.</p>'
    found = told["curves"]["cost"]
    if found and "insufficient" not in found:
        flagged = decisions["flagged"].get("estimate")
        yield figure(curves.cost({"model": found}, at=flagged), "what a row costs, by how many are decided true")


def _comparison(told: Told) -> Iterator[str]:
    yield f"<h2>Beside version {told['against']}, the champion</h2>"
    if "insufficient" in told:
        yield f"<p>INSUFFICIENT: {escape(told['insufficient'])}</p>"
        return
    yield f"<p>On the {told['n']:,} rows that neither has learned from.</p>"
    rows = []
    for name, one in told["gains"].items():
        said = {True: Html('<span class="good">better</span>'), False: Html('<span class="bad">not better</span>')}
        needed = one["needed"]
        more = "" if needed is None else f"about {needed['rows']:,} rows more would tell"
        rows.append((name.replace("_", " "), *estimate(one["gain"]), said.get(one["shown"], "can't tell"), more))
    yield table("", ("gain in", ">estimate", ">interval", "", ""), rows)


SECTIONS: dict[str, Callable[[Told], Iterator[str]]] = {"evaluation": _evaluation, "comparison": _comparison}
"""What a page shows, in order, by the part of the record that it is made from."""


def estimate(one: Told) -> tuple[str, str]:
    """An estimate and its interval as two cells; of one that can't be told, the reason."""
    if "insufficient" in one:
        return "INSUFFICIENT", str(one["insufficient"])
    return number(one["estimate"]), f"[{number(one['low'])}, {number(one['high'])}]"


def number(value: float) -> str:
    """A number as a page shows it: four digits that count.

    >>> number(0.123456), number(12345), number(0)
    ('0.1235', '12,345', '0')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def figure(svg: str, caption: str) -> str:
    """A drawing with what it shows."""
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def _text(value: Any) -> str | None:
    return None if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def listed(parts: Sequence[str]) -> str:
    """Sentences, one below the other."""
    return f"<ul>{''.join(f'<li>{escape(one)}</li>' for one in parts)}</ul>"
