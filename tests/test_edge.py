"""Export: the file answers as the trained model does, or is not written; costs are the closed forms."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from limbeck import checkpoint, deployed, edge, models
from limbeck.batch import Batch, Outputs
from limbeck.config import dump
from limbeck.data.source import Dense, Table
from limbeck.deployed import EdgeModel, TorchModel
from limbeck.errors import UserError
from limbeck.models import VGG, ResNet1D
from limbeck.tasks import Task

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

TASKS = (
    Task.of("linear", ("still", "walk", "run")),  # the exporter calls its own values so
    Task("heart rate", 12, span=(30.0, 210.0), unit="bpm"),
    Task("speed"),
)
CARD = {
    "name": "toy",
    "rate": 50.0,
    "unit": "g",
    "channels": ["x", "y", "z"],
    "modality": "sensor",
    "digest": "d1",
    "recipe": "toy",
}
SHAPE = (3, 40)


class Net(nn.Module):
    """A trunk `(B, 3, 40) -> (B, 8)` with a head a task, and statistics of normalisation inside."""

    mean: Tensor

    def __init__(self, trunk: nn.Module, tasks: tuple[Task, ...] = TASKS) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([[0.1], [0.2], [1.0]]))
        self.trunk, self.tasks = trunk, tasks
        self.heads = nn.ModuleList([nn.Linear(8, t.classes or 1) for t in tasks])

    def forward(self, batch: Batch) -> Outputs:
        feature = self.trunk(batch.inputs["sensor"] - self.mean)
        return Outputs({t.name: head(feature) for t, head in zip(self.tasks, self.heads, strict=True)})


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 8, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.lstm(x.transpose(1, 2))[0].mean(dim=1)


class Image(nn.Module):
    """Pools to 3 of 38 steps, which do not divide: the older exporter cannot."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, (1, 3)), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d((1, 3)))
        self.end = nn.Linear(12, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.body(x.unsqueeze(1)).flatten(1))


def used(net: nn.Module) -> nn.Module:
    """With BatchNorm statistics that are not those of a new one, and left in training mode."""
    net.train()
    for _ in range(3):
        net(Batch({"sensor": 2 + 3 * torch.randn(16, *SHAPE)}, {}, torch.zeros(16)))
    return net


