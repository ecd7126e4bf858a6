"""The forest of slices: well-formed, inside its box, and everything it shows is said in words."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from backstay.core.drawing import WIDTH
from backstay.evaluation.figures.forest import ForestRow, slice_forest
from backstay.evaluation.interval import Estimate, Insufficient, Interval
from backstay.evaluation.slices import Compared

HOSTILE = "</title><script>x</script> & \"'\x00"


def row(estimate: float = 0.1, reach: float = 0.02, label: str = "a = 'b'", verdict: str = "worse") -> ForestRow:
    return told(Interval(estimate, estimate - reach, estimate + reach, 0.95, 100, 20), label, verdict)


def told(one: Estimate, label: str = "a = 'b'", verdict: str = "worse") -> ForestRow:
    return ForestRow(label, Compared(100, 20, 0.5, 0.4, one, 0.01), verdict)


def read(svg: str) -> ElementTree.Element:
    found = ElementTree.fromstring(svg)
    assert found.tag == "svg"
    assert not list(found.iter("script"))
    return found


def of_class(svg: ElementTree.Element, class_: str) -> list[ElementTree.Element]:
    return [item for item in svg.iter() if item.get("class") == class_]


def test_each_slice_has_its_interval_and_is_told_in_words() -> None:
    svg = read(slice_forest([row(), row(-0.05, verdict="not worse")], "log loss", "slices", effect=0.03))
    classes = ("bar fail", "bar s0", "shape fail", "shape f0", "zero", "rule")
    assert [len(of_class(svg, one)) for one in classes] == [1] * 6
    titles = [item.text or "" for item in svg.iter("title")]
    assert "a = 'b': worse, +0.1000 [+0.0800, +0.1200], 100 rows from 20 clusters" in titles
    zero, estimate = of_class(svg, "zero")[0], of_class(svg, "shape f0")[0]
    assert float(estimate.attrib["cx"]) < float(zero.attrib["x1"]) < float(of_class(svg, "shape fail")[0].attrib["x"])


def test_what_can_not_be_told_has_its_reason_and_no_mark() -> None:
    svg = read(slice_forest([told(Insufficient("12 rows, and 50 are needed", 12), verdict="INSUFFICIENT")], "x", "y"))
    assert not of_class(svg, "shape f0")
    assert "12 rows, and 50 are needed" in [item.text for item in svg.iter("text")]


def test_one_wide_interval_does_not_flatten_the_others() -> None:
    svg = read(slice_forest([*(row() for _ in range(5)), row(0.5, 50)], "log loss", "slices"))
    first = of_class(svg, "bar fail")[0]
    assert float(first.attrib["x2"]) - float(first.attrib["x1"]) > 20
    assert len(of_class(svg, "arrow fail")) == 2


@pytest.mark.parametrize("label", ["x", "a very long predicate " * 20, HOSTILE])
def test_labels_stay_inside_and_are_escaped(label: str) -> None:
    svg = read(slice_forest([row(label=label)], HOSTILE, HOSTILE))
    box = svg.attrib["viewBox"].split()
    for item in svg.iter():
        for name in ("x", "x1", "x2", "cx"):
            assert 0 <= float(item.get(name, 0)) <= WIDTH
        for name in ("y", "y1", "y2", "cy"):
            assert 0 <= float(item.get(name, 0)) <= float(box[3])
    assert max(len(item.text or "") for item in svg.iter("text")) < 110


def test_without_slices_it_says_so() -> None:
    assert "no slice was looked at" in slice_forest([], "log loss", "slices")
