"""The heat map: well-formed, a mark for what was shown, blanks where nothing was, everything said in words."""

from __future__ import annotations

from xml.etree import ElementTree

from backstay.core.times import DAY
from backstay.evaluation.figures.heat import Cell, heat_map

HOSTILE = "</title><script>x</script> & \"'\x00"


def read(svg: str) -> ElementTree.Element:
    found = ElementTree.fromstring(svg)
    assert not list(found.iter("script"))
    return found


def cells(svg: ElementTree.Element, class_: str) -> list[ElementTree.Element]:
    return [one for one in svg.iter("rect") if one.get("class") == class_ and one.find("title") is not None]


def test_colour_says_how_large_and_a_bar_that_it_was_shown() -> None:
    row = [Cell(0.01, "OK"), Cell(0.15, "UNDERPOWERED"), Cell(0.3, "DRIFT"), Cell(None, "NO_DATA"), Cell(2.0, "DRIFT")]
    svg = read(heat_map([("distance", row)], [DAY * at for at in range(5)], "drift", edges=(0.1, 0.2)))
    shades = [float(one.get("fill-opacity", "")) for one in cells(svg, "cell")]
    assert shades == sorted(shades)
    assert shades[-1] == 1
    bars = [one for one in svg.iter("rect") if one.get("class") == "drifts"]
    assert len(bars) == 2 + 1  # and one in the legend
    words = [one.text or "" for one in svg.iter("title")]
    assert "distance, 1970-01-04: no rows, NO_DATA" in words
    assert "distance, 1970-01-03: PSI 0.300, DRIFT" in words


def test_names_are_escaped_and_cut_and_whole_in_the_title() -> None:
    name = HOSTILE + "x" * 40
    svg = read(heat_map([(name, [Cell(0.1, "OK", HOSTILE)])], [0], HOSTILE, edges=(0.1, 0.2), marks=[(0, HOSTILE)]))
    texts = [one.text or "" for one in svg.iter("text")]
    assert any(one.endswith("…") for one in texts)


def test_nothing_to_draw_draws_nothing_and_many_windows_fit() -> None:
    assert heat_map([], [], "drift", edges=(0.1, 0.2)) == ""
    many = [("a", [Cell(0.1, "OK")] * 800)]
    svg = read(heat_map(many, [DAY * at for at in range(800)], "drift", edges=(0.1, 0.2), marks=[(10**18, "late")]))
    assert max(float(one.get("x", "0")) for one in cells(svg, "cell")) < 760
