"""The report of a replay: `summary.json` as one page that needs nothing else.

    render      the summary, plain JSON data, as the text of `report.html`

What is said once in words and once in numbers is said here, the drawing is in `charts`, the page in `report.html.j2`.
Nothing is computed about the model: every number is one of the summary's, or a count of its rows. What the summary
lacks is shown as lacking: a page with a hole in it beats no page on the day something broke.

    ok       render(json.loads(path.read_text()))
    not ok   render({**summary, "latency_ms": None})  and expecting an error: the page says that nothing was timed
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from itertools import groupby
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from backstay.core.drawing import Span, signed
from backstay.core.times import DAY, instant
from backstay.replay import charts, texts
from backstay.replay.charts import Bin, Mark, Row, Week
from backstay.replay.texts import NONE, Summary
from backstay.replay.watched_section import watched_section
from backstay.replay.ways_section import ways_section

LATENCY_BAR_MS = 25.0
"""What the p99 is held against."""
FOREST_ROWS = 40
"""A forest plot longer than this is drawn as several, each of which fits a sheet of paper."""
METRICS = {"auc": "AUC", "log_loss": "log loss", "brier": "Brier score"}


def render(summary: Summary) -> str:
    """The whole page. Whatever text the summary holds is escaped; whatever it lacks is said to be missing.

    >>> page = render({"model": "late30", "served": 85369, "errors": 0})
    >>> "85,369" in page, "no candidate was offered" in page
    (True, True)
    """
    return _template().render(
        head=_head(summary),
        figures=_figures(summary),
        quality=_quality(summary),
        candidates=_candidates(summary),
        watched=watched_section(summary),
        ways=ways_section(summary),
        latency=_latency(summary),
        parity=_parity(summary),
        lineage=_lineage(summary),
        ingested=_ingested(summary),
    )


@cache
def _template() -> Template:
    page = files("backstay.replay").joinpath("report.html.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(page)


# One function a section: the summary in, what the page shows out.


def _head(summary: Summary) -> dict[str, str]:
    weeks, took = len(texts.rows(summary, "auc_by_week")), texts.part(summary, "seconds")
    start, end = texts.day(summary.get("start")), texts.day(summary.get("end"))
    return {
        "project": str(summary.get("project") or "a project"),
        "model": str(summary.get("model") or "a model"),
        "description": str(summary.get("description") or ""),
        "period": f" from {start} to {end}" if start != NONE and end != NONE else "",
        "weeks": f", {weeks} week" + ("" if weeks == 1 else "s") if weeks else "",
        "version": str(summary.get("version") or ""),
        "stages": " · ".join(f"{name} {texts.seconds(value)}" for name, value in took.items()),
    }


def _figures(summary: Summary) -> list[dict[str, Any]]:
    """The headline: six figures, each with a line of explanation and whether it is as it should be."""
    latency, candidates = texts.part(summary, "latency_ms"), texts.rows(summary, "candidates")
    promotions = texts.rows(summary, "promotions")
    early = [row for row in candidates if row.get("final") is False]
    ends = {way.get("version"): way.get("end") for way in texts.rows(summary, "ways")}
    open_ = [row for row in candidates if ends.get(row.get("version")) in ("waits", "under way")]
    stopped = [row for row in candidates if not row.get("promoted") and row not in early and row not in open_]
    kinds = Counter(_stop(row, ends.get(row.get("version"))) for row in stopped)
    planted = [bool(row.get("promoted")) for row in candidates if row.get("note")]
    checked, equal = texts.number(summary.get("parity_checked")), texts.number(summary.get("parity_equal"))
    p99 = texts.number(latency.get("p99"))
    champion = f"v{promotions[-1].get('version')} is champion" if promotions else "no champion"
    reasons = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "none offered"
    shadows = texts.said(texts.count(summary.get("parity_shadow") or None), " of shadows")
    parity = f"of {texts.count(checked)} recomputed" if checked else "parity was not checked"
    parity += f", {shadows}" if shadows else ""
    errors, slow = texts.number(summary.get("errors")), p99 is not None and p99 >= LATENCY_BAR_MS
    if early:
        reasons += f"; {len(early)} not yet due"
    if open_:
        reasons += f"; {len(open_)} on the way"
    if planted:
        among = f"the planted fault{'' if len(planted) == 1 else 's'} among them"
        reasons += "; a planted fault was promoted" if any(planted) else f"; {among}"
    limit = f"the bar is {LATENCY_BAR_MS:g} ms"
    names = ("requests_per_second", "rows_void", "in_flight")
    rate, void, in_flight = (texts.count(summary.get(name)) for name in names)
    figures = [
        (texts.count(summary.get("served")), "predictions served", texts.said(rate, " a second"), False),
        (texts.count(errors), "errors", texts.said(void, " void outcomes"), bool(errors)),
        (texts.count(equal), "equal bit for bit", parity, bool(checked) and checked != equal),
        (texts.ms(p99), "p99 latency", limit if slow else texts.said(in_flight, " in flight"), slow),
        (texts.count(len(promotions)), "promotions", champion, False),
        (texts.count(len(stopped)), "candidates stopped", reasons, any(planted)),
    ]
    return [{"value": value, "name": name, "note": note, "bad": bad} for value, name, note, bad in figures]


def _stop(row: Summary, end: object) -> str:
    """What stopped a candidate: the end of its rollout, or its gate's verdict."""
    return str(end) if end in ("rolled back", "refused") else texts.verdict(row)


