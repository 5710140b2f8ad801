"""The charts are well-formed, stay inside their box, and say in words and shapes what they say in colour."""

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.charts import Line, Mark, Style, dot_chart, interval_chart, legend, line_chart, shape, ticks
from limbeck.truth_charts import heat_map

NASTY = "<script>alert(\"x\")</script> & 'quoted' \x00\x07"
LINE = Line("a", Style(0), [(0.0, 10.0, 8.0, 12.0), (5.0, 30.0, 25.0, 33.0), (10.0, 55.0, 50.0, 61.0)])


def parsed(svg: str) -> ElementTree.Element:
    """The drawing as XML; fails where it is not well-formed."""
    return ElementTree.fromstring(svg)


def coordinates(svg: str) -> list[tuple[float, float]]:
    """Every point of a polyline or polygon."""
    found = re.findall(r'points="([^"]*)"', svg)
    return [(float(x), float(y)) for points in found for x, y in (pair.split(",") for pair in points.split())]


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 8))
def test_ticks_enclose_the_values_in_equal_round_steps(low: float, width: float, about: int) -> None:
    found = ticks(low, low + width, about)
    step = found[1] - found[0]
    slack = step * 1e-4 + 1e-12 * max(abs(low), width)  # what floats of that size can tell apart
    assert found[0] <= low + slack
    assert found[-1] >= low + width - slack
    assert len(found) <= about + 3
    assert f"{step:.3e}"[:4] in {"1.00", "2.00", "2.50", "5.00"} or width < abs(low) * 1e-6


def test_ticks_are_those_a_person_would_draw() -> None:
    assert ticks(0, 10, 5) == [0, 2, 4, 6, 8, 10]
    assert ticks(61.2, 74.9) == [60, 65, 70, 75]
    assert ticks(0.013, 0.094) == [0, 0.025, 0.05, 0.075, 0.1]
    assert ticks(3, 3) == [2.5, 2.75, 3, 3.25, 3.5]


def test_a_line_runs_through_its_values_and_stays_inside_the_box() -> None:
    svg = line_chart(
        [LINE, Line("b", Style(1), [(x, y + 7, l + 7, h + 7) for x, y, l, h in LINE.points])], "t", "epoch"
    )
    root = parsed(svg)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    assert all(0 <= x <= width and 0 <= y <= height for x, y in coordinates(svg))
    line = next(e for e in root if e.tag == "polyline")
    (x0, y0), (x1, y1), (x2, y2) = coordinates(f'points="{line.attrib["points"]}"')
    assert x0 < x1 < x2
    # Higher values are further up, in proportion.
    assert (y0 - y1) / (y0 - y2) == pytest.approx((30 - 10) / (55 - 10), abs=0.01)


def test_a_long_figure_at_the_end_of_an_axis_stays_inside_the_box() -> None:
    root = parsed(line_chart([Line("a", Style(0), [(0.0, 1.0, 1.0, 1.0), (0.125, 2.0, 2.0, 2.0)])], "t", "epoch"))
    (last,) = [e for e in root if e.text == "0.125"]
    width = float(root.attrib["viewBox"].split()[2])
    assert (last.attrib["class"], float(last.attrib["x"])) == ("tick end", width)


def test_a_single_point_and_a_constant_are_still_drawn() -> None:
    parsed(line_chart([Line("a", Style(0), [(1.0, 0.5, 0.5, 0.5)])], "t", "epoch"))
    parsed(line_chart([Line("a", Style(0), [(0.0, 2.0, 2.0, 2.0), (1.0, 2.0, 2.0, 2.0)])], "t", "epoch", level=0.0))
    parsed(interval_chart([Mark("a", Style(0), 50.0)], "t"))


def test_the_zero_line_is_in_view_when_asked_for() -> None:
    root = parsed(line_chart([LINE], "t", "epoch", level=0.0))
    assert [e for e in root if e.attrib.get("class") == "zero"]


