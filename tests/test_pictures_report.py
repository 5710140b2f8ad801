"""Pictures in a report: the right answers beside the right truths, judged by the definitions, errors on demand."""

import html
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from limbeck import checkpoint, paint
from limbeck.compare import Group, groups
from limbeck.finished import load
from limbeck.pictures import read
from limbeck.pictures_report import Section, judged, section
from limbeck.report import print_table, report
from tests import test_report as sound
from tests.fake_runs import write_run
from tests.fake_streets import TASKS, street_family, streets, write_street_run
from tests.test_paint import opened
from tests.test_report import chromium, plain_text

TABLE = streets(8, (16, 32))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four methods with two seeds each."""
    return street_family(tmp_path_factory.mktemp("streets"), table=TABLE)


@pytest.fixture(scope="module")
def street_page(runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Their report."""
    return report(runs, tmp_path_factory.mktemp("page") / "report.html").read_text()


def grouped(runs: list[Path]) -> Group:
    return groups([load(at) for at in runs])[0]


def drawn(runs: list[Path]) -> Section:
    found = section(grouped(runs))
    assert found
    return found


def test_each_task_has_the_truth_the_student_its_teachers_and_the_other_methods(runs: list[Path]) -> None:
    found = drawn(runs)
    assert [scene.name for scene in found.scenes] == [f"street_00{i}" for i in (0, 1, 3, 4, 6, 7)]
    (first, shots), *others = found.scenes[0].lines
    assert (first, *(task for task, _ in others)) == ("segmentation", "depth", "normals")
    assert [shot.name for shot in shots] == [
        "truth", "joint-distill student", "teacher-segmentation", "connector", "naive", "single-task", "dwa",
    ]  # fmt: skip
    assert [shot.name for shot in others[0][1]][2] == "teacher-depth"
    assert [task for task, *_ in found.keys] == ["segmentation", "depth", "normals"]
    kept = {at.name: read(at) for at in runs}
    for place, run in ((1, "joint-distill-0"), (4, "naive-0"), (6, "dwa-0")):
        ids = kept[run]["segmentation/student"][0]
        assert shots[place].picture == paint.classes(ids, np.full(ids.shape, True))
    assert shots[2].picture != shots[1].picture


def test_other_runs_answer_for_the_same_image_or_not_at_all(tmp_path: Path) -> None:
    whole = write_street_run(tmp_path / "a", table=TABLE)
    part = write_street_run(tmp_path / "b", "naive", table=TABLE.take(torch.tensor([7, 3, 1, 2])))
    shifted = json.loads((whole / "splits.json").read_text())
    (part / "splits.json").write_text(json.dumps(shifted))
    scenes = drawn([whole, part]).scenes
    named = {scene.name: [shot.name for shot in scene.lines[0][1]] for scene in scenes}
    assert {name for name, shots in named.items() if "naive" in shots} == {"street_001", "street_003", "street_007"}
    answers = read(part)
    at = answers["row"].tolist().index(103)
    shot = next(s for scene in scenes if scene.name == "street_003" for s in scene.lines[0][1] if s.name == "naive")
    ids = answers["segmentation/student"][at]
    assert shot.picture == paint.classes(ids, np.full(ids.shape, True))


def test_answers_are_judged_by_the_definitions() -> None:
    ids = np.array([[0, 1, 2, 255]], np.uint8)
    right, told = judged(ids, np.array([[0, 1, 1, 0]], np.uint8))
    assert (right.tolist(), told) == ([[True, True, False, True]], "67\u00a0% right")
    depth = np.array([[10, 10, 10, np.nan, 0]], np.float16)
    right, told = judged(depth, np.array([[12, 12.5, 7, 3, 3]], np.float16))
    assert (right.tolist(), told) == ([[True, False, False, True, True]], "off by 25\u00a0%")
    up, side, none = [0, -127, 0], [127, 0, 0], [0, 0, 0]
    right, told = judged(np.array([[up, up, none]], np.int8), np.array([[up, side, up]], np.int8))
    assert (right.tolist(), told) == ([[True, False, True]], "off by 45°")
    nothing = np.full((2, 2), 255, np.uint8)
    right, told = judged(nothing, np.zeros((2, 2), np.uint8))
    assert right.all()
    assert told == "nothing is known"


