"""Networks that answer for every pixel: shapes, definitions, what they learn and refuse."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limbeck.batch import Batch
from limbeck.config import dump, parse
from limbeck.errors import UserError
from limbeck.models import KINDS, DeepLab, DenseModel, MultiTask, SegNet
from limbeck.models.dense import RATES, spread
from limbeck.models.resnet import ResNet
from limbeck.tasks import Task
from tests.models.foreign import torchvision

TASKS = (
    Task.of("segmentation", ("ground", "wall", "sky")),
    Task("depth", quantity="depth", unit="m"),
    Task("normals", quantity="direction"),
)
SPECS: tuple[DenseModel, ...] = (SegNet(width=4, blocks=(1, 2, 1)), DeepLab(width=4, channels=8))
NAMES = ["segnet", "deeplab"]


def batch(height: int, width: int, count: int = 4) -> Batch:
    draw = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=draw)
    return Batch({"image": x}, {}, torch.arange(count))


def used(spec: DenseModel, height: int, width: int) -> MultiTask:
    """A model in evaluation mode whose norms are not those of the first day."""
    torch.manual_seed(0)
    model = spec.build(TASKS, (3, height, width))
    for _ in range(3):
        model(batch(height, width))
    return model.eval()


@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
@pytest.mark.parametrize("size", [(32, 64), (33, 47), (40, 24)])
def test_there_is_an_answer_for_every_pixel_of_images_of_any_size(spec: DenseModel, size: tuple[int, int]) -> None:
    model = used(spec, *size)
    logits, features = model(batch(*size))
    assert {name: answer.shape[1:] for name, answer in logits.items()} == {
        "segmentation": (3, *size),
        "depth": (1, *size),
        "normals": (3, *size),
    }
    assert features["shared"] is features["map"]
    assert features["map"].shape[:2] == (4, model.width)


@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
def test_heads_read_the_declared_map_and_a_head_alone_answers_alike(spec: DenseModel) -> None:
    model = used(spec, 32, 64)
    logits, features = model(batch(32, 64))
    for task in TASKS:
        assert torch.equal(model.head(task.name)(features["map"]), logits[task.name])


@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
def test_every_parameter_is_learnt(spec: DenseModel) -> None:
    torch.manual_seed(0)
    model = spec.build(TASKS, (3, 32, 64))
    torch.cat(list(model(batch(32, 64)).logits.values()), dim=1).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
def test_what_is_seen_where_is_learnt_in_a_few_steps(spec: DenseModel) -> None:
    """Bright pixels are the sky, dark ones the ground, in blocks as large as the coarsest map."""
    torch.manual_seed(0)
    model = spec.changed(**({"dropout": 0.0} if isinstance(spec, DeepLab) else {})).build(TASKS[:1], (3, 32, 64))
    truth = 2 * torch.randint(0, 2, (16, 2, 4)).repeat_interleave(16, 1).repeat_interleave(16, 2)
    noise = torch.randint(0, 60, (16, 3, 32, 64))
    rows = Batch({"image": (60 * truth[:, None] + noise).to(torch.uint8)}, {}, torch.arange(16))
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(40):
        loss = F.cross_entropy(model(rows).logits["segmentation"], truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert (model.eval()(rows).logits["segmentation"].argmax(1) == truth).float().mean() > 0.9


def normed(x: Tensor, module: nn.Sequential, first: int) -> Tensor:
    """A convolution, a norm and a rectifier of a model, by definition."""
    convolution, norm = module[first], module[first + 1]
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    x = F.conv2d(x, convolution.weight, padding=1)
    return F.relu(F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias))


def test_segnet_is_its_definition_layer_by_layer() -> None:
    """Values go back by a loop over windows of two pixels a side; of odd sides the last line is no window."""
    model = used(SegNet(width=4, blocks=(1, 2)), 9, 14)
    encoder, decoder = model.trunk.get_submodule("encoder"), model.trunk.get_submodule("decoder")
    assert isinstance(encoder, nn.ModuleList)
    assert isinstance(decoder, nn.ModuleList)
    x, kept = batch(9, 14).inputs["image"].float(), []
    for block, count in zip(encoder, (1, 2), strict=True):
        assert isinstance(block, nn.Sequential)
        for number in range(count):
            x = normed(x, block, 3 * number)
        kept.append(x)
        x = F.max_pool2d(x, 2)
    for block, before, count in zip(reversed(decoder), reversed(kept), (2, 1), strict=True):
        assert isinstance(block, nn.Sequential)
        back = torch.zeros_like(before)
        for i in range(x.shape[2]):
            for j in range(x.shape[3]):
                window = before[:, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].flatten(2)
                place = F.one_hot(window.argmax(2), 4).unflatten(2, (2, 2))
                back[:, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2] = place * x[:, :, i, j, None, None]
        x = back
        for number in range(count):
            x = normed(x, block, 3 * number)
    answer = model(batch(9, 14))
    torch.testing.assert_close(answer.features["map"], x, rtol=1e-4, atol=1e-5)
    one, two = model.head("depth").children()
    assert isinstance(one, nn.Conv2d)
    assert isinstance(two, nn.Conv2d)
    expected = F.conv2d(F.conv2d(x, one.weight, one.bias, padding=1), two.weight, two.bias)
    torch.testing.assert_close(answer.logits["depth"], expected, rtol=1e-4, atol=1e-5)


def test_the_published_segnet_has_vgg16_s_convolutions_and_as_many_back() -> None:
    """torchvision's VGG-16 has 14,714,688 parameters in them, of which 4,224 are biases; norms have two for each of
    those. On the way back the first convolution of each block narrows."""
    with torch.device("meta"):
        trunk = SegNet(width=64, blocks=(2, 2, 3, 3, 3)).build(TASKS, (3, 64, 64)).trunk
    encoder, decoder = (trunk.get_submodule(part) for part in ("encoder", "decoder"))
    assert sum(p.numel() for p in encoder.parameters()) == 14_714_688 - 4_224 + 2 * 4_224
    back = [(512, 512, 3), (512, 256, 3), (256, 128, 3), (128, 64, 2), (64, 64, 2)]
    expected = sum(9 * (i * o + (n - 1) * o * o) + 2 * n * o for i, o, n in back)
    assert sum(p.numel() for p in decoder.parameters()) == expected


def test_deeplab_s_head_is_its_definition_branch_by_branch() -> None:
    model = used(DeepLab(width=4, channels=8, stride=8, rates=(1, 3)), 32, 64)
    pyramid, _, _, _, last, _ = model.head("depth").children()
    x = model(batch(32, 64)).features["map"]
    assert x.shape == (4, 32, 4, 8)
    branches = [F.relu(norm(F.conv2d(x, one.weight))) for one, norm, _ in [pyramid.get_submodule("convs.0")]]  # type: ignore[misc]
    for number, rate in ((1, 1), (2, 3)):
        one, norm, _ = pyramid.get_submodule(f"convs.{number}")  # type: ignore[misc]
        branches.append(F.relu(norm(F.conv2d(x, one.weight, padding=rate, dilation=rate))))
    _, one, norm, _ = pyramid.get_submodule("convs.3")  # type: ignore[misc]
    branches.append(F.relu(norm(F.conv2d(x.mean((2, 3), keepdim=True), one.weight))).expand(-1, -1, 4, 8))
    one, norm, _, _ = pyramid.get_submodule("project")  # type: ignore[misc]
    made = F.relu(norm(F.conv2d(torch.cat(branches, 1), one.weight)))
    _, one, norm, *_ = model.head("depth").children()
    assert isinstance(one, nn.Conv2d)
    assert isinstance(last, nn.Conv2d)
    made = F.conv2d(F.relu(norm(F.conv2d(made, one.weight, padding=1))), last.weight, last.bias)
    # Corners are aligned: those of the small map are those of the large one.
    answer = model(batch(32, 64)).logits["depth"]
    torch.testing.assert_close(answer[:, :, [0, 0, -1, -1], [0, -1, 0, -1]], made[:, :, [0, 0, -1, -1], [0, -1, 0, -1]])
    between = (made[:, :, :, :1] + (made[:, :, :, 1:2] - made[:, :, :, :1]) * 7 / 63)[:, :, 0, 0]
    torch.testing.assert_close(answer[:, :, 0, 1], between, rtol=1e-4, atol=1e-5)


def test_the_published_head_is_torchvision_s() -> None:
    torchvision()
    from torchvision.models.segmentation.deeplabv3 import DeepLabHead

    torch.manual_seed(0)
    spec = DeepLab(stride=8, channels=256, rates=RATES)
    ours, theirs = spec.head(64, (72, 96), TASKS[0]).eval(), DeepLabHead(64, 3, RATES).eval()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 64, 9, 12)
    with torch.no_grad():
        expected = F.interpolate(theirs(x), (72, 96), mode="bilinear", align_corners=True)
        torch.testing.assert_close(ours(x), expected, rtol=1e-4, atol=1e-5)


def test_rates_are_as_published_on_large_maps_and_reach_across_small_ones() -> None:
    assert spread(48) == spread(37) == (12, 24, 36)
    assert spread(19) == (6, 12, 18)
    assert spread(8) == (2, 5, 7)
    assert spread(1) == (1, 1, 1)
    heads = [DeepLab(stride=8, rates=rates, channels=4).head(8, (32, 64), TASKS[0]) for rates in ((), (1, 2))]
    dilations = [
        [m.dilation[0] for m in h.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)] for h in heads
    ]
    assert dilations == [[2, 5, 7, 1], [1, 2, 1]]


@pytest.mark.parametrize("stride", [4, 8, 16, 32])
def test_the_stride_is_that_of_the_map(stride: int) -> None:
    model = parse(DeepLab, {"width": 4, "channels": 4, "stride": stride}).build(TASKS, (3, 48, 64)).eval()
    assert model(batch(48, 64)).features["map"].shape[2:] == (-(-48 // stride), 64 // stride)


def test_deeplab_begins_with_the_weights_of_a_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = ResNet(3, 10, 4)
    torch.save(network.state_dict(), tmp_path / "a.pth")
    model = DeepLab(width=4, weights=tmp_path / "a.pth").build(TASKS, (3, 32, 64))
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in model.trunk.state_dict().items())


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (SegNet(), "segnet with 4 blocks needs images of at least 16 pixels a side, not 12"),
        (DeepLab(stride=16), "deeplab of stride 16 needs images of at least 16 pixels a side, not 12"),
        (DeepLab(backbone="timm"), "timm's ResNets have a width of 64, not 8: give --width 64"),
        (DeepLab(backbone="timm", width=64, stride=4), "timm's ResNets have a stride of 8, 16 or 32, not 4"),
        (DeepLab(backbone="timm", width=64, stride=8), "timm has no ResNet of 10 layers: give 18, 50 or 101"),
        (
            DeepLab(backbone="torchvision", width=64, layers=18, stride=8),
            "torchvision's ResNet-18 cannot be dilated: give a stride of 32",
        ),
    ],
)
def test_what_a_network_cannot_be_is_refused(spec: DenseModel, said: str) -> None:
    with pytest.raises(UserError, match=said):
        spec.build(TASKS, (3, 12, 40))


def test_the_spec_survives_json_and_is_known_by_its_kind() -> None:
    for spec in (SegNet(blocks=(2, 2)), DeepLab(layers=50, rates=(6, 12), weights=Path("a.pth"))):
        assert parse(KINDS[spec.kind], dump(spec)) == spec
    assert parse(DeepLab, {"rates": "1,2,3", "layers": 101}).rates == (1, 2, 3)
    with pytest.raises(UserError, match="stitch"):
        parse(SegNet, {"stitch": True})