def test_a_level_between_ticks_is_drawn_and_the_axis_reaches_as_far_as_asked() -> None:
    line = Line("a", Style(0), [(0.0, 2.0, 2.0, 2.0), (4.0, 7.0, 7.0, 7.0)])
    root = parsed(line_chart([line], "t", "epoch", level=1.3, reach=50.0))
    (level,) = [e for e in root if e.attrib.get("class") == "zero"]
    assert level.attrib["y1"] not in {e.attrib["y1"] for e in root if e.attrib.get("class") == "grid"}
    assert "50" in [t.text for t in root.iter("text") if t.get("class") == "tick mid"]


def test_no_two_series_differ_in_colour_alone() -> None:
    drawn = [shape(Style(n), 0, 0) for n in range(6)]
    without_colour = {re.sub(r" s\d", "", text) for text in drawn}
    assert len(without_colour) == 6
    assert "faint" in shape(Style(0, faint=True), 0, 0)


def test_an_interval_is_drawn_from_its_low_to_its_high_end() -> None:
    root = parsed(interval_chart([Mark("one", Style(0), 70.0, 60.0, 80.0), Mark("two", Style(1), 65.0)], "t"))
    bars = [e for e in root if e.attrib.get("class", "").startswith("bar")]
    dot = next(e for e in root if e.tag == "circle")
    wide = max(bars, key=lambda e: float(e.attrib["x2"]) - float(e.attrib["x1"]))
    assert float(dot.attrib["cx"]) == pytest.approx((float(wide.attrib["x1"]) + float(wide.attrib["x2"])) / 2, abs=0.2)
    assert len(bars) == 3


def test_dots_have_a_row_for_each_name_and_a_tooltip_with_the_value() -> None:
    rows = [(f"p{i}", [Mark("m", Style(0), 50.0 + i), Mark("n", Style(1), 60.0)]) for i in range(10)]
    svg = dot_chart(rows, "t")
    parsed(svg)
    assert "<title>p3, m: 53.0 %</title>" in svg


def test_a_heat_map_shades_by_share_of_the_row_and_keeps_counts_in_tooltips() -> None:
    svg = heat_map([[90, 10], [300, 100]], ["yes", "no"], "t")
    root = parsed(svg)
    assert "<title>yes called no: 10 of 100 (10.0%)</title>" in svg
    opacity = [float(e.attrib["fill-opacity"]) for e in root.iter() if "fill-opacity" in e.attrib]
    assert opacity == pytest.approx([0.04 + 0.96 * s for s in (0.9, 0.1, 0.75, 0.25)], abs=0.01)
    assert [e.text for e in root.iter("text")].count("25") == 1


def test_a_class_without_a_test_window_leaves_its_row_empty() -> None:
    root = parsed(heat_map([[5, 1], [0, 0]], ["yes", "no"], "t"))
    assert len([e for e in root.iter("rect") if e.attrib.get("class") == "heat"]) == 2


@pytest.mark.parametrize("size", [1, 2, 8, 18, 40, 180])
def test_heat_maps_of_any_size_are_well_formed_and_not_huge(size: int) -> None:
    counts = [[3 if i == j else 0 for j in range(size)] for i in range(size)]
    root = parsed(heat_map(counts, [f"class number {i}" for i in range(size)], "t"))
    assert float(root.attrib["width"]) < 750


def test_names_are_escaped_everywhere() -> None:
    mark = Mark(NASTY, Style(0), 50.0, 40.0, 60.0)
    drawings = [
        line_chart([Line(NASTY, Style(0), LINE.points)], NASTY, NASTY, NASTY),
        interval_chart([mark], NASTY),
        dot_chart([(NASTY, [mark])], NASTY),
        heat_map([[1, 2], [3, 4]], [NASTY, NASTY], NASTY),
        f"<div>{legend([(NASTY, Style(0))])}</div>",
    ]
    for drawing in drawings:
        assert not [e for e in parsed(drawing).iter() if e.tag == "script"]


def test_every_chart_says_in_words_what_it_shows() -> None:
    root = parsed(line_chart([LINE], "Loss", "epoch", "nats"))
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == "Loss: a ends at 55 nats"