def test_what_is_unknown_is_open_in_the_truth_and_answered_by_a_model(runs: list[Path]) -> None:
    truth, student, *_ = drawn(runs).scenes[0].lines[1][1]
    kept = read(runs[0])["depth/truth"][0]
    assert ((opened(truth.picture)[..., 3] == 0) == np.isnan(kept)).all()
    assert (opened(student.picture)[..., 3] == 255).all()
    right, _ = judged(kept, read(runs[0])["depth/student"][0])
    assert ((opened(student.veil)[..., 3] > 0) == right).all()


def test_the_key_names_the_classes_that_are_seen(tmp_path: Path) -> None:
    at = write_street_run(tmp_path / "a", table=TABLE, tasks=TASKS[:1])
    kept = read(at)
    for name in [name for name in kept if name.startswith("segmentation/") and kept[name].ndim == 3]:
        kept[name] = np.where(np.isin(kept[name], (0, 5)), kept[name], 255).astype(np.uint8)
    checkpoint.write_arrays(at / "pictures.npz", kept)
    ((_, key, _),) = drawn([at]).keys
    assert re.findall(r"</svg>(\w+)", key) == ["road", "vehicle"]


def test_a_task_whose_truth_is_nowhere_known_is_drawn_too(tmp_path: Path) -> None:
    at = write_street_run(tmp_path / "a", table=TABLE, tasks=TASKS[1:2])
    kept = read(at)
    kept["depth/truth"][:] = np.nan
    checkpoint.write_arrays(at / "pictures.npz", kept)
    assert drawn([at]).scenes[0].lines[0][1][1].told == "nothing is known"


def test_runs_without_pictures_have_no_section(tmp_path: Path) -> None:
    assert section(grouped([write_run(tmp_path / "a")])) is None
    plain = write_street_run(tmp_path / "b", table=TABLE, drawn=False)
    assert section(grouped([plain])) is None
    assert 'id="pictures1"' not in report([plain], tmp_path / "out.html").read_text()
    later = write_street_run(tmp_path / "c", "naive", table=TABLE)
    assert [shot.name for shot in drawn([plain, later]).scenes[0].lines[0][1]] == ["truth", "student"]


def test_the_page_of_streets_is_in_order_and_tells_what_is_dense(street_page: str) -> None:
    heads = [plain_text(h).strip() for h in re.findall(r"<h3.*?</h3>", street_page)]
    assert heads == [
        "Scores on the test", "Ablation", "Pictures", "Learning curves", "Trajectories", "Over-fitting",
        "Confusion matrices", "Subject by subject", "Size", "Data", "Recipe", "Environment", "Reproduce", "Cite",
    ]  # fmt: skip
    text = plain_text(street_page)
    for said in (
        "scores an mIoU of", "Weights and feedback of tasks",
        "names the class that connector names on 80.0 % (segmentation)",
        "is within a factor of 1.25 of what connector says on 80.0 % (depth) of the labelled pixels",
        "is within 11.25° of what", "Validation mIoU, relative error and mean angle",
        "Test IoU on segmentation by class",
        "16 × 32 pixels (height × width)", "From 1.52 to 79.4, half of it below 9.8; 1,200 pixels are unknown",
        "Pixels by segmentation", "Always answering the commonest class would score", "6 images spread over the test",
    ):  # fmt: skip
        assert said in text, said
    assert "accuracy on" not in text
    assert "nats" not in text


def test_always_the_commonest_class_scores_its_iou_over_all_true_classes(street_page: str, runs: list[Path]) -> None:
    confusion = summary_confusion(runs[0])
    share = confusion.sum(axis=1).max() / confusion.sum()
    floor = share / (confusion.sum(axis=1) > 0).sum()
    assert f"would score {100 * floor:.1f} % on segmentation" in plain_text(street_page).replace("\u00a0", " ")


