"""Bars are as long as their values, stay inside their box, and say in words what they show."""

import pytest

from limbeck.bars import bar_chart
from limbeck.charts import WIDTH, Mark, Style
from tests.test_charts import parsed

ROWS = [
    ("age", [Mark("a", Style(0), 50.0, 40.0, 60.0), Mark("b", Style(1), 100.0)]),
    ("<gender> and a very long name", [Mark("a", Style(0), 0.0, 0.0, 100.0)]),
]


def test_bars_are_as_long_as_their_values_and_inside_the_box() -> None:
    root = parsed(bar_chart(ROWS, "coverage"))
    height = float(root.get("viewBox", "").split()[3])
    bars = root.findall("rect")
    widths = [float(bar.get("width", "")) for bar in bars]
    assert widths[0] == pytest.approx(widths[1] / 2, abs=0.11)
    assert widths[2] == 0
    for element in root.iter():
        place = {k: float(element.get(k, 0)) for k in ("x", "y", "x1", "x2", "y1", "y2", "width", "height")}
        assert 0 <= place["x"] + place["width"] <= WIDTH or element is root
        assert 0 <= place["y"] <= height
    assert len(root.findall("line[@class='whisker']")) == 2


def test_every_bar_says_what_it_is() -> None:
    root = parsed(bar_chart(ROWS, "coverage"))
    assert root.get("aria-label") == "coverage: age: a 50.0 %, b 100.0 %; <gender> and a very long name: a 0.0 %"
    titles = [bar.findtext("title") for bar in root.findall("rect")]
    assert titles == [
        "age, a: 50.0 % (40.0 to 60.0)",
        "age, b: 100.0 %",
        "<gender> and a very long name, a: 0.0 % (0.0 to 100.0)",
    ]
