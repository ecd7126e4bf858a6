"""The page of a shadow: one HTML file that needs nothing else, made from the plain values of its record alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from backstay.core.drawing import STYLE, percent, signed
from backstay.core.pages import document, facts, table
from backstay.evaluation.figures.density import density
from backstay.evaluation.page import estimate, figure, number

Told = Mapping[str, Any]


def page(told: Told) -> str:
    """The page of a comparison, as `ShadowComparison.as_dict` has it; `check`: the policy's answer, if any."""
    title = f"{told['model']}, version {told['version']} as a shadow"
    return document(title, f"<h1>{escape(title)}</h1>", *sections(told), style=STYLE)


def sections(told: Told) -> Iterator[str]:
    """What the page shows, part by part, for a page of more."""
    yield facts("", _about(told))
    check = told.get("check")
    if check is not None:
        rows = [(one["name"], one["verdict"], one["reason"]) for one in check["evidence"]["checks"]]
        yield table(f"What the rollout asks of it: {check['verdict']}", ("", "answer", "reason"), rows, level=3)
    if told["scores"] is not None:
        yield from _scores(told)
        yield _flips(told)
    yield from _quality(told["quality"])
    failed = told["failures"]
    reasons = {reason: f"{count:,}" for reason, count in failed["reasons"].items()}
    if reasons:
        yield table("Rows without a score", ("why", ">rows"), list(reasons.items()), level=3)
    yield from _latency(told["latency"])


def _about(told: Told) -> dict[str, str | None]:
    failed = told["failures"]
    rate = failed["rate"]
    limit = "" if "insufficient" in rate else f"; at most {percent(rate['high'])} at {rate['level']:.0%}"
    return {
        "beside": "nobody" if told["against"] is None else f"version {told['against']}, the champion",
        "pairs": f"{told['rows']:,}, about {told['entities']:,} entities",
        "with a mature label": f"{told['labelled']:,}",
        "labels": ", ".join(f"{count:,} {why}" for why, count in told["labels"].items()) or None,
        "without a score": f"{failed['failed']:,} of {failed['shown']:,}{limit}",
        "left out": ", ".join(f"{count:,} {why}" for why, count in told["left_out"].items()) or None,
        "asked": _span(told),
        "as of": told["as_of"],
    }


def _span(told: Told) -> str | None:
    begin, end = told["since"], told["until"]
    if begin is None and end is None:
        return None
    return " ".join(part for part in (begin and f"from {begin}", end and f"until {end}") if part)


def _scores(told: Told) -> Iterator[str]:
    one = told["scores"]
    yield "<section><h2>Scores</h2>"
    ranks = {name: None if one[name] is None else f"{one[name]:.3f}" for name in ("spearman", "kendall")}
    middle, limits = estimate(one["difference"])
    yield facts(
        "",
        {
            "mean": f"{number(one['champion'])} was answered, {number(one['candidate'])} it would have been",
            "difference": f"{middle} {limits}", "largest": number(one["largest"]),
            "scored alike": percent(one["equal"]), "rank correlation": ranks["spearman"],
            "Kendall's tau-b": ranks["kendall"],
        },
    )  # fmt: skip
    at = {f"{float(share):.0%}": signed(value) for share, value in one["quantiles"].items()}
    yield table("Quantiles of the difference", [f">{name}" for name in at], [list(at.values())], level=3)
    limits_ = None if told["thresholds"] is None else tuple(told["thresholds"])
    drawn = density(told["grid"], ("answered", "the shadow"), limits_, "The scores of both")
    yield figure(drawn, "each cell is a pair of scores, darker where there are more; on the dashed line both agree")
    yield "</section>"


def _flips(told: Told) -> str:
    rows = []
    for one in (told["flips"], *told["slices"]):
        rate, net = estimate(one["rate"]), estimate(one["net"])
        rows.append((one["name"], f"{one['rows']:,}", f"{one['flipped']:,}", f"{one['to_true']:,}",
                     f"{one['to_false']:,}", *rate, *net))  # fmt: skip
    columns = ("rows", ">of", ">flipped", ">to true", ">to false", ">share", "interval", ">net", "interval")
    return table("Decisions that would be others", columns, rows)


def _quality(one: Told) -> Iterator[str]:
    yield "<section><h2>Quality, on mature labels</h2>"
    said = {name: "" if one[name] is None else number(one[name]) for name in ("champion", "candidate")}
    yield table(
        "", ("metric", ">pairs", ">days", ">answered", ">the shadow", ">better by", "interval"),
        [(one["metric"].replace("_", " "), f"{one['rows']:,}", f"{one['days']:,}", said["champion"],
          said["candidate"], *estimate(one["gain"]))],
    )  # fmt: skip
    yield "</section>"


def _latency(one: Told | None) -> Iterator[str]:
    if one is None:
        return
    rows = [
        (name, *(f"{side[what]:,.0f}" for what in ("median", "p99", "batches")), f"{side['rows_a_batch']:.1f}")
        for name, side in (("answered", one["champion"]), ("the shadow", one["candidate"]))
    ]
    yield table("Scoring time of a batch, in microseconds", ("", ">median", ">p99", ">batches", ">rows a batch"), rows)
    yield f'<p class="dim">The medians are as {one["ratio"]:.2f} to 1.</p>'
