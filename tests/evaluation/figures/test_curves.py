"""The figures: what is drawn is well-formed, inside its box, and says in words what it shows."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest

from backstay.evaluation.figures.curves import cost, precision_recall, reliability, roc
from backstay.evaluation.figures.plane import HIGH, WIDE, Plane

HOSTILE = "</title><script>x</script> & \"'"


def read(svg: str) -> ElementTree.Element:
    found = ElementTree.fromstring(svg)
    assert found.tag == "svg"
    assert not list(found.iter("script"))
    return found


def inside(svg: ElementTree.Element) -> bool:
    places = [
        tuple(map(float, pair.split(",")))
        for item in svg.iter()
        if item.tag in ("polyline", "polygon")
        for pair in item.attrib["points"].split()
    ]
    places += [(float(item.attrib["cx"]), float(item.attrib["cy"])) for item in svg.iter("circle")]
    return all(0 <= x <= WIDE and 0 <= y <= HIGH for x, y in places)


POINTS = {"recall": [0.2, 1.0], "precision": [0.9, 0.1], "false_positive_rate": [0.0, 1.0], "threshold": [0.5, 0.1]}
COSTS = {"flagged": [0.0, 0.01, 1.0], "cost": [2.0, 1.5, 9.0], "threshold": [None, 0.5, 0.0]}


def bin_(predicted: float, share: float, band: list[float] | None = None) -> dict[str, object]:
    observed = {"estimate": share, "low": max(share - 0.05, 0), "high": min(share + 0.05, 1)}
    return {
        "low": 0.0,
        "high": 0.2,
        "n": 1_000,
        "predicted": predicted,
        "share": share,
        "observed": observed,
        "band": band,
    }


def test_every_figure_is_well_formed_and_names_its_curves() -> None:
    figures = {
        "precision": precision_recall({"v3": POINTS, HOSTILE: POINTS}, 0.1),
        "roc": roc({"v3": POINTS}),
        "cost": cost({"v3": COSTS}, at=0.01),
        "reliability": reliability([bin_(0.1, 0.12, [0.08, 0.14]), bin_(0.4, 0.3, [0.3, 0.5])]),
    }
    for svg in figures.values():
        assert inside(read(svg))
    words = "".join(read(figures["precision"]).itertext())
    assert "prevalence 0.1" in words
    assert HOSTILE in words
    assert "deciding nothing: 2" in "".join(read(figures["cost"]).itertext())
    assert "1,000 rows from 0 to 0.2: 0.1 said, 0.12 happened" in "".join(read(figures["reliability"]).itertext())


def test_nothing_to_draw_is_nothing_drawn() -> None:
    assert reliability([]) == cost({}) == ""
    one = reliability([{**bin_(0.3, 0.3), "observed": None}])
    assert inside(read(one))


def test_what_is_not_finite_interrupts_a_curve() -> None:
    plane = Plane("x", "y", (1, 1_000), (2, 2), log=True)
    plane.curve([(1, 2), (10, math.nan), (100, 2), (math.inf, 2)], "a", 0)
    plane.mark(math.nan, 1, "no", 0)
    plane.upright(999, "near the end")
    plane.column(1, 10, 2, "one", 1)
    svg = read(plane.svg("t"))
    assert len(list(svg.iter("polyline"))) == 2
    assert inside(svg)


@pytest.mark.parametrize("kind", ["light", "dark"])
def test_the_style_names_every_class_that_is_drawn(kind: str) -> None:
    from backstay.core.drawing import STYLE

    assert kind in STYLE
    for svg in (
        precision_recall({"v3": POINTS}, 0.1),
        cost({"v3": COSTS}, at=0.01),
        reliability([bin_(0.1, 0.1, [0, 0.2])]),
    ):
        for item in read(svg).iter():
            for name in (item.get("class") or "").split():
                assert name in ("chart", "plane") or f".{name}" in STYLE, name
