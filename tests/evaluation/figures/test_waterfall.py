"""The waterfall: well-formed, inside its box, and in words what it shows."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from backstay.evaluation.figures.waterfall import WaterfallStep, waterfall

STEPS = [
    WaterfallStep("stale feature", 0.05, 0.03, 0.07), WaterfallStep("label delay", -0.01, -0.02, 0.0),
    WaterfallStep("not explained", 0.0, -9.0, 9.0, True), WaterfallStep("</title><script>x</script>", 0.01, 0.0, 0.02),
]  # fmt: skip


@pytest.mark.parametrize("larger", [True, False])
def test_it_is_drawn_from_one_quality_to_the_other(larger: bool) -> None:
    end = 0.80 - 0.05 if larger else 0.80 + 0.05
    svg = waterfall(("offline", 0.80), ("online", end), STEPS, "the gap", larger=larger)
    found = ElementTree.fromstring(svg)
    assert not list(found.iter("script"))
    wide, high = (float(one) for one in found.attrib["viewBox"].split()[2:])
    for item in found.iter("rect"):
        left, top, width = (float(item.attrib[name]) for name in ("x", "y", "width"))
        assert 0 <= left <= left + width <= wide
        assert 0 <= top <= high
    titles = [one.text or "" for one in found.iter("title")]
    assert "stale feature: +0.0500 [+0.0300, +0.0700], worse" in titles
    places = [float(one.attrib["cx"]) for one in found.iter("circle")]
    assert len(places) == 2
    assert (places[1] < places[0]) is larger  # worse is to the left, where larger is better


def test_nothing_to_explain_is_drawn_too() -> None:
    assert waterfall(("offline", 0.8), ("online", 0.8), [], "the gap", larger=True).startswith("<svg")