def _quality(summary: Summary) -> dict[str, Any]:
    """AUC by week: the chart and the table under it."""
    then: dict[str, Summary] = {}
    for row in sorted(texts.rows(summary, "label_maturity"), key=lambda row: str(row.get("as_of"))):
        then.setdefault(str(row.get("week")), row)
    rows = [_week(row, then.get(str(row.get("week")), {})) for row in texts.rows(summary, "auc_by_week")]
    marks = [
        Mark(
            instant(str(row["at"])), f"v{row.get('version')}", f"v{row.get('version')} promoted {texts.day(row['at'])}"
        )
        for row in texts.rows(summary, "promotions")
        if row.get("at")
    ]
    levels = {
        level
        for row in texts.rows(summary, "auc_by_week")
        if (level := texts.number(texts.part(row, "auc").get("level")))
    }
    title = f"AUC by week with intervals: {len(rows)} weeks, {len(marks)} promotions; the table below has the numbers"
    return {
        "chart": Markup(charts.weeks([row["drawn"] for row in rows], marks, "AUC", title)),  # noqa: S704  escaped there
        "rows": rows,
        "level": f"{100 * levels.pop():g}%" if len(levels) == 1 else "",
        "gaps": any(row["drawn"].final is None for row in rows),
    }


def _week(row: Summary, then: Summary) -> dict[str, Any]:
    start, span, before = instant(str(row["week"])), texts.span(row.get("auc")), texts.span(then.get("auc"))
    known = f"AUC {_interval(span)}" if span else f"no AUC: {row.get('why') or 'no reason given'}"
    seen = f"; as seen {texts.day(then.get('as_of'))}: AUC {texts.decimal(before and before.estimate)}" if then else ""
    mature, mature_then = texts.number(row.get("maturity")), texts.number(then.get("maturity"))
    labels = f"; labels mature {texts.percent(mature_then)} then, {texts.percent(mature)} in the end"
    title = f"week of {texts.day(row['week'])}: {known}{seen}{labels}; champion {texts.versions(row.get('champions'))}"
    positives, labelled = texts.number(row.get("positives")), texts.number(row.get("labelled"))
    return {
        "drawn": Week(start, start + 7 * DAY, span, before, mature, mature_then, title),
        "week": texts.day(row["week"]),
        "champions": texts.versions(row.get("champions")),
        "counts": [texts.count(row.get(name)) for name in ("served", "void", "labelled", "positives")],
        "rate": texts.percent(positives / labelled) if positives is not None and labelled else NONE,
        "maturity": (texts.percent(mature_then), texts.percent(mature)),
        "then": texts.decimal(before and before.estimate),
        "auc": (texts.decimal(span.estimate), f"[{span.low:.4f}, {span.high:.4f}]") if span else None,
        "why": str(row.get("why") or "no reason given"),
        "log_loss": texts.decimal(row.get("log_loss")),
    }


