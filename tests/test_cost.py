import json
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from limbeck import checkpoint
from limbeck.cost import Cost, bench, costs, print_costs, shares
from limbeck.deployments import TORCH, Deployed, deployments, untrained
from limbeck.errors import UserError
from limbeck.models import ResNet1D
from tests.conftest import TASKS

SHAPE = (3, 40)
SPECS = {"small": ResNet1D(blocks=1, width=8), "large": ResNet1D(blocks=3, width=512)}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Deployed]:
    folder = tmp_path_factory.mktemp("models")
    exported = untrained({"small": SPECS["small"]}, TASKS, SHAPE, folder)
    [large] = untrained({"large": SPECS["large"]}, TASKS, SHAPE, folder, onnx=False)
    return {"torch": exported[0], "onnx": exported[1], "large": large}


@pytest.fixture(scope="module")
def run(models: dict[str, Deployed], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder whose student is the small network and whose teacher, the large one, is shared with other runs."""
    at = tmp_path_factory.mktemp("runs") / "a"
    for name in ("student.safetensors", "model.json"):
        checkpoint.write(at / "best" / name, (models["torch"].path / name).read_bytes())
    checkpoint.write(at / "export" / "student.onnx", models["onnx"].path.read_bytes())
    checkpoint.write_json(at / "data.json", {"channels": ["x", "y", "z"], "window": 40, "modality": "sensor"})
    checkpoint.write_json(at / "stages.json", {"teacher": str(models["large"].path.parent)})
    return at


@pytest.fixture(scope="module")
def benched(run: Path) -> tuple[dict[str, Cost], str]:
    """What was measured of student, its export and its teacher, and what was printed."""
    console = Console(file=StringIO(), width=220)
    every = bench([run], repeats=5, processes=1, console=console)
    return dict(zip(("torch", "onnx", "large"), every, strict=True)), console.file.getvalue()


@pytest.fixture
def measured(benched: tuple[dict[str, Cost], str]) -> dict[str, Cost]:
    return benched[0]


def test_a_cost_has_time_memory_bytes_parameters_and_operations(measured: dict[str, Cost]) -> None:
    for cost in measured.values():
        assert 0 < cost.spread[0] <= cost.median <= cost.spread[1]
        assert cost.median <= cost.p90
        assert (cost.calls, cost.processes) == (5, 1)
    small, exported = measured["torch"], measured["onnx"]
    assert (small.how, exported.how) == ("torch", "onnx")
    assert (small.parameters, small.macs) == (exported.parameters, exported.macs)
    module = SPECS["small"].build(TASKS, SHAPE)
    assert small.parameters == sum(p.numel() for p in module.parameters())


@pytest.mark.skipif(not Path("/proc/self/clear_refs").is_file(), reason="the high-water mark is begun anew on Linux")
def test_memory_that_came_with_a_model_holds_its_weights_and_not_its_imports(measured: dict[str, Cost]) -> None:
    small, large = measured["torch"], measured["large"]
    weights = large.bytes - small.bytes
    assert weights > 2e7
    assert 0.9 * weights < large.added - small.added < 4 * weights
    assert small.added < 0.3 * small.peak, "most of a torch process is torch"
    assert measured["onnx"].peak < small.peak


def test_an_exported_model_is_measured_without_torch(models: dict[str, Deployed]) -> None:
    asked = {"how": "onnx", "path": str(models["onnx"].path), "shape": SHAPE, "repeats": 2}
    code = f"import sys; from limbeck.gauge import gauge; gauge({asked!r}); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_run_is_measured_with_its_export_and_its_teacher_and_keeps_what_was_found(
    run: Path, benched: tuple[dict[str, Cost], str]
) -> None:
    every, said = benched
    names = [(m.name.removeprefix(f"{run} "), m.how) for m in deployments(run)]
    assert names == [("student", "torch"), ("student", "onnx"), ("teacher", "torch")]
    kept = json.loads((run / "bench.json").read_text())
    assert [m["median"] for m in kept["models"]] == [cost.median for cost in every.values()]
    assert kept["machine"]["threads"] == 1
    assert f"{every['torch'].parameters:,}" in said
    assert re.search(r"student +torch.*−\d+% .*−\d\d%", said), "the student saves parameters against its teacher"
    assert "bench.json" in said


def test_the_verb_measures_a_file_too_and_refuses_what_is_neither(
    run: Path, limbeck, capsys: pytest.CaptureFixture[str]
) -> None:
    assert limbeck(f"bench {run / 'export' / 'student.onnx'} --repeats 2 --processes 1") == 0
    assert (run / "export" / "student.bench.json").is_file()
    capsys.readouterr()
    assert limbeck(f"bench {run / 'best'}") == 2
    assert "neither a finished run folder" in capsys.readouterr().err
    assert limbeck("bench") == 2
    assert "name at least one run folder" in capsys.readouterr().err
    assert limbeck(f"bench {run} --repeats 1") == 2
    assert "--repeats of 2 or more" in capsys.readouterr().err


def test_a_model_that_cannot_be_loaded_is_named(models: dict[str, Deployed], tmp_path: Path) -> None:
    for name in ("student.safetensors", "model.json"):
        checkpoint.write(tmp_path / name, (models["torch"].path / name).read_bytes()[:-9])
    broken = Deployed("broken", TORCH, tmp_path, SHAPE, None)
    with pytest.raises(UserError, match=rf"{tmp_path} could not be measured by torch: .*Error") as error:
        costs([broken], 2, 1)
    assert "\n" not in str(error.value)


def test_what_is_saved_is_a_share_of_the_other_and_unknown_memory_is_left_out() -> None:
    one = Cost("[a]", "torch", 1.0, 1.2, (1.0, 1.0), 200, 10, 4000, 1000, 5, 2, 1)
    two = Cost("b", "torch", 10.0, 12.0, (10.0, 10.0), None, None, 200_000, 50_000, 60, 2, 1)
    assert shares(one, two) == pytest.approx((-0.9, None, -0.98))
    console = Console(file=StringIO(), width=200)
    print_costs([one, two], console)
    said = console.file.getvalue()
    assert "−90% −98%" in said
    assert "[a]" in said
