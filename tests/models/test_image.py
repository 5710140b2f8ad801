"""Networks for images: their counts, their layers by definition, what they read and refuse."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck.batch import Batch
from limbeck.config import dump, parse
from limbeck.errors import UserError
from limbeck.models import KINDS, VGG, ImageModel, MultiTask, ResNet18
from limbeck.tasks import Task

TASKS = (Task.of("gender", ("male", "female")), Task("age", 8))
SMALL: tuple[ImageModel, ...] = (VGG(width=4), ResNet18(width=4), ResNet18(width=4, stem="imagenet"))


def pixels(count: int, channels: int, side: int, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, channels, side, side), dtype=torch.uint8, generator=draw)


def batch(x: Tensor) -> Batch:
    return Batch({"image": x}, {}, torch.arange(len(x)))


def used(spec: ImageModel, channels: int, side: int) -> MultiTask:
    """A model in evaluation mode whose norms are not those of the first day."""
    torch.manual_seed(0)
    model = spec.build(TASKS, (channels, side, side))
    for _ in range(3):
        model(batch(pixels(8, channels, side)))
    return model.eval()


def count(spec: ImageModel, tasks: tuple[Task, ...], shape: tuple[int, int, int]) -> int:
    return sum(p.numel() for p in spec.build(tasks, shape).parameters())


def test_resnet18_has_the_parameters_of_the_published_one() -> None:
    """torchvision's has 11,689,512; the small stem has kernels of 9 pixels where that has 49."""
    tasks = (Task("class", 1000),)
    assert count(ResNet18(stem="imagenet"), tasks, (3, 224, 224)) == 11_689_512
    assert count(ResNet18(), tasks, (3, 32, 32)) == 11_689_512 - 3 * 64 * (49 - 9)


def test_vgg16_has_the_parameters_of_the_published_one() -> None:
    """torchvision's convolutions have 14,714,688, of which 4,224 are biases; norms have two for each of those."""
    trunk = VGG(width=64, blocks=(2, 2, 3, 3, 3)).build(TASKS, (3, 32, 32)).trunk
    assert sum(p.numel() for p in trunk.parameters()) == 14_714_688 - 4_224 + 2 * 4_224


@pytest.mark.parametrize(("width", "channels"), [(4, 1), (6, 3)])
def test_the_small_vgg_has_the_parameters_of_its_definition(width: int, channels: int) -> None:
    pairs = [(channels, width), (width, 2 * width), (2 * width, 4 * width), (4 * width, 4 * width),
             (4 * width, 8 * width), (8 * width, 8 * width)]  # fmt: skip
    heads = (8 * width + 1) * (2 + 8)
    assert count(VGG(width=width), TASKS, (channels, 48, 48)) == sum(9 * i * o + 2 * o for i, o in pairs) + heads


def normed(x: Tensor, state: dict[str, Tensor], name: str) -> Tensor:
    mean, variance, weight, bias = (
        state[f"{name}.each.0.{k}"] for k in ("running_mean", "running_var", "weight", "bias")
    )
    return F.batch_norm(x, mean, variance, weight, bias)


def test_vgg_is_its_definition_layer_by_layer() -> None:
    model = used(VGG(width=4, blocks=(1, 2, 1)), 3, 17)
    state, x = model.trunk.state_dict(), pixels(5, 3, 17).float()
    for number, pool in enumerate((True, False, True, True)):
        x = F.conv2d(x, state[f"convolutions.{number}.weight"], padding=1)
        x = F.relu(normed(F.max_pool2d(x, 2) if pool else x, state, f"norms.{number}"))
    assert torch.allclose(model(batch(pixels(5, 3, 17))).features["shared"], x.mean(dim=(2, 3)), atol=1e-5)


