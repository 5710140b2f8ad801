"""Networks for a pulse signal: the published counts and shapes, what a block does, and the deployed form."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck.batch import Batch
from limbeck.config import dump, parse
from limbeck.data.source import Dense
from limbeck.edge import export_onnx, measure
from limbeck.errors import UserError
from limbeck.models import KINDS, MLP, MultiTask, PPGResNet
from limbeck.models.heart import Dropout
from limbeck.tasks import Task

HEART = Task("heart rate", 180, span=(29.5, 209.5), unit="bpm")
COUNTS = {1: 16_692, 2: 27_124, 3: 37_556, 4: 47_988, 5: 84_852, 6: 126_196, 8: 208_884, 10: 508_660, 12: 837_876}


def count(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def answer(model: MultiTask, x: Tensor) -> list[Tensor]:
    with torch.no_grad():
        return list(model.eval()(Batch({"sensor": x}, {}, torch.arange(len(x)))).logits.values())


@pytest.mark.parametrize("blocks", COUNTS)
def test_the_residual_network_has_the_published_count_and_shape(blocks: int) -> None:
    """S3-01."""
    model = PPGResNet(blocks=blocks).build((HEART,), (1, 200))
    assert count(model) == COUNTS[blocks]
    assert [v.shape for v in answer(model, torch.randn(3, 1, 200))] == [(3, 180)]
    assert model.width == 32 * 2 ** ((blocks - 1) // 4)


def test_length_halves_and_width_doubles_as_published() -> None:
    model = PPGResNet(blocks=12).build((HEART,), (1, 200))
    x, shapes = torch.randn(2, 1, 1, 200), []
    for layer in model.trunk.layers.eval():  # type: ignore[operator, union-attr]
        x = layer(x)
        shapes.append((x.shape[1], x.shape[3]))
    assert [length for _, length in shapes[3:15]] == [200, 100, 100, 50, 50, 25, 25, 13, 13, 7, 7, 4]
    assert [width for width, _ in shapes[3:15]] == [32] * 4 + [64] * 4 + [128] * 4


def test_it_is_the_definition_written_with_one_dimensional_layers() -> None:
    torch.manual_seed(0)
    model = PPGResNet(blocks=6, width=4, normalise="none").build((HEART,), (2, 50)).train()
    for name, value in model.state_dict().items():
        if "running" in name:
            value.copy_(torch.rand_like(value) + 0.5)
    state, x = model.eval().state_dict(), torch.randn(3, 2, 50)

    def convolved(x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight, bias = state[f"trunk.layers.{name}.weight"].squeeze(2), state[f"trunk.layers.{name}.bias"]
        return F.conv1d(x, weight, bias, stride, 2)

    def ready(x: Tensor, name: str) -> Tensor:
        words = ("running_mean", "running_var", "weight", "bias")
        return F.relu(F.batch_norm(x, *(state[f"trunk.layers.{name}.{word}"] for word in words)))

    y = ready(convolved(x, "0"), "1")
    for i in range(6):
        stride, at = 1 + i % 2, 3 + i
        mixed = y if i == 0 else ready(y, f"{at}.ready.0")
        mixed = convolved(ready(convolved(mixed, f"{at}.body.0", stride), f"{at}.body.1"), f"{at}.body.4")
        y = F.max_pool1d(y, 2, ceil_mode=True) if stride == 2 else y
        if i == 4:
            nothing = torch.zeros(len(y), 2, y.shape[2])
            y = torch.cat([nothing, y, nothing], dim=1)
        y = y + mixed
    pooled = ready(y, "9").mean(dim=2)
    out = model(Batch({"sensor": x}, {}, torch.arange(3)))
    assert torch.allclose(out.features["shared"], pooled, atol=1e-5)


@pytest.mark.parametrize("spec", [PPGResNet(blocks=1), PPGResNet(blocks=9, width=6, kernel=3), MLP(blocks=1), MLP()])
@pytest.mark.parametrize(("channels", "length"), [(1, 1), (1, 7), (4, 200), (6, 33)])
def test_they_fit_any_window_channels_and_tasks(spec: PPGResNet | MLP, channels: int, length: int) -> None:
    model = spec.build((HEART, Task("activity", 4)), (channels, length))
    x = torch.randn(3, channels, length)
    assert [v.shape for v in answer(model, x)] == [(3, 180), (3, 4)]
    assert torch.allclose(answer(model, x)[0][1:2], answer(model, x[1:2])[0], atol=1e-5)
    for rows in (3, 0):  # a process may have no row of the last batch
        model.zero_grad()
        out = model.train()(Batch({"sensor": x[:rows]}, {}, torch.arange(rows)))
        sum(v.sum() for v in out.logits.values()).backward()
        learnt = [p for p in model.parameters() if p.requires_grad]
        assert all(p.grad is not None and p.grad.isfinite().all() for p in learnt)
    assert all(not p.grad.any() for p in learnt if p.grad is not None)


def test_only_the_batch_norm_that_the_first_block_skips_is_not_learnt() -> None:
    model = PPGResNet(blocks=3).build((HEART,), (1, 200))
    still = [name for name, p in model.named_parameters() if not p.requires_grad]
    assert still == ["trunk.layers.3.ready.0.weight", "trunk.layers.3.ready.0.bias"]


def test_they_know_the_shape_of_a_pulse_and_not_its_size() -> None:
    for spec in (PPGResNet(blocks=1), MLP(blocks=1)):
        model, x = spec.build((HEART,), (1, 200)), torch.randn(2, 1, 200)
        assert torch.allclose(answer(model, x)[0], answer(model, 1e3 * x + 5)[0], atol=1e-3)
        assert answer(model, torch.zeros(1, 1, 200))[0].isfinite().all()


@pytest.mark.parametrize(("channels", "length"), [(1, 200), (4, 200), (1, 512)])
@pytest.mark.parametrize("blocks", COUNTS)
def test_a_perceptron_is_as_large_as_its_residual_twin(blocks: int, channels: int, length: int) -> None:
    twin = count(PPGResNet(blocks=blocks).build((HEART,), (channels, length)))
    model = MLP(blocks=blocks).build((HEART,), (channels, length))
    step = 2 * model.width + channels * length + 183  # parameters of one unit more
    assert abs(count(model) - twin) <= step / 2 + 1
    linear = [m for m in model.trunk.modules() if isinstance(m, torch.nn.Linear)]
    assert [(m.in_features, m.out_features) for m in linear] == [
        (channels * length, model.width),
        (model.width,) * 2,
    ]


def test_dropout_loses_its_share_and_keeps_the_mean() -> None:
    for share in (0.0, 0.1, 0.5, 0.9):
        drop, x = Dropout(share), torch.ones(7, 11, 3, 1001).movedim(1, 3).requires_grad_()
        torch.manual_seed(0)
        out = drop(x)
        assert out.eq(0).float().mean().item() == pytest.approx(share, abs=0.005)
        kept = out[out != 0]
        assert kept.max() == kept.min()
        assert kept[0].item() == pytest.approx(1 / (1 - share), rel=1e-4)
        out.sum().backward()
        assert x.grad is not None
        assert torch.equal(x.grad, out.detach())
        torch.manual_seed(0)
        assert torch.equal(drop(x), out)
        assert not torch.equal(drop(x), out) or share == 0
        assert drop.eval()(x) is x
    flat = Dropout(0.5)(torch.ones(64, 32, 1, 200)).flatten()
    assert abs(torch.corrcoef(torch.stack([flat[:-1], flat[1:]]))[0, 1]) < 0.01, "neighbours are lost independently"


@pytest.mark.parametrize("spec", [PPGResNet(blocks=5, width=4), MLP(blocks=1)])
@pytest.mark.parametrize("channels", [1, 4])
def test_they_are_exported_with_their_normalisation(spec: PPGResNet | MLP, channels: int, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    model = spec.build((HEART,), (channels, 200)).eval()
    windows = 1e3 * torch.randn(20, channels, 200) + 1e4
    windows[3] = 77.7
    card = {"rate": 25.0, "channels": ["ppg", "acc_x", "acc_y", "acc_z"][:channels], "unit": "", "modality": "sensor",
            "name": "drawn", "digest": "", "recipe": "none"}  # fmt: skip
    parity = export_onnx(model, (HEART,), (channels, 200), card, tmp_path / "m.onnx", Dense(windows))
    assert parity.difference["heart rate"] < 1e-4


def test_specs_are_known_by_name_and_what_does_not_fit_is_refused() -> None:
    assert KINDS["ppg-resnet"] is PPGResNet
    assert KINDS["mlp"] is MLP
    assert parse(PPGResNet, dump(PPGResNet(blocks=2, dropout=0.1))) == PPGResNet(blocks=2, dropout=0.1)
    with pytest.raises(UserError, match="odd number of samples, not 4"):
        PPGResNet(kernel=4).build((HEART,), (1, 200))


def test_cost_grows_with_blocks() -> None:
    sizes = [measure(PPGResNet(blocks=n).build((HEART,), (1, 200)), (1, 200)) for n in (1, 2, 6)]
    assert sizes[0].macs == 200 * 32 * 5 * (1 + 2 * 32) + 32 * 180
    assert sizes[0].macs < sizes[1].macs < sizes[2].macs
    assert [s.parameters for s in sizes] == [COUNTS[1], COUNTS[2], COUNTS[6]]
