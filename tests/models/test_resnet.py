"""Residual networks with maps: their counts, dilation instead of strides, torchvision's answers, weights of files."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from limbeck.errors import UserError
from limbeck.models.resnet import Layers, ResNet, load_weights
from tests.models.foreign import torchvision


def used(network: nn.Module) -> nn.Module:
    """In evaluation mode, with norms that are not those of the first day."""
    draw = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.randn(module.num_features, generator=draw) / 10
            module.running_var = 0.5 + torch.rand(module.num_features, generator=draw)
    return network.eval()


@pytest.mark.parametrize(("layers", "count"), [(18, 11_176_512), (50, 23_508_032), (101, 42_500_160)])
def test_the_parameters_are_those_of_the_published_networks(layers: Layers, count: int) -> None:
    with torch.device("meta"):
        network = ResNet(3, layers)
    assert sum(p.numel() for p in network.parameters()) == count
    assert network.width == (512 if layers == 18 else 2048)


@pytest.mark.parametrize("layers", [10, 18, 50])
@pytest.mark.parametrize("stride", [4, 8, 16])
def test_dilated_for_its_strides_a_network_answers_for_the_pixels_between_as_well(layers: Layers, stride: int) -> None:
    torch.manual_seed(0)
    strided = used(ResNet(3, layers, 8, 32))
    dilated = ResNet(3, layers, 8, stride).eval()
    dilated.load_state_dict(strided.state_dict())
    x = torch.randn(2, 3, 70, 101)
    with torch.no_grad():
        coarse, fine = strided(x), dilated(x)
    assert fine.shape == (2, dilated.width, -(-70 // stride), -(-101 // stride))
    step = 32 // stride
    assert (fine[:, :, ::step, ::step] - coarse).abs().max() <= 1e-5 * coarse.abs().max()


@pytest.mark.parametrize(
    ("layers", "stride", "dilated"),
    [(18, 32, None), (50, 16, [False, False, True]), (50, 8, [False, True, True]), (50, 4, [True, True, True])],
)
def test_the_answers_are_torchvision_s(layers: Layers, stride: int, dilated: list[bool] | None) -> None:
    made = getattr(torchvision().models, f"resnet{layers}")(replace_stride_with_dilation=dilated)
    theirs, ours = used(made), ResNet(3, layers, 64, stride).eval()
    ours.load_state_dict({k: v for k, v in theirs.state_dict().items() if not k.startswith("fc.")})
    x = torch.randn(1, 3, 33, 65)
    with torch.no_grad():
        expected = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(x))))
        for group in (theirs.layer1, theirs.layer2, theirs.layer3, theirs.layer4):
            expected = group(expected)
        found = ours(x)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_every_parameter_is_learnt() -> None:
    network = ResNet(3, 50, 4, 8)
    network(torch.randn(2, 3, 33, 33)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def as_safetensors(state: dict[str, Tensor], at: Path) -> Path:
    save_file(state, at / "weights.safetensors")
    return at / "weights.safetensors"


def as_pth(state: dict[str, Tensor], at: Path) -> Path:
    torch.save(state, at / "weights.pth")
    return at / "weights.pth"


def inside(state: dict[str, Tensor], at: Path) -> Path:
    torch.save({"state_dict": state, "epoch": 3}, at / "checkpoint.pth")
    return at / "checkpoint.pth"


@pytest.mark.parametrize("write", [as_safetensors, as_pth, inside])
def test_weights_of_a_file_are_taken_but_for_the_classifier(
    write: Callable[[dict[str, Tensor], Path], Path], tmp_path: Path
) -> None:
    state = dict(used(ResNet(3, 10, 4)).state_dict())
    older = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    network = ResNet(3, 10, 4, stride=8)
    load_weights(network, write({**older, "fc.weight": torch.zeros(1000, 32), "fc.bias": torch.zeros(1000)}, tmp_path))
    assert all(torch.equal(value, older[name]) for name, value in network.state_dict().items() if name in older)


@pytest.mark.parametrize(
    ("layers", "width", "said"),
    [
        (10, 8, r"conv1\.weight is \(4, 3, 7, 7\), not \(8, 3, 7, 7\) \(and \d+ more\); layers and width must be"),
        (18, 4, r"layer1\.1\.\S+ is missing, not \(.*more"),
    ],
)
def test_weights_of_another_network_are_one_clear_line(layers: Layers, width: int, said: str, tmp_path: Path) -> None:
    path = as_safetensors(dict(ResNet(3, 10, 4).state_dict()), tmp_path)
    network = ResNet(3, layers, width)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(UserError, match=said):
        load_weights(network, path)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


class Trap:
    """What a pickle of a whole network looks like to a loader that reads tensors alone."""


@pytest.mark.parametrize("what", ["network", "text", "numbers", "cut", "none"])
def test_a_file_that_is_no_state_dict_is_one_clear_line(what: str, tmp_path: Path) -> None:
    path, said = tmp_path / "a.pth", "cannot be read as weights"
    if what == "network":
        torch.save(Trap(), path)
    elif what == "text":
        path.write_text("no weights")
    elif what == "numbers":
        torch.save({"lr": 0.1}, path)
        said = "holds no state dict"
    elif what == "cut":
        whole = as_safetensors(dict(ResNet(3, 10, 2).state_dict()), tmp_path).read_bytes()
        path = tmp_path / "a.safetensors"
        path.write_bytes(whole[: len(whole) // 2])
    else:
        said = "there is no file"
    with pytest.raises(UserError, match=said):
        load_weights(ResNet(3, 10, 2), path)
