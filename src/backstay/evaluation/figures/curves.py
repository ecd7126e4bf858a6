"""Curves of an evaluation, drawn from the plain values of its record: see `BinaryEvaluation.as_dict`.

A curve is a mapping of its axes to lists, as `Curve.as_dict` gives it; several are drawn over each other with a label.

>>> points = {"recall": [0.5, 1.0], "precision": [0.8, 0.4], "threshold": [0.7, 0.2]}
>>> precision_recall({"v3": points}, prevalence=0.1).startswith("<svg")
True
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from backstay.evaluation.figures.plane import Plane, Point

Curves = Mapping[str, Mapping[str, Sequence[float]]]


def precision_recall(curves: Curves, prevalence: float) -> str:
    """Precision against recall, over the prevalence: what a model that knows nothing has everywhere."""
    plane = Plane(
        "recall: of the cases, the share that is found",
        "precision: of the alarms, the share that is right",
        (0, 1),
        (0, 1),
    )
    plane.across(prevalence, f"prevalence {prevalence:.4g}")
    for place, (label, told) in enumerate(curves.items()):
        plane.curve(_points(told, "recall", "precision"), label, place)
    return plane.svg("Precision by recall")


def roc(curves: Curves) -> str:
    """Recall against the false positive rate, over the diagonal of a model that knows nothing."""
    plane = Plane("false positive rate: of the others, the share that is alarmed", "recall", (0, 1), (0, 1))
    plane.slope((0, 0), (1, 1), "a score that knows nothing")
    for place, (label, told) in enumerate(curves.items()):
        plane.curve([(0.0, 0.0), *_points(told, "false_positive_rate", "recall")], label, place)
    return plane.svg("Recall by false positive rate")


def cost(curves: Curves, at: float | None = None) -> str:
    """What a row costs by the share of rows that is decided true, logarithmic; `at`: the share at the threshold."""
    points = {label: [one for one in _points(told, "flagged", "cost") if one[0] > 0] for label, told in curves.items()}
    every = [point for some in points.values() for point in some]
    if not every:
        return ""
    high = max(y for _, y in every)
    usual = sorted(y for _, y in every)[len(every) // 2]
    never = next((told["cost"][0] for told in curves.values() if told["flagged"][0] == 0), None)
    top = min(high, 3 * max(usual, never or 0.0))
    plane = Plane(
        "rows decided true, as a share (logarithmic)",
        "cost of a row",
        (min(x for x, _ in every), 1),
        (0, 1.05 * top),
        log=True,
    )
    if never is not None:
        plane.across(never, f"deciding nothing: {never:.4g}")
    if at:
        plane.upright(at, "the threshold")
    for place, (label, some) in enumerate(points.items()):
        plane.curve([(x, y) if y <= 1.05 * top else (math.nan, math.nan) for x, y in some], label, place)
    return plane.svg("Cost by the share of rows decided true")


def reliability(bins: Sequence[Mapping[str, Any]]) -> str:
    """What happened by what was said, each bin with its interval, over the diagonal and the band of chance."""
    if not bins:
        return ""
    ends = [one["observed"]["high"] for one in bins if one["observed"]]
    largest = max([one["predicted"] for one in bins] + [one["share"] for one in bins] + ends[-1:])
    most = min(1.0, 1.05 * largest)
    plane = Plane(
        "what was said: mean probability of a bin", "what happened: share with outcome 1", (0, most), (0, most)
    )
    plane.slope((0, 0), (most, most), "what is said happens")
    banded = [one for one in bins if one["band"]]
    plane.band(
        [(one["predicted"], one["band"][0]) for one in banded],
        [(one["predicted"], one["band"][1]) for one in banded],
        3,
    )
    for one in bins:
        seen = one["observed"]
        span = (min(seen["low"], most), min(seen["high"], most)) if seen else None
        range_ = f"{one['low']:.4g} to {one['high']:.4g}"
        said = f"{one['n']:,} rows from {range_}: {one['predicted']:.4g} said, {one['share']:.4g} happened"
        plane.mark(one["predicted"], one["share"], said, 0, span)
    return plane.svg("What happened, by what was said")


def _points(told: Mapping[str, Sequence[float]], x: str, y: str) -> list[Point]:
    return list(zip(told[x], told[y], strict=True))
