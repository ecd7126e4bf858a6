"""The charts: what is drawn is well-formed, inside its box, and says in words what it shows."""

from __future__ import annotations

import math
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backstay.core.drawing import LETTER, WIDTH, Scale, Span, lanes, log_ticks, percent, signed, ticks
from backstay.core.times import DAY, instant
from backstay.replay.charts import Bin, Mark, Row, Week, forest, histogram, share, weeks

HOSTILE = "</title><script>x</script> & \"'\x00"
START = instant("2013-04-01")
GAIN = Span(0.004, 0.003, 0.005)


def read(svg: str) -> ElementTree.Element:
    found = ElementTree.fromstring(svg)
    assert found.tag == "svg"
    assert not list(found.iter("script"))
    return found


def week(index: int, final: Span | None = None, then: Span | None = None, maturity: float | None = 1.0) -> Week:
    start = START + 7 * index * DAY
    return Week(start, start + 7 * DAY, final, then, maturity, None, f"week {index}")


def of_class(svg: ElementTree.Element, class_: str) -> list[ElementTree.Element]:
    return [item for item in svg.iter() if class_ in (item.get("class") or "").split()]


def texts(svg: ElementTree.Element, class_: str) -> list[str]:
    return [item.text or "" for item in of_class(svg, class_)]


def number(item: ElementTree.Element, name: str) -> float:
    return float(item.attrib[name])


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 10))
@example(879609.9999999999, 1.0000000000000002e-06, 5)
def test_ticks_are_inside_rising_and_round(low: float, width: float, about: int) -> None:
    values, decimals = ticks(low, low + width, about)
    near = max(1e-6 * width, 2 * math.ulp(max(abs(low), abs(low + width))))  # floats lie no closer than that
    assert all(low - near <= value <= low + width + near for value in values)
    assert all(a < b for a, b in pairwise(values))
    assert len(values) <= about + 1
    assert len({f"{value:.{decimals}f}" for value in values}) == len(values)


@given(st.floats(1e-3, 1e3), st.floats(1.01, 1e4))
def test_log_ticks_are_inside_and_rising(low: float, ratio: float) -> None:
    values = log_ticks(low, low * ratio)
    assert values == sorted(set(values))
    assert all(low <= value <= low * ratio for value in values)


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_a_scale_stays_inside(a: float, b: float, value: float) -> None:
    assert 10 <= Scale(min(a, b), max(a, b), 10, 20)(value) <= 20


@given(st.lists(st.tuples(st.floats(0, 760), st.floats(1, 80)), max_size=60))
def test_no_two_labels_of_a_lane_touch(labels: list[tuple[float, float]]) -> None:
    labels.sort()
    chosen = lanes([start for start, _ in labels], [width for _, width in labels])
    for lane in set(chosen):
        row = [label for label, found in zip(labels, chosen, strict=True) if found == lane]
        assert all(start + width <= after for (start, width), (after, _) in pairwise(row))


def test_a_share_says_all_and_none_only_when_it_is() -> None:
    assert [percent(x) for x in (0, 1e-9, 0.5, 1 - 1e-9, 1)] == ["0%", "<0.1%", "50.0%", ">99.9%", "100%"]


def test_a_number_that_rounds_to_nothing_has_no_sign() -> None:
    assert (signed(-0.00001), signed(-0.0021)) == ("0.0000", "\u22120.0021")


def test_weeks_draws_a_point_where_there_is_a_metric_and_a_cross_where_there_is_none() -> None:
    rows = [week(0, Span(0.74, 0.73, 0.75), Span(0.72, 0.70, 0.74)), week(1, maturity=None), week(2)]
    svg = read(weeks(rows, [Mark(START, "v1", "v1 promoted")], "AUC", "AUC by week"))
    assert (len(of_class(svg, "dot")), len(of_class(svg, "none")), len(of_class(svg, "mature"))) == (2, 2, 2)
    final, then = sorted(of_class(svg, "dot"), key=lambda dot: number(dot, "cy"))
    assert (final.get("class"), then.get("class")) == ("dot", "dot then")
    assert texts(svg, "flag") == ["v1"]
    assert [title.text for title in svg.iter("title")][:2] == ["AUC by week", "v1 promoted"]


def test_weeks_without_any_metric_say_so() -> None:
    assert "no week has an AUC" in weeks([week(0)], [], "AUC", "AUC by week")
    assert "no week was replayed" in weeks([], [], "AUC", "AUC by week")


def test_one_week_with_hardly_any_rows_does_not_flatten_the_others() -> None:
    rows = [week(index, Span(0.74, 0.73, 0.75)) for index in range(9)]
    bars = of_class(read(weeks([*rows, week(9, Span(0.75, 0.1, 1.0))], [], "AUC", "AUC")), "bar")
    lengths = [number(bar, "y2") - number(bar, "y1") for bar in bars]
    assert abs(lengths[0]) > 30