def windows(count: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=(count, *SHAPE)).astype(np.float32)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder, as training leaves it, with its student exported."""
    torch.manual_seed(0)
    at = tmp_path_factory.mktemp("run")
    student = used(ResNet1D(blocks=1, width=4).build(TASKS, SHAPE))
    about = [{"name": t.name, "classes": t.classes, "labels": t.labels, "span": t.span, "unit": t.unit} for t in TASKS]
    spec = {"kind": "resnet1d", "blocks": 1, "width": 4}
    checkpoint.save_tensors(at / "best" / "student.safetensors", student.state_dict())
    checkpoint.write_json(at / "best" / "model.json", {"tasks": about, "spec": spec, "shape": SHAPE, "reads": "sensor"})
    checkpoint.write_json(at / "data.json", {k: v for k, v in CARD.items() if k != "recipe"} | {"window": 40})
    checkpoint.write_json(at / "recipe.json", {"kind": "smooth-distill"})
    edge.export_run(at, Table(TASKS, {"sensor": Dense(torch.from_numpy(windows(300)))}, {}))
    return at


@pytest.fixture(scope="module")
def net(run: Path) -> nn.Module:
    return models.load(run / "best")[0]


@pytest.fixture(scope="module")
def file(run: Path) -> Path:
    return run / "export" / "student.onnx"


def by_definition(net: nn.Module, x: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
    net.eval()
    with torch.no_grad():
        logits = net(Batch({"sensor": torch.from_numpy(x)}, {}, torch.zeros(len(x)))).logits
    net.train()
    return {n: (z.exp() / z.exp().sum(1, keepdim=True) if z.shape[1] > 1 else z).numpy() for n, z in logits.items()}


@pytest.mark.parametrize("batch", [1, 4, 9, 64])
def test_run_folder_and_file_answer_as_the_model_does_at_any_size_of_batch(
    run: Path, net: nn.Module, file: Path, batch: int
) -> None:
    x = windows(batch, seed=1)
    trained, exported = deployed.opened(run), deployed.opened(file)
    assert isinstance(trained, TorchModel)
    assert isinstance(exported, EdgeModel)
    assert trained.tasks == exported.tasks == TASKS
    assert list(exported(x)) == ["linear", "heart rate", "speed"]
    for name, expected in by_definition(net, x).items():
        np.testing.assert_allclose(exported(x)[name], expected, atol=1e-6)
        np.testing.assert_allclose(trained(x)[name], expected, atol=1e-6)


@pytest.mark.parametrize("trunk", [Recurrent, Image])
def test_recurrent_nets_and_uneven_pooling_can_be_exported(tmp_path: Path, trunk: type[nn.Module]) -> None:
    net = used(Net(trunk(), TASKS[:2]))
    edge.export_onnx(net, TASKS[:2], SHAPE, CARD, tmp_path / "a.onnx", Dense(torch.from_numpy(windows(2))))
    x = windows(5, seed=2)
    for name, ours in by_definition(net, x).items():
        np.testing.assert_allclose(EdgeModel.open(tmp_path / "a.onnx")(x)[name], ours, atol=1e-6)


def test_parity_says_what_was_compared(file: Path) -> None:
    parity = json.loads((file.parent / "parity.json").read_text())
    assert parity["file"] == "student.onnx"
    assert parity["windows"] == 300
    assert parity["batches"] == [1, 4, 9]
    assert parity["bytes"] == file.stat().st_size
    assert set(parity["difference"]) == {"linear", "heart rate", "speed"}
    assert 0 < max(parity["difference"].values()) < 1e-5
    assert parity["agreement"] == {"linear": 1.0, "heart rate": 1.0}


def test_the_file_is_one_valid_onnx_model_with_its_card_inside_and_nothing_of_this_machine(file: Path) -> None:
    assert sorted(p.name for p in file.parent.iterdir()) == ["card.json", "parity.json", "student.onnx"]
    proto = onnx.load(file)
    onnx.checker.check_model(proto, full_check=True)
    assert [i.name for i in proto.graph.input] == ["window"]
    assert [o.name for o in proto.graph.output] == ["linear", "heart rate", "speed"]
    card = json.loads({p.key: p.value for p in proto.metadata_props}["limbeck"])
    assert card == json.loads((file.parent / "card.json").read_text()) == EdgeModel.open(file).card
    told = {k: card[k] for k in ("rate", "window", "channels", "unit", "normalisation", "data", "digest", "recipe")}
    assert told == {
        "rate": 50.0, "window": 40, "channels": ["x", "y", "z"], "unit": "g", "normalisation": "inside the graph",
        "data": "toy", "digest": "d1", "recipe": "smooth-distill",
    }  # fmt: skip
    data = file.read_bytes()
    assert b".py" not in data
    assert os.getcwd().encode() not in data


@pytest.mark.parametrize("wrong", [2e-4, float("nan")])
def test_a_file_that_answers_otherwise_is_not_written(
    net: nn.Module, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: float
) -> None:
    honest, data = EdgeModel.__call__, file.read_bytes()

    def lying(self: EdgeModel, x: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
        return {n: a + wrong if n == "heart rate" and len(x) == 9 else a for n, a in honest(self, x).items()}

    monkeypatch.setattr(EdgeModel, "__call__", lying)
    monkeypatch.setattr(edge, "_graph", lambda trained, shape: data)
    (tmp_path / "a.onnx").write_bytes(b"the one before")
    with pytest.raises(UserError, match=r"'heart rate' differs by (0\.0002|nan) in a batch of 9, allowed is 0\.0001"):
        edge.export_onnx(net, TASKS, SHAPE, CARD, tmp_path / "a.onnx", Dense(torch.zeros(2, *SHAPE)))
    assert [p.name for p in tmp_path.iterdir()] == ["a.onnx"]
    assert (tmp_path / "a.onnx").read_bytes() == b"the one before"


def test_a_full_disk_leaves_the_file_before_and_no_half_one(
    net: nn.Module, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = file.read_bytes()

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(edge, "_graph", lambda trained, shape: data)
    monkeypatch.setattr(os, "fsync", full)
    (tmp_path / "a.onnx").write_bytes(b"the one before")
    with pytest.raises(UserError, match="the disk is full"):
        edge.export_onnx(net, TASKS, SHAPE, CARD, tmp_path / "a.onnx", Dense(torch.zeros(2, *SHAPE)))
    assert [p.name for p in tmp_path.iterdir()] == ["a.onnx"]
    assert (tmp_path / "a.onnx").read_bytes() == b"the one before"


def test_what_cannot_be_exported_is_said_before_anything_is_written(net: nn.Module, tmp_path: Path) -> None:
    some, out = Dense(torch.zeros(2, *SHAPE)), tmp_path / "a.onnx"
    with pytest.raises(UserError, match="no validation window"):
        edge.export_onnx(net, TASKS, SHAPE, CARD, out, Dense(torch.zeros(0, *SHAPE)))
    with pytest.raises(UserError, match="rename the label column"):
        edge.export_onnx(net, (Task.of("window", ("open", "shut")),), SHAPE, CARD, out, some)
    with pytest.raises(ValueError, match="3 channels"):
        edge.export_onnx(net, TASKS, SHAPE, CARD | {"channels": ["x"]}, out, some)
    with pytest.raises(UserError, match="no export format 'onxn'; did you mean 'onnx'"):
        edge.export_run(tmp_path, Table(TASKS, {"sensor": some}, {}), "onxn")
    with pytest.raises(UserError, match="no trained"):
        edge.export_run(tmp_path, Table(TASKS, {"sensor": some}, {}))
    assert not list(tmp_path.iterdir())


FACES = (Task.of("gender", ("male", "female")), Task.of("mood", ("glad", "sad", "calm")))
SETS = ("even", "odd")


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Table]:
    """A run folder of a network that keeps two sets of images apart, and the images."""
    torch.manual_seed(0)
    at, spec = tmp_path_factory.mktemp("faces"), VGG(width=4, blocks=(1, 1), head=3, sets=2)
    x, domain = torch.randint(0, 256, (40, 3, 16, 16), dtype=torch.uint8), torch.arange(40) % 2
    x[1::2] //= 4
    rows = Table(FACES, {"image": Dense(x), "domain": Dense(domain)}, {}, {"domain": np.array(SETS)[domain]})
    model = spec.build(FACES, (3, 16, 16))
    assert model.normalise is not None
    model.normalise.fit(rows.inputs["image"])
    for _ in range(30):
        model(rows.rows(torch.arange(40)))
    checkpoint.save_tensors(at / "best" / "student.safetensors", model.state_dict())
    about = {"tasks": [vars(task) for task in FACES], "spec": dump(spec), "shape": [3, 16, 16]}
    checkpoint.write_json(at / "best" / "model.json", about)
    card = {"name": "even + odd", "modality": "image", "channels": ["red", "green", "blue"], "unit": "0 to 255",
            "size": 16, "digest": "d2", "cells": {name: {} for name in SETS}}  # fmt: skip
    checkpoint.write_json(at / "data.json", card)
    checkpoint.write_json(at / "recipe.json", {"kind": "distill-2md-mtl"})
    return at, rows


@pytest.mark.parametrize("domain", [None, "odd"])
def test_a_model_of_images_is_written_for_one_data_set(faces: tuple[Path, Table], domain: str | None) -> None:
    at, rows = faces
    parity = edge.export_run(at, rows, domain=domain)
    exported, whole = EdgeModel.open(at / "export" / "student.onnx"), models.load(at / "best")[0]
    assert parity.windows == 20
    assert "on 20 images" in str(parity)
    assert exported.card["domain"] == (domain or "even")
    assert (exported.card["size"], exported.card["channels"]) == (16, ["red", "green", "blue"])
    assert not {"rate", "window"} & set(exported.card)
    assert [i.name for i in exported._session.get_inputs()] == ["image"]
    own = torch.arange(int(domain == "odd"), 40, 2)
    with torch.no_grad():
        expected = whole(rows.rows(own)).logits
    pixels = rows.inputs["image"][own].numpy()
    for model in (exported, deployed.opened(at, domain), deployed.opened(at / "export" / "student.onnx", domain)):
        answer = model(pixels)
        for task in FACES:
            assert np.allclose(answer[task.name], expected[task.name].softmax(dim=1), atol=1e-4)
    wrong = "even" if domain else "odd"
    with pytest.raises(UserError, match=f"was exported for {domain or 'even'}, not for {wrong}"):
        deployed.opened(at / "export" / "student.onnx", wrong)
    other = deployed.opened(at, wrong)(pixels)
    assert not np.allclose(other["mood"], answer["mood"], atol=1e-3)


def test_a_data_set_that_is_not_there_and_images_of_another_size_are_told(faces: tuple[Path, Table]) -> None:
    at, rows = faces
    with pytest.raises(UserError, match="no data set 'od'; did you mean 'odd'"):
        edge.export_run(at, rows, domain="od")
    said = r"reads images \(B, 3, 16, 16\): channels red, green, blue, pixels from 0 to 255; given \(2, 1, 16, 16\)"
    with pytest.raises(UserError, match=said):
        deployed.opened(at)(np.zeros((2, 1, 16, 16), np.uint8))
    pixels = np.zeros((2, 3, 16, 16), np.float32)
    pixels[1, 2, 3, 4] = np.nan
    with pytest.raises(UserError, match=r"image 1 holds a NaN .*\(channel blue, pixel 3, 4\)"):
        deployed.opened(at)(pixels)


def test_what_a_network_that_keeps_sets_apart_costs_is_what_one_set_costs() -> None:
    shape, sizes = (1, 16, 16), []
    for sets in (1, 2):
        model = VGG(width=4, blocks=(1, 2), sets=sets).build((Task("a", 3),), shape)
        sizes.append(edge.measure(model, shape, "image"))
    assert sizes[0].macs == 9 * (16 * 16 * 4 + 8 * 8 * (4 * 8 + 8 * 8)) + 8 * 3
    assert sizes[1].macs == sizes[0].macs
    assert sizes[0].parameters == 9 * (4 + 4 * 8 + 8 * 8) + 2 * (4 + 8 + 8) + 9 * 3


def test_a_model_that_torch_cannot_trace_is_one_clear_line(tmp_path: Path) -> None:
    class Branching(nn.Module):
        def forward(self, batch: Batch) -> Outputs:
            x = batch.inputs["sensor"]
            return Outputs({"a": x[:, :, 0] if x.sum().item() > 0 else x[:, :, 1]})

    with pytest.raises(UserError, match="torch cannot write this model as ONNX: ") as told:
        edge.export_onnx(Branching(), (Task("a", 3),), SHAPE, CARD, tmp_path / "a.onnx", Dense(torch.zeros(2, *SHAPE)))
    assert "\n" not in str(told.value)


def test_nan_and_other_shapes_are_refused_by_both_models(run: Path, file: Path) -> None:
    shape = r"reads windows \(B, 3, 40\): channels x, y, z, 40 samples at 50 Hz; given "
    for model in (deployed.opened(run), deployed.opened(file)):
        for worth in (np.nan, np.inf):
            bad = windows(3)
            bad[1, 2, 7] = worth
            with pytest.raises(UserError, match=r"window 1 holds a NaN or infinite value \(channel z, sample 7\)"):
                model(bad)
        with pytest.raises(UserError, match=shape + r"\(2, 40, 3\)"):
            model(np.zeros((2, 40, 3), np.float32))
        with pytest.raises(UserError, match=shape + r"\(3, 40\)"):
            model(np.zeros((3, 40), np.float32))


def test_a_damaged_file_is_one_clear_line_whichever_bit_it_is(file: Path, tmp_path: Path) -> None:
    data, path, draw = file.read_bytes(), tmp_path / "b.onnx", np.random.default_rng(0)
    damages = [b"", b"not a model", data[:-1], data[:-1000], data[: len(data) // 2], data + b"\0"]
    for place in (*draw.integers(0, len(data), 300), *range(len(data) - 50, len(data))):
        flipped = bytearray(data)
        flipped[place] ^= 1 << draw.integers(8)
        damages.append(bytes(flipped))
    for damaged in damages:
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"b\.onnx is damaged, or was not written by 'limbeck export'"):
            EdgeModel.open(path)
    path.write_bytes(data)
    EdgeModel.open(path)
    with pytest.raises(UserError, match="there is no file"):
        EdgeModel.open(tmp_path / "c.onnx")
    with pytest.raises(UserError, match="neither a run folder"):
        deployed.opened(tmp_path)


def test_a_file_of_another_maker_is_refused(file: Path, tmp_path: Path) -> None:
    proto = onnx.load(file)
    del proto.metadata_props[:]
    onnx.save(proto, tmp_path / "b.onnx")
    with pytest.raises(UserError, match="not written by 'limbeck export'"):
        EdgeModel.open(tmp_path / "b.onnx")


def test_a_missing_extra_says_how_to_install_it() -> None:
    with pytest.raises(UserError, match=r"pip install 'limbeck\[onnx\]'"):
        deployed.onnx_extra("onnx_of_nobody")


class Plain(nn.Module):
    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, batch: Batch) -> Outputs:
        return Outputs({"a": self.layers(batch.inputs["sensor"])})


class Steps(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.transpose(1, 2))[0]


@pytest.mark.parametrize(
    ("layers", "parameters", "macs"),
    [
        (nn.Conv1d(3, 16, 5, stride=2), 16 * 3 * 5 + 16, 18 * 16 * 3 * 5),
        (nn.Conv1d(3, 6, 5, groups=3, padding=2), 6 * 5 + 6, 40 * 6 * 5),
        (nn.Sequential(nn.Unflatten(1, (1, 3)), nn.Conv2d(1, 4, (2, 3))), 4 * 6 + 4, 2 * 38 * 4 * 6),
        (nn.Sequential(nn.Flatten(), nn.Linear(120, 7), nn.ReLU(), nn.Linear(7, 2)), 847 + 16, 840 + 14),
        (Steps(nn.LSTM(3, 5, batch_first=True)), 4 * 5 * (3 + 5 + 2), 40 * 4 * 5 * (3 + 5)),
        (
            Steps(nn.LSTM(3, 5, 2, batch_first=True, bidirectional=True)),
            2 * 4 * 5 * (3 + 5 + 2) + 2 * 4 * 5 * (10 + 5 + 2),
            40 * 2 * 4 * 5 * (3 + 5) + 40 * 2 * 4 * 5 * (10 + 5),
        ),
        (Steps(nn.GRU(3, 5, batch_first=True)), 3 * 5 * (3 + 5 + 2), 40 * 3 * 5 * (3 + 5)),
    ],
)
def test_costs_are_the_closed_forms(layers: nn.Module, parameters: int, macs: int) -> None:
    net = Plain(layers)
    assert edge.measure(net, SHAPE) == edge.Size(parameters, 4 * parameters, macs)
    assert net.training
    assert next(net.parameters()).device.type == "cpu"


def test_statistics_take_bytes_but_are_no_parameters() -> None:
    assert edge.measure(Plain(nn.BatchNorm1d(3)), SHAPE) == edge.Size(6, 4 * (6 + 6), 0)
