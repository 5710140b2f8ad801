"""Rates that tune themselves are drawn with the ends of their cycles; weights of tasks are no losses."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from limbeck.compare import Group, groups, plain
from limbeck.figures import figures
from limbeck.finished import load
from limbeck.rate_figures import panels
from tests.fake_faces import FACES, range_test, write_face_run
from tests.fake_runs import write_run
from tests.fake_streets import streets, write_street_run
from tests.test_charts import coordinates, parsed


def group(at: Path) -> Group:
    return groups([load(at)])[0]


def test_the_rate_is_drawn_by_step_with_the_ends_of_its_cycles(tmp_path: Path) -> None:
    (figure,) = panels(group(write_face_run(tmp_path / "a", images=30)))["rate"].figures
    root = parsed(figure.drawing)
    ends = root.findall(".//line[@class='limit']")
    assert len(ends) == 5
    titles = [one.text for one in root.iter("title")]
    assert titles[:3] == [
        "step 400: on with up to 0.05",
        "step 800: on with up to 0.035",
        "step 1,200: on with up to 0.035",
    ]
    points = coordinates(figure.drawing)
    assert len(points) == 100
    assert min(y for _, y in points[:20]) < min(y for _, y in points[80:]), "the last cycle is lower"
    assert figure.scored is False


def test_the_range_test_shows_where_it_diverged_and_what_it_gave(tmp_path: Path) -> None:
    (figure,) = panels(group(write_face_run(tmp_path / "a", images=30)))["range"].figures
    found = range_test()
    assert f"diverged at {found['diverged']:.2g}; cycles between {found['low']:.2g} and" in figure.caption
    root = parsed(figure.drawing)
    (band,), (limit,) = root.findall("rect"), root.findall("line[@class='limit']")
    decade = float(band.get("width", ""))
    assert float(limit.get("x1", "")) - float(band.get("x", "")) == pytest.approx(2 * decade, abs=0.2)
    xs = [x for x, _ in coordinates(figure.drawing)]
    assert xs == sorted(xs)


@pytest.mark.parametrize(
    "changed",
    [
        {"diverged": None},
        {"lrs": [1e-6], "losses": [2.0], "smoothed": [2.0]},
        {"smoothed": [-1.0 - i / 1000 for i in range(len(range_test()["lrs"]))]},
    ],
)
def test_odd_range_tests_are_drawn_too(tmp_path: Path, changed: dict[str, Any]) -> None:
    at = write_face_run(tmp_path / "a", images=30)
    (at / "range.json").write_text(json.dumps(range_test() | changed))
    (figure,) = panels(group(at))["range"].figures
    parsed(figure.drawing)
    assert "nan" not in figure.drawing


def test_what_diverged_at_once_or_was_not_tested_is_not_drawn(tmp_path: Path) -> None:
    at = write_face_run(tmp_path / "a", images=30)
    (at / "range.json").write_text(json.dumps(range_test() | {"lrs": [], "losses": [], "smoothed": []}))
    assert panels(group(at))["range"].figures == []
    (at / "range.json").unlink()
    assert panels(group(at))["range"].figures == []
    assert panels(group(at))["rate"].figures != []
    others = panels(group(write_run(tmp_path / "b")))
    assert [panel.figures for panel in others.values()] == [[], [], []]


def test_each_stage_has_its_own_rate(tmp_path: Path) -> None:
    at = write_face_run(tmp_path / "a", "single-task", images=30)
    for stage in ("part-age", "part-gender"):
        (at / stage).mkdir()
        (at / stage / "metrics.jsonl").write_text((at / "metrics.jsonl").read_text())
        (at / stage / "range.json").write_text(json.dumps(range_test()))
    (at / "best").mkdir()
    (at / "best" / "model.json").write_text('{"parts": ["part-age", "part-gender"]}')
    found = panels(group(at))
    assert [figure.caption for figure in found["rate"].figures] == ["single-task, part-age", "single-task, part-gender"]
    assert len(found["range"].figures) == 2


def test_weights_are_drawn_by_task_and_not_as_losses(tmp_path: Path) -> None:
    made = group(write_face_run(tmp_path / "a", "mtl", images=30, balance="uncertainty"))
    (figure,) = panels(made)["weights"].figures
    assert re.findall(r"(\w+) ends at", figure.drawing) == [task.name for task in FACES]
    assert all(task.name in panels(made)["weights"].legend for task in FACES)
    assert [one.caption for one in figures(made)["losses"].figures] == [task.name for task in FACES]
    assert plain(made.entries[0]), "weights are no sign of distillation"


def test_feedback_stands_below_the_weights_on_their_axis(tmp_path: Path) -> None:
    at = write_street_run(tmp_path / "a", table=streets(3, (8, 16)), drawn=False)
    rows = [json.loads(row) for row in (at / "metrics.jsonl").read_text().splitlines()]
    told = [row for row in rows if row["event"] == "feedback" and row["epoch"] <= 6]
    kept = [row for row in rows if row["event"] != "feedback"] + told
    (at / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in kept))
    (figure,) = panels(group(at))["weights"].figures
    weights, ratios = (parsed(drawn) for drawn in re.findall(r"<svg.*?</svg>", figure.drawing))
    across = [[t.text for t in root.iter("text") if t.get("class") == "tick mid"] for root in (weights, ratios)]
    assert across[0] == across[1]
    lines = {e.get("class"): coordinates(f'points="{e.get("points")}"') for e in ratios.iter("polyline")}
    assert list(lines) == ["line s0", "line s1", "line s2"]
    assert len(lines["line s0"]) == 6
    last = told[-1]["ratios"]
    height = {name: lines[f"line s{i}"][-1][1] for i, name in enumerate(last)}
    (level,) = ratios.findall("line[@class='zero']")
    scale = (height["depth"] - float(level.get("y1", ""))) / (1 - last["depth"])
    assert (height["normals"] - float(level.get("y1", ""))) / (1 - last["normals"]) == pytest.approx(scale, rel=0.05)


def test_weights_without_feedback_and_feedback_without_weights_are_drawn(tmp_path: Path) -> None:
    table = streets(3, (8, 16))
    (dwa,) = panels(group(write_street_run(tmp_path / "a", "dwa", table=table, drawn=False)))["weights"].figures
    assert dwa.drawing.count("<svg") == 1
    at = write_street_run(tmp_path / "b", table=table, drawn=False)
    rows = [json.loads(row) for row in (at / "metrics.jsonl").read_text().splitlines()]
    for row in rows:
        row["terms"] = {k: v for k, v in row.get("terms", {}).items() if not k.startswith("weight(")}
    (at / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (figure,) = panels(group(at))["weights"].figures
    assert figure.drawing.count("<svg") == 1
    assert "towards their teachers" in figure.drawing