def summary_confusion(at: Path) -> np.ndarray:
    return np.array(load(at).scored.models["student"].parts["test"]["segmentation"].confusion)  # type: ignore[attr-defined]


def test_subjects_are_drawn_one_by_one_only_where_they_are_few(tmp_path: Path) -> None:
    many = write_street_run(tmp_path / "a", table=streets(40, (8, 16)), drawn=False)
    page = report([many], tmp_path / "out.html").read_text()
    assert 'id="subjects1"' not in page
    assert "Test IoU on segmentation by class" in page


def test_subjects_are_drawn_by_their_own_scores(runs: list[Path], street_page: str) -> None:
    means: dict[str, float] = {}
    for at in runs[:2]:
        for name, stats in load(at).scored.models["student"].parts["test"]["segmentation"].subjects.items():
            means[name] = means.get(name, 0) + (stats.miou or 0) / 2
    hardest = min(means, key=means.__getitem__)
    assert f"by subject, %; hardest: {hardest}" in street_page


def test_a_page_of_streets_is_sound_and_loads_nothing(street_page: str) -> None:
    sound.test_tags_are_closed_and_every_drawing_is_well_formed(street_page)
    sound.test_links_lead_to_places_of_the_page_and_ids_are_unique(street_page)
    sound.test_tables_and_figures_can_be_read_aloud(street_page)
    assert not re.search(r"https?://|url\(|@import|<script", street_page)
    loaded = re.findall(r'(?:src|href|srcset)="(.*?)"', street_page)
    assert all(re.match(r"#|data:,$|data:image/png;base64,", one) for one in loaded)
    assert all("alt=" in one for one in re.findall(r"<img.*?>", street_page))
    assert len(street_page) < 600_000


def test_the_page_of_the_same_streets_is_the_same_to_the_byte(
    runs: list[Path], street_page: str, tmp_path: Path
) -> None:
    assert report(runs, tmp_path / "again.html").read_text() == street_page


def test_names_of_streets_and_models_are_escaped(tmp_path: Path) -> None:
    nasty = "<script>alert(1)</script>"
    names = np.array([f"{nasty}{i}" for i in range(len(TABLE))])
    at = write_street_run(tmp_path / "a", table=replace(TABLE, meta=dict(TABLE.meta) | {"subject": names}))
    page = report([at], tmp_path / "out.html").read_text()
    assert "<script" not in page
    assert html.escape(nasty) in page


def test_the_terminal_has_its_table_too(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    for width in (80, 160):
        print_table(runs, Console(width=width))
        said = capsys.readouterr().out
        assert "mIoU" in said
        assert "…" not in said


TOGGLE = """<!doctype html><body><script>
const frame = document.createElement("iframe");
frame.srcdoc = PAGE;
frame.onload = () => {
  const at = frame.contentDocument, veil = at.querySelector(".veil");
  const shown = () => frame.contentWindow.getComputedStyle(veil).display;
  const before = shown();
  at.querySelector(".toggle input").click();
  document.body.innerHTML = "<pre id=said>" + before + " " + shown() + "</pre>";
};
document.body.append(frame);
</script>"""


def test_a_click_shows_where_the_answers_are_wrong(tmp_path: Path, street_page: str) -> None:
    outer = tmp_path / "toggle.html"
    outer.write_text(TOGGLE.replace("PAGE", json.dumps(street_page).replace("</", "<\\/"), 1))
    dom, console = chromium(outer, tmp_path / "profile")
    assert console == ""
    assert '<pre id="said">none block</pre>' in dom


@pytest.mark.parametrize(("scheme", "dark"), [("1", False), ("0", True)])
def test_a_browser_shows_streets_on_phone_and_desk_by_day_and_night(
    tmp_path: Path, street_page: str, scheme: str, dark: bool
) -> None:
    sound.test_a_browser_shows_it_without_complaint_on_phone_and_desk_by_day_and_night(
        tmp_path, street_page, scheme, dark
    )
