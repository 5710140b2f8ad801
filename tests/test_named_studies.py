"""The studies of heart rate, of persistence and of maps by name, tiny, on simulated data."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from limbeck.errors import Interrupted, UserError
from limbeck.observers import Observer
from limbeck.study import find, run_named, run_study

TINY = {
    "student.width": "4", "teacher.width": "4", "plan.steps": "3", "plan.batch": "32", "plan.evaluations": "1",
    "plan.device": "cpu", "seeds": "0",
}  # fmt: skip
MAPS = {
    "data.train": "16", "data.test": "4", "data.size": "16,24", "student": "segnet", "student.width": "4",
    "student.blocks": "1,1", "absent": "accept", "trajectory.k": "3", "plan.steps": "2", "plan.batch": "8",
    "plan.evaluations": "1", "plan.device": "cpu", "seeds": "0,1", "variant": "single-task,naive,both",
}  # fmt: skip
WAVES = {"data": "pulse", "data.subjects": "5", "data.seconds": "30"}
LEFT_OUT = {
    "data": "wearable", "data.subjects": "4", "data.seconds": "12", "data.windows.stride": "100", "eta": "1",
    "student.depth": "10", "series.depth": "10", "plan.steps": "2", "plan.batch": "16", "plan.evaluations": "1",
    "plan.device": "cpu", "seeds": "0", "variant": "labels,annealed",
}  # fmt: skip
SIZES = {**TINY, **WAVES, "variant": "scratch,dkd from 2,feature from 2,dkd from 4", "student.blocks": "1,2,3,4"}


class Stops(Observer):
    """Presses Ctrl-C as the training of that number begins."""

    def __init__(self, last: int) -> None:
        self.left = last

    def begins(self, at: Path, step: int, steps: int) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def alike(one: Path, two: Path, names: Sequence[str]) -> None:
    for name in names:
        assert (one / name).read_bytes() == (two / name).read_bytes(), name


def test_a_scaling_study_that_is_cut_and_gone_on_with_equals_the_uncut_one(tmp_path: Path) -> None:
    made, cut, whole = find("ppg-scaling", SIZES), tmp_path / "cut", tmp_path / "whole"
    with pytest.raises(Interrupted, match="cells finished; all is saved"):
        run_study(made, cut, observers=[Stops(9)])
    before = {path: path.read_bytes() for path in cut.glob("cells/*/scores.json")}
    assert 0 < len(before) < 16
    run_named(str(cut), {}, None)
    assert run_study(made, whole).finished == 16
    alike(cut, whole, ("table.md", "results.csv", "scaling.json", "scaling.svg"))
    assert all(path.read_bytes() == kept for path, kept in before.items())
    for path in whole.glob("cells/*/best/student.safetensors"):
        alike(cut, whole, [str(path.relative_to(whole))])


@pytest.fixture(scope="module")
def scaling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("scaling")
    run_study(find("ppg-scaling", {**SIZES, "student.blocks": "1,2"}), out)
    return out


def test_a_teacher_is_trained_once_for_all_its_students(scaling: Path) -> None:
    trained = sorted(path.parent.name.partition("-")[0] for path in scaling.glob("stages/*/finished.json"))
    assert trained == ["teacher", "teacher"], "one of 2 blocks and one of 4"
    told = [json.loads(path.read_text()) for path in scaling.glob("cells/*/stages.json")]
    assert len(told) == 6, "all but those from scratch"


def test_a_scaling_study_tells_errors_by_size_and_what_cannot_be_told(scaling: Path) -> None:
    page = (scaling / "table.md").read_text()
    assert "## By student.blocks: data" in page
    assert "| MAE bpm | 1 | 2 |" in page
    assert "2 sizes cannot tell a law of three parameters" in page
    assert ">peaks</text>" in (scaling / "scaling.svg").read_text()


def test_a_transfer_study_ends_in_a_matrix_of_errors(tmp_path: Path) -> None:
    """The second set is written as a study file would, since two of one kind need names."""
    study = {
        "recipe": "ppg-heart-rate", "base": {k: v for k, v in TINY.items() if k != "seeds"}, "compare": "variant",
        "variants": {"one": WAVES, "other": {**WAVES, "data.seed": 1, "data.rate": 32}}, "across": "variant",
    }  # fmt: skip
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(study))
    outcome = run_named(str(path), {}, tmp_path / "out")
    assert (outcome.cells, outcome.finished) == (2, 2)
    page = (tmp_path / "out" / "table.md").read_text()
    assert "| MAE bpm | one | other |" in page
    assert "| peaks | " in page
    [matrix] = json.loads((tmp_path / "out" / "transfer.json").read_text())
    assert len([s for s in matrix["scores"] if not s["trained"].startswith("peaks")]) == 4


def test_leaving_each_subject_out_has_the_variants_of_the_topology_study() -> None:
    plain, made = (find(name, {"data": "pamap2", "data.root": "x"}) for name in ("topology", "topology-loso"))
    assert (made.variants, made.seeds, made.compared, made.reference) == (
        plain.variants, plain.seeds, "variant", "annealed"
    )  # fmt: skip
    cells = made.cells()
    assert len(cells) == 9 * len(plain.cells())
    assert {(cell.recipe.split.kind, cell.recipe.split.fold) for cell in cells} == {("loso", i) for i in range(9)}


def test_the_subjects_left_out_are_narrowed_and_widened_on_the_command_line() -> None:
    narrow = find("topology-loso", {**LEFT_OUT, "split.fold": "0,1", "split.valid": "0.125"})
    assert [(c.labels["variant"], c.labels["split.fold"], c.recipe.split.fold) for c in narrow.cells()] == [
        ("labels", "0", 0), ("labels", "1", 1), ("annealed", "0", 0), ("annealed", "1", 1),
    ]  # fmt: skip
    assert {cell.recipe.split.valid for cell in narrow.cells()} == {0.125}
    assert len(find("topology-loso", {**LEFT_OUT, "split.fold": ",".join(map(str, range(51)))}).cells()) == 2 * 51
    for given, said in (("0-8", r"split.fold: .* \(given '0-8'\)"), ("-1", "greater than or equal to 0")):
        with pytest.raises(UserError, match=said):
            find("topology-loso", {**LEFT_OUT, "split.fold": given})


def test_a_study_that_leaves_subjects_out_ends_in_a_table_by_subject(tmp_path: Path) -> None:
    """One fold too many: the others count, the table says so, and the command ends in how many there are."""
    with pytest.raises(UserError, match=r"2 of 6 cells failed.* is not below the number of subjects, 4") as error:
        run_named("topology-loso", {**LEFT_OUT, "split.fold": "0,3,4"}, tmp_path)
    assert "variant labels, split.fold 4" in str(error.value)
    with (tmp_path / "subjects.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["model"] == "student" and row["task"] == "activity"]
    told = {(row["variant"], row["subject"]): f"{100 * float(row['accuracy']):.1f}" for row in rows}
    subjects = dict.fromkeys(row["subject"] for row in rows)
    assert len(told) == 4
    _, _, table = (tmp_path / "table.md").read_text().partition("## By subject: data wearable, split loso: activity\n")
    assert "| subject | labels | annealed |" in table
    for name in subjects:
        assert f"| {name} | {told['labels', name]} | {told['annealed', name]} |" in table
    assert "2 of the data's 4 subjects are in the table." in table


@pytest.mark.parametrize(("name", "given"), [
    ("face-transfer", {"data.sets": "utkface:x,fer2013:y"}),
    ("wearable-transfer", {"data.sets.0.data.root": "x", "data.sets.1.data.root": "y"}),
])  # fmt: skip
def test_half_labelled_sets_are_compared_by_task_set_and_generated_labels(name: str, given: dict[str, str]) -> None:
    """S5-09: single, MTL, MTL + domains, single + DD, MTL + DD, with a control for the steps and an unrelated task."""
    cells = find(name, given).cells()
    recipes = {cell.labels["variant"]: cell.recipe for cell in cells if cell.labels["seed"] == "0"}
    assert len(cells) == 3 * len(recipes) == 24
    methods = {label: recipe.method for label, recipe in recipes.items()}
    assert methods == {
        "single": "single-task", "MTL": "mtl", "MTL + domains": "mtl-domains", "single + DD": "single-dd",
        "MTL + DD": "mtl-dd", "MTL + domains, twice the steps": "mtl-domains",
        "MTL + DD, twice the steps": "mtl-dd", "MTL + domains + unrelated": "mtl-domains",
    }  # fmt: skip
    assert {label for label, recipe in recipes.items() if recipe.longer == 2} == {
        "MTL + domains, twice the steps", "MTL + DD, twice the steps",
    }  # fmt: skip
    assert {recipe.hide for recipe in recipes.values()} == {0.25}
    assert len({recipe.plan for recipe in recipes.values()}) == 1, "what is compared has the same steps and rates"


def test_a_study_of_maps_trains_each_teacher_once_and_tells_the_mean_improvements(tmp_path: Path) -> None:
    assert run_study(find("joint-distill", MAPS), tmp_path).finished == 6
    stages = sorted(path.name.rsplit("-", 1)[0] for path in (tmp_path / "stages").iterdir() if path.is_dir())
    assert stages == ["single-depth", "single-depth", "single-segmentation", "single-segmentation"], "two seeds"
    page = (tmp_path / "table.md").read_text()
    assert "single-segmentation | 2 |" in page
    told = page.split("## Over all tasks")[1]
    assert "| naive | 2 |" in told
    assert "| both | 2 |" in told
    assert (tmp_path / "gains.json").is_file()
