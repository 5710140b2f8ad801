"""Wide residual networks: the published counts, their blocks, and the deployed form."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limbeck.batch import Batch
from limbeck.config import dump, parse
from limbeck.data.source import Dense
from limbeck.edge import export_onnx
from limbeck.errors import UserError
from limbeck.models import KINDS, ImageWideResNet, MultiTask, WideResNet
from limbeck.models.wide import _Block, _Convolution
from limbeck.tasks import Task

COUNTS = {
    ("wrn", 1, 3, 14): 61_374, ("wrn", 3, 3, 14): 536_254, ("wrn2d", 1, 3, 14): 175_326, ("wrn2d", 3, 3, 14): 1_550_302,
    ("wrn", 1, 40, 12): 63_020, ("wrn", 3, 40, 12): 537_644, ("wrn2d", 1, 40, 12): 180_524,
    ("wrn2d", 3, 40, 12): 1_555_244,
}  # fmt: skip


def task(classes: int) -> tuple[Task, ...]:
    return (Task("activity", classes),)


@pytest.mark.parametrize(("kind", "width", "channels", "classes"), COUNTS)
def test_the_counts_are_the_published_ones(kind: str, width: int, channels: int, classes: int) -> None:
    """S2-01."""
    shape = (channels, 100) if kind == "wrn" else (channels, 64, 64)
    model = parse(KINDS[kind], {"width": width}).build(task(classes), shape)
    assert sum(p.numel() for p in model.parameters()) == COUNTS[kind, width, channels, classes]


@pytest.mark.parametrize(("depth", "blocks"), [(10, 3), (16, 6), (28, 12)])
def test_depth_is_counted_in_layers(depth: int, blocks: int) -> None:
    trunk = WideResNet(depth=depth).build(task(3), (3, 40)).trunk
    assert sum(isinstance(m, _Block) for m in trunk.modules()) == blocks
    lines = [m for m in trunk.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 3)]
    assert len(lines) == depth - 3  # the rest: two shortcuts that shorten, and the classifier


def test_a_depth_between_is_refused() -> None:
    with pytest.raises(UserError, match=r"depth: is 4 more than a multiple of 6.*given 18"):
        parse(WideResNet, {"depth": 18})


def test_the_network_along_time_is_the_published_one_layer_by_layer() -> None:
    """Against its definition in one-dimensional convolutions."""
    torch.manual_seed(0)
    model = WideResNet(normalise="none").build(task(5), (3, 50)).double().eval()
    state = model.trunk.state_dict()
    x = torch.randn(2, 3, 50, dtype=torch.float64)

    def conv(y: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = state[f"{name}.weight"].squeeze(2)
        return F.conv1d(y, weight, stride=stride, padding=weight.shape[2] // 2)

    def ready(y: Tensor, name: str) -> Tensor:
        values = [state[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias")]
        return F.relu(F.batch_norm(y, *values))

    y = conv(x, "layers.0")
    for number in range(1, 7):
        name, stride = f"layers.{number}", 2 if number in (3, 5) else 1
        activated = ready(y, f"{name}.norms.0")
        inner = conv(
            ready(conv(activated, f"{name}.convolutions.0", stride), f"{name}.norms.1"), f"{name}.convolutions.1"
        )
        y = inner + (conv(activated, f"{name}.shortcut", stride) if stride == 2 else y)
    feature = ready(y, "layers.7").mean(dim=2)
    wanted = F.linear(feature, model.heads[0].weight, model.heads[0].bias)  # type: ignore[arg-type]
    found = model(Batch({"sensor": x}, {}, torch.arange(2))).logits["activity"]
    assert torch.allclose(found, wanted, atol=1e-12)


def test_weights_are_drawn_as_published() -> None:
    torch.manual_seed(0)
    layer = _Convolution(64, 256, (3, 3))
    assert layer.bias is None
    assert float(layer.weight.detach().std()) == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.02)


def test_images_are_read_by_their_own_name() -> None:
    model = ImageWideResNet().build(task(4), (2, 16, 16)).eval()
    batch = Batch({"sensor": torch.randn(3, 2, 50), "pi": torch.randn(3, 2, 16, 16)}, {}, torch.arange(3))
    assert model(batch).logits["activity"].shape == (3, 4)
    assert model.modality == "pi"


@pytest.mark.parametrize("spec", [WideResNet(), ImageWideResNet()])
def test_statistics_are_those_of_the_training_part(spec: WideResNet) -> None:
    torch.manual_seed(0)
    shape = (2, 30) if spec.kind == "wrn" else (2, 8, 8)
    x = torch.randn(50, *shape) * torch.tensor([1.0, 5.0]).view(2, *[1] * (len(shape) - 1)) + 3
    x[:25] *= 0.1
    for how in ("channel", "within"):
        normalise = spec.changed(normalise=how).build(task(3), shape).normalise
        assert normalise is not None
        normalise.fit(Dense(x))
        flat = x.flatten(2)
        wanted = flat.std(dim=(0, 2), correction=0) if how == "channel" else flat.std(dim=2, correction=0).mean(dim=0)
        assert torch.allclose(normalise.std.flatten(), wanted, rtol=1e-5)
        assert torch.allclose(normalise.mean.flatten(), flat.mean(dim=(0, 2)), rtol=1e-5)


def test_a_block_that_ends_in_relu_folds_its_norms_away() -> None:
    """What a quantiser does before it counts in integers: exact for `post`, impossible for `pre`."""
    torch.manual_seed(0)
    block = _Block(8, 16, (1, 3), (1, 2), pre=False).eval()
    for norm in block.norms:
        assert isinstance(norm, nn.BatchNorm2d)
        norm.running_mean, norm.running_var = torch.randn(16), torch.rand(16) + 0.5
    x = torch.randn(4, 8, 1, 20)
    folded = [
        nn.utils.fusion.fuse_conv_bn_eval(conv, norm)
        for conv, norm in zip(block.convolutions, block.norms, strict=True)
    ]
    assert block.shortcut is not None
    wanted = F.relu(folded[1](F.relu(folded[0](x))) + block.shortcut(x))
    assert torch.allclose(block(x), wanted, atol=1e-5)


@pytest.mark.parametrize("order", ["pre", "post"])
def test_the_deployed_form_answers_the_same(tmp_path: Path, order: str) -> None:
    pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    spec = WideResNet(order=order)
    model = spec.build(task(4), (3, 60)).eval()
    assert isinstance(model, MultiTask)
    card = {"rate": 50.0, "channels": ["x", "y", "z"], "unit": "", "modality": "sensor", "name": "drawn", "digest": "",
            "recipe": "none"}  # fmt: skip
    parity = export_onnx(model, task(4), (3, 60), card, tmp_path / "m.onnx", Dense(torch.randn(20, 3, 60)))
    assert parity.difference["activity"] < 1e-4


def test_the_spec_survives_json() -> None:
    for spec in (WideResNet(depth=28, width=3, order="post"), ImageWideResNet(width=2)):
        assert parse(type(spec), dump(spec)) == spec