def _interval(span: Span) -> str:
    return f"{span.estimate:.4f} [{span.low:.4f}, {span.high:.4f}]"


def _gain(span: Span | None) -> str:
    return f"{signed(span.estimate)} [{signed(span.low)}, {signed(span.high)}]" if span else ""


def _candidates(summary: Summary) -> dict[str, Any]:
    """The candidates: a forest plot for each metric and margin they were judged on, and the table of reasons.

    One that met no champion is in the table alone: its gain over the base rate is another quantity."""
    rows = [_candidate(row) for row in texts.rows(summary, "candidates")]
    plots = []
    met = [row for row in rows if row["against"]]
    for (metric, margin), group in groupby(met, key=lambda row: (row["metric"], row["margin"])):
        same = [row["drawn"] for row in group]
        for first in range(0, len(same), FOREST_ROWS):
            some = same[first : first + FOREST_ROWS]
            title = f"gain in {metric} of {some[0].label} to {some[-1].label} with intervals; the table has the reasons"
            plots.append(Markup(charts.forest(some, margin, metric, title, among=same)))  # noqa: S704  escaped there
    levels = {
        level
        for row in texts.rows(summary, "candidates")
        if (level := texts.number(texts.part(row, "interval").get("level")))
    }
    return {
        "plots": plots,
        "rows": rows,
        "planted": any(row["note"] for row in rows),
        "apart": ", ".join(row["name"] for row in rows if not row["against"]),
        "level": f"{100 * levels.pop():g}%" if len(levels) == 1 else "",
    }


def _candidate(row: Summary) -> dict[str, Any]:
    interval, span = texts.part(row, "interval"), texts.span(row.get("interval"))
    verdict, note = texts.verdict(row), str(row.get("note") or "")
    name, reason = f"v{row.get('version')}", str(row.get("reason") or "no reason was recorded")
    against = f"v{row['against']}" if row.get("against") is not None else ""
    head = note.split(":")[0]
    said = f"{name} {verdict}: {reason}" + (f" ({note})" if note else "")
    count = interval.get("n", row.get("rows"))
    judged = [f"{texts.count(count)} rows"] if count is not None else []
    judged += [f"{texts.count(interval['clusters'])} clusters"] if interval.get("clusters") is not None else []
    if row.get("final") is False:
        judged.append("not all mature")
    period = ""
    if row.get("judged_from") and row.get("judged_to"):
        start, end = texts.day(row["judged_from"]), texts.day(row["judged_to"])
        period = f"{start.removesuffix(end[-5:])} to {end}"
    return {
        "drawn": Row(name, verdict, span, _gain(span) or "no interval", said, head[:40], bool(row.get("promoted"))),
        "metric": METRICS.get(str(row.get("metric")), str(row.get("metric") or "the metric")),
        "margin": texts.number(row.get("margin")),
        "name": name,
        "verdict": verdict,
        "kind": charts.VERDICTS.get(verdict, "insufficient"),
        "promoted": bool(row.get("promoted")),
        "against": against,
        "reason": reason,
        "note": note,
        "cutoff": texts.day(row.get("cutoff")),
        "trained_at": texts.day(row.get("trained_at")),
        "training_rows": texts.count(row.get("training_rows")),
        "judged": " · ".join(judged),
        "period": period,
        "checks": [
            {name: str(check.get(name) or NONE) for name in ("name", "verdict", "reason")}
            for check in texts.rows(row, "checks")
        ],
    }