@pytest.mark.parametrize("count", [1, 2, 13, 53, 100, 300])
def test_the_dates_of_any_number_of_weeks_do_not_touch(count: int) -> None:
    rows = [week(index, Span(0.74, 0.73, 0.75)) for index in range(count)]
    marks = [Mark(row.start, f"v{index}", "") for index, row in enumerate(rows)]
    svg = read(weeks(rows, marks, "AUC", "AUC"))
    dates = [tick for tick in of_class(svg, "tick") if " " in (tick.text or "")]
    places = [(number(tick, "x"), number(tick, "x") + LETTER * len(tick.text or "")) for tick in dates]
    assert places
    assert all(end <= start for (_, end), (start, _) in pairwise(places))
    assert places[-1][1] <= WIDTH + 8
    flags = of_class(svg, "flag")
    assert len(flags) == count
    assert all(number(flag, "x") + LETTER * len(flag.text or "") <= WIDTH for flag in flags)


def test_forest_tells_verdicts_apart_by_word_and_shape() -> None:
    rows = [
        Row("v2", "PASS", GAIN, "+0.0040", "v2 passed", promoted=True),
        Row("v3", "FAIL", Span(-0.004, -0.006, -0.002), "-0.0040", "v3 failed", note="planted fault"),
        Row("v4", "INSUFFICIENT", None, "no interval", "v4: too few rows"),
        Row("v5", "what is this", GAIN, "+0.0040", "not a verdict"),
    ]
    svg = read(forest(rows, 0.002, "AUC", "gains"))
    assert texts(svg, "verdict") == ["PASS", "FAIL", "INSUFFICIENT", "what is this"]
    assert texts(svg, "note") == ["planted fault"]
    assert [shape.tag for shape in of_class(svg, "shape")] == ["circle", "circle", "path", "path", *["circle"] * 3]
    assert len(of_class(svg, "gain")) == 3
    assert "margin +0.002" in texts(svg, "flag")


def test_forest_shows_zero_the_margin_and_an_arrow_for_what_goes_beyond() -> None:
    rows = [Row(f"v{index}", "PASS", GAIN, "", "") for index in range(9)]
    svg = read(forest([*rows, Row("v9", "FAIL", Span(-0.5, -0.6, -0.4), "", "")], 0.0, "AUC", "gains"))
    assert len(of_class(svg, "arrow")) == 1
    assert number(of_class(svg, "zero")[0], "x1") == number(of_class(svg, "margin")[0], "x1")
    gain = of_class(svg, "gain")[0]
    assert number(gain, "x2") - number(gain, "x1") > 15
    assert texts(svg, "flag") == ["margin 0"]


def test_forest_without_rows_margin_or_intervals_is_drawn() -> None:
    assert not of_class(read(forest([], None, "AUC", "gains")), "margin")
    assert of_class(read(forest([Row("v1", "FAIL", None, "none", "")], 0.01, "AUC", "gains")), "margin")


def test_a_bar_has_the_area_of_its_count() -> None:
    svg = read(histogram([Bin(1, 2, 100), Bin(2, 8, 100)], [Mark(25, "bar 25 ms", "", "limit")], "ms", "latency"))
    areas = [(number(bar, "width") + 1) * number(bar, "height") for bar in of_class(svg, "count")]
    assert areas[0] == pytest.approx(areas[1], rel=0.02)
    assert texts(svg, "flag") == ["bar 25 ms"]


def test_histogram_labels_never_touch_and_nothing_is_said_when_nothing_was_timed() -> None:
    marks = [Mark(at, f"p{at:g} {at:g} ms", "") for at in (2.0, 2.1, 2.2, 24.0, 25.0)]
    svg = read(histogram([Bin(1, 2, 5), Bin(2, 30, 0)], marks, "ms", "latency"))
    assert len({(number(flag, "y")) for flag in of_class(svg, "flag")}) >= 3
    assert "nothing was timed" in histogram([Bin(1, 2, 0)], marks, "ms", "latency")


def test_share_is_never_wider_than_the_whole() -> None:
    widths = [number(of_class(read(share(*pair, "x")), "part")[0], "width") for pair in ((0, 0), (1, 2), (9, 3))]
    assert widths == [0, WIDTH / 2, WIDTH]


def test_hostile_text_is_escaped_wherever_it_goes() -> None:
    rows = [Row(HOSTILE, HOSTILE, GAIN, HOSTILE, HOSTILE, note=HOSTILE)]
    one = Week(START, START + 7 * DAY, GAIN, GAIN, 1.0, 1.0, HOSTILE)
    mark = Mark(START, HOSTILE, HOSTILE, HOSTILE)
    for svg in (
        forest(rows, 0.0, HOSTILE, HOSTILE),
        weeks([one], [mark], HOSTILE, HOSTILE),
        histogram([Bin(1, 2, 3)], [mark._replace(at=2.0)], HOSTILE, HOSTILE),
        share(1, 2, HOSTILE),
    ):
        read(svg)
