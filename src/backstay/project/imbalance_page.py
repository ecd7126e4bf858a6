"""An advice on imbalance as one page that needs nothing else, made of its JSON alone: every number in it is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from backstay.core import drawing
from backstay.core.pages import Html, document, facts, table
from backstay.project.imbalance_figures import STYLE, costs, legend, precision, reliability

_RANKS = ("arm", ">average precision", ">times chance", ">AUC", ">recall at k", ">seconds")
_SAYS = ("arm", ">log loss", ">uncorrected", ">better than the constant by", ">said over happened")
_WORDS = {
    "average_precision": "average precision", "log_loss": "log loss", "cost": "cost a row", "auc": "AUC",
    "recall_at_k": "recall at k",
}  # fmt: skip


def render(report: Mapping[str, Any]) -> str:
    """The page of what `ImbalanceReport.as_dict()` says."""
    advice = report["advice"]
    title = f"Imbalance: {report['model']} as of {report['as_of'][:10]}"
    return document(
        title, f"<h1>{escape(title)}</h1>", *_lead(advice), _facts(report), _arms(advice), *_charts(advice),
        *_details(report), style=drawing.STYLE + STYLE,
    )  # fmt: skip


def _lead(advice: Mapping[str, Any]) -> Iterator[str]:
    """What to do, first."""
    if advice["insufficient"]:
        yield f'<p class="bad"><b>INSUFFICIENT.</b> {escape(advice["insufficient"])}. Nothing is recommended.</p>'
    if advice["hint"]:
        yield f"<p><b>First:</b> {escape(advice['hint'])}.</p>"
    for use, what in (("decision", "For decisions"), ("ranking", "For ranking")):
        told = advice[use]
        if told is None:
            continue
        arm = "nothing" if told["arm"] is None else advice["titles"][told["arm"]]
        yield f"<p><b>{what}, by {_WORDS[told['by']]}: {escape(arm)}.</b> {escape(_sentence(told['why']))}</p>"
        rows = [(_both(advice, name), reason, _difference(told, name)) for name, reason in told["reasons"].items()]
        yield table("", ("arm", "why", ">better than the recommended by"), rows)


def _both(advice: Mapping[str, Any], name: str) -> str:
    return f"{name}: {advice['titles'][name]}"


def _sentence(why: str) -> str:
    return f"{why[:1].upper()}{why[1:]}."


def _difference(told: Mapping[str, Any], name: str) -> str:
    return _interval(told["differs"][name], signed=True) if name in told["differs"] else ""


def _facts(report: Mapping[str, Any]) -> str:
    advice = report["advice"]
    has, given = advice["resolution"], advice["costs"]
    detects = ", ".join(f"{_WORDS[name]} {size:.2g}" for name, size in advice["detects"].items())
    cost = None
    if given is not None:
        cost = f"a missed positive {given['false_negative']:g}, a false alarm {given['false_positive']:g}"
    return facts("What there is to go by", {
        "rows scored": f"{has['rows']:,} on {has['clusters']:,} days, in {len(report['folds'])} folds",
        "positives": f"{has['positives']:,}, 1 in {1 / has['prevalence']:,.0f}",
        "effective number of positives": f"{has['effective']:,.1f}: they are on {has['clusters_with_positives']:,} "
        f"days, and the base rate varies {has['design_effect']:.2f} times as much as that of independent rows",
        "a recall is known to": f"within {has['recall']:.3f} at best",
        "differences between arms that these rows would show": detects or None,
        "the constant base rate has": ", ".join(f"{_WORDS[name]} {x:.4g}" for name, x in advice["constant"].items()),
        "costs": cost or "none given: decisions are compared by log loss",
        "k, rows a day": str(advice["k"]),
        "estimator": f"{report['estimator']}, seed {report['seed']}",
    })  # fmt: skip


def _arms(advice: Mapping[str, Any]) -> str:
    arms = advice["arms"]
    priced = (">cost a row", ">cheaper than the constant by") if advice["costs"] is not None else ()
    ranks = [
        (
            one["title"], _interval(one["average_precision"]), f"{one['lift']:.1f}", _interval(one["auc"]),
            _interval(one["recall_at_k"]), f"{one['seconds']:.1f}",
        )
        for one in arms
    ]  # fmt: skip
    missing = [(advice["titles"][name], reason) for name, reason in advice["not_tried"].items()]
    return "".join((
        table("How each arm ranks", _RANKS, ranks, empty="none could be tried"),
        table("What each arm says, and what its decisions cost", (*_SAYS, *priced), map(_says, arms), empty="none"),
        table("Not tried", ("arm", "why"), missing, empty="none"),
    ))  # fmt: skip


def _says(one: Mapping[str, Any]) -> tuple[str, ...]:
    raw = one["raw_log_loss"]
    told = (
        one["title"], f"{one['log_loss']:.5f}", "" if raw is None else f"{raw:.5f}",
        _interval(one["gain"], signed=True), f"{one['said']:.2f}",
    )  # fmt: skip
    return told if one["cost"] is None else (*told, f"{one['cost']:.5g}", _interval(one["saved"], signed=True))


def _charts(advice: Mapping[str, Any]) -> Iterator[str]:
    arms = advice["arms"]
    if not arms:
        return
    given = advice["costs"]
    ratio = None if given is None else given["false_negative"] / given["false_positive"]
    yield "<h2>What its decisions cost</h2><p class='dim'>Decided at the threshold that the costs give (Elkan 2001). "
    yield "At 1, the dashed line, an arm costs as much as the cheaper of always yes and always no; above it, more.</p>"
    yield legend(arms) + costs(arms, ratio)
    yield "<h2>Precision over recall</h2><p class='dim'>Over all folds together, by the probability as it is used; the "
    yield "dashed line is what a ranking by chance has.</p>" + legend(arms)
    yield precision(arms, advice["resolution"]["prevalence"])
    yield "<h2>Does it mean what it says?</h2><p class='dim'>What was said (across) and what happened (up), in bins of "
    yield "about as many expected positives each; 95% intervals over days.</p>" + reliability(arms)


def _details(report: Mapping[str, Any]) -> Iterator[str]:
    yield table(
        "Folds", ("scored from", "to", ">rows", ">positives", ">learned from rows", ">positives"),
        [
            (one["since"][:16], one["until"][:16], *(f"{one[name]:,}" for name in _COUNTS))
            for one in report["folds"]
        ],
    )  # fmt: skip
    notes = [(one["title"], note) for one in report["advice"]["arms"] for note in one["notes"]]
    yield table("What was done", ("arm", "note"), notes, empty="nothing to note")
    yield "<p class='dim'>The rule: an arm that is worse than the constant base rate is dropped; of the others, the "
    yield "simplest within one standard error of the best is recommended, the error being that of the difference, over "
    yield "days. The arms stand in the order of their simplicity.</p>"


_COUNTS = ("test_rows", "test_positives", "train_rows", "train_positives")


def _interval(told: Mapping[str, float], *, signed: bool = False) -> Html:
    """The estimate, and its interval below it."""
    sign = "+" if signed else ""
    largest = max(abs(told["low"]), abs(told["high"]))
    places = 3 if largest >= 0.1 else 4 if largest >= 0.01 else 5 if largest >= 0.001 else 6
    estimate, low, high = (f"{told[name]:{sign}.{places}f}" for name in ("estimate", "low", "high"))
    return Html(f'{estimate}<br><small class="dim">{low}&nbsp;to&nbsp;{high}</small>')