@pytest.mark.parametrize("stem", ["small", "imagenet"])
def test_resnet18_is_its_definition_layer_by_layer(stem: str) -> None:
    model = used(parse(ResNet18, {"width": 4, "stem": stem}), 1, 33)
    state, large = model.trunk.state_dict(), stem == "imagenet"
    x = F.conv2d(pixels(5, 1, 33).float(), state["stem.weight"], None, *((2, 3) if large else (1, 1)))
    x = F.relu(normed(x, state, "norm"))
    x = F.max_pool2d(x, 3, 2, 1) if large else x
    for number, stride in enumerate((1, 1, 2, 1, 2, 1, 2, 1)):
        name, before = f"blocks.{number}", x
        x = F.relu(normed(F.conv2d(x, state[f"{name}.one.weight"], None, stride, 1), state, f"{name}.first"))
        x = normed(F.conv2d(x, state[f"{name}.two.weight"], None, 1, 1), state, f"{name}.second")
        if stride == 2:
            before = normed(F.conv2d(before, state[f"{name}.shortcut.weight"], None, stride), state, f"{name}.third")
        x = F.relu(x + before)
    found = model(batch(pixels(5, 1, 33))).features["shared"]
    assert torch.allclose(found, x.mean(dim=(2, 3)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("spec", SMALL, ids=["vgg", "small", "imagenet"])
@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_of_8_bits_and_the_same_as_reals_are_answered_alike(spec: ImageModel, channels: int) -> None:
    model, x = used(spec, channels, 40), pixels(6, channels, 40)
    for task in TASKS:
        eight, real = model(batch(x)).logits[task.name], model(batch(x.float())).logits[task.name]
        assert torch.allclose(eight, real, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("spec", SMALL, ids=["vgg", "small", "imagenet"])
def test_every_parameter_is_learnt(spec: ImageModel) -> None:
    model = spec.changed(head=6).build(TASKS, (1, 40, 40))
    torch.cat(list(model(batch(pixels(6, 1, 40))).logits.values()), dim=1).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_a_head_may_have_a_hidden_layer() -> None:
    model = VGG(width=4, head=7).build(TASKS, (1, 32, 32)).eval()
    out = model(batch(pixels(3, 1, 32)))
    state = model.state_dict()
    hidden = F.relu(F.linear(out.features["shared"], state["heads.1.0.weight"], state["heads.1.0.bias"]))
    assert hidden.shape == (3, 7)
    assert torch.allclose(
        out.logits["age"], F.linear(hidden, state["heads.1.2.weight"], state["heads.1.2.bias"]), atol=1e-6
    )


@pytest.mark.parametrize(
    ("spec", "side", "said"),
    [
        (VGG(), 15, "vgg with 4 blocks needs images of at least 16 pixels a side, not 15"),
        (ResNet18(), 7, "resnet18 with the small stem needs images of at least 8 pixels a side, not 7"),
        (ResNet18(stem="imagenet"), 31, "resnet18 with the imagenet stem needs images of at least 32 pixels a side"),
    ],
)
def test_images_that_pools_leave_nothing_of_are_refused(spec: ImageModel, side: int, said: str) -> None:
    with pytest.raises(UserError, match=said):
        spec.build(TASKS, (1, side, side))
    spec.changed(width=4).build(TASKS, (1, side + 1, side + 1)).eval()(batch(pixels(1, 1, side + 1)))


def test_images_need_not_be_squares() -> None:
    assert VGG(width=4).build(TASKS, (1, 20, 33)).eval()(batch(pixels(2, 1, 33)[:, :, :20])).logits["age"].shape == (
        2,
        8,
    )


def test_the_spec_survives_json_and_is_known_by_its_kind() -> None:
    for spec in (VGG(blocks=(2, 2, 3, 3, 3), head=3, sets=2), ResNet18(stem="imagenet")):
        assert parse(KINDS[spec.kind], dump(spec)) == spec
    assert parse(VGG, {"blocks": "1,2,3"}).blocks == (1, 2, 3)
    with pytest.raises(UserError, match="normalise"):
        parse(VGG, {"normalise": "window"})
    with pytest.raises(UserError, match="blocks"):
        parse(VGG, {"blocks": "1,0"})