def _latency(summary: Summary) -> dict[str, Any]:
    found = texts.part(summary, "latency_ms")
    names = [name for name in ("p50", "p90", "p99", "max") if name in found]
    marks = [
        Mark(value, f"{name} {texts.ms(value)}", f"{name}: {texts.ms(value)}", name)
        for name in ("p50", "p99")
        if (value := texts.number(found.get(name)))
    ]
    marks.append(Mark(LATENCY_BAR_MS, f"bar {LATENCY_BAR_MS:g} ms", "what the p99 is held against", "limit"))
    title = "how many requests took how long; " + ", ".join(f"{name} {texts.ms(found[name])}" for name in names)
    bins = _bins(texts.rows(summary, "latency_histogram"), texts.number(found.get("max")))
    return {
        "chart": Markup(charts.histogram(bins, marks, "ms", title)),  # noqa: S704  escaped there
        "timed": bool(bins),
        "errors": [str(message) for message in texts.rows(summary, "error_messages")],
        "values": [(name, texts.ms(found[name])) for name in names],
        "load": [
            said
            for name, rest in (("in_flight", " requests in flight"), ("requests_per_second", " a second"))
            if (said := texts.said(texts.count(summary.get(name)), rest))
        ],
    }


def _bins(rows: Sequence[Summary], longest: float | None) -> list[Bin]:
    """The histogram's bars. The first begins as far below its end as the next one is long; an open last one ends at the
    longest time there was."""
    ends = [texts.number(row.get("upto_ms")) for row in rows]
    known = [end for end in ends if end]
    if not known:
        return []
    ratio = known[1] / known[0] if len(known) > 1 else 2.0
    bins, low = [], known[0] / ratio
    for row, end in zip(rows, ends, strict=True):
        high = end or max(longest or 0.0, low * ratio)
        if high > low:
            bins.append(Bin(low, high, int(texts.number(row.get("count")) or 0)))
            low = high
    return bins


def _parity(summary: Summary) -> dict[str, Any]:
    checked, equal = texts.number(summary.get("parity_checked")), texts.number(summary.get("parity_equal"))
    different = sorted(texts.part(summary, "parity_differences").items(), key=lambda item: (-item[1], item[0]))
    title = f"{texts.count(equal)} of {texts.count(checked)} equal"
    return {
        "checked": texts.count(checked) if checked else "",
        "equal": texts.count(equal),
        "whole": checked == equal and not different,
        "bar": Markup(charts.share(equal or 0.0, checked or 0.0, title)),  # noqa: S704  escaped there
        "differences": [(name, texts.count(count)) for name, count in different],
    }


def _lineage(summary: Summary) -> dict[str, Any]:
    first = texts.part(summary, "first_version")
    names = {"number": "version", "dirty": "uncommitted changes"}
    facts = []
    for name, value in first.items():
        facts.append((names.get(name, name.replace("_", " ")), _fact(name, value)))
    promotions = [
        {
            "name": f"v{row.get('version')}",
            "at": texts.day(row.get("at")),
            "previous": f"v{row['previous']}" if row.get("previous") is not None else "the first",
            "by": str(row.get("by") or NONE),
            "reason": str(row.get("reason") or NONE),
        }
        for row in texts.rows(summary, "promotions")
    ]
    return {"promotions": promotions, "first": facts}


def _fact(name: str, value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: NONE, True: "yes", False: "no"}[value]
    return texts.count(value) if name == "training_rows" else f"v{value}" if name == "number" else str(value)


def _ingested(summary: Summary) -> dict[str, Any]:
    feature_set = texts.part(summary, "feature_set")
    return {
        "sources": [
            (str(row.get("name")), texts.count(row.get("events")), texts.day(row.get("last_known")))
            for row in texts.rows(summary, "sources")
        ],
        "feature_set": {
            "name": str(feature_set.get("name") or "unnamed"),
            "hash": str(feature_set.get("hash") or NONE),
            "features": texts.count(feature_set.get("features")),
        }
        if feature_set
        else None,
    }
