"""Any network as a trunk: what a submodule answers, and backbones of other libraries."""

import copy

import pytest
import torch
from torch import Tensor, nn

from limbeck.batch import Batch
from limbeck.errors import UserError
from limbeck.models import DeepLab, adapt
from limbeck.models.adapt import Adapted, backbone
from limbeck.models.resnet import Layers, ResNet
from limbeck.tasks import Task
from tests.models.foreign import torchvision


class Net(nn.Module):
    """Two layers and an end, in a network that knows nothing of Limbeck."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 6, 2, 2))
        self.end = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.body(x).mean(dim=(2, 3)))


def test_the_trunk_is_what_the_submodule_answers_and_its_width_is_found() -> None:
    torch.manual_seed(0)
    net = Net()
    before = copy.deepcopy(net.state_dict())
    trunk = Adapted(net, "body", (3, 8, 8))
    assert trunk.width == 6
    assert trunk.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    x = torch.randn(2, 3, 10, 12)
    trunk.eval()
    assert torch.equal(trunk(x), net.body(x))
    assert Adapted(net, "end", (3, 8, 8)).width == 5
    assert Adapted(net, "body.0", (3, 8, 8)).width == 4


def test_a_copy_answers_for_itself_and_no_hook_is_left() -> None:
    torch.manual_seed(0)
    trunk = Adapted(Net(), "body", (3, 8, 8)).eval()
    x = torch.randn(2, 3, 8, 8)
    other = copy.deepcopy(trunk)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    assert other(x).abs().sum() == 0
    assert trunk(x).abs().sum() > 0
    assert not any(module._forward_hooks for module in trunk.modules())


def test_gradients_reach_the_network_through_the_submodule() -> None:
    trunk = Adapted(Net(), "body", (3, 8, 8))
    trunk(torch.randn(2, 3, 8, 8)).sum().backward()
    grads = {name: parameter.grad for name, parameter in trunk.named_parameters()}
    assert all((grad is None) == name.startswith("network.end") for name, grad in grads.items())


def test_an_unknown_submodule_and_one_that_gives_no_map_are_one_clear_line() -> None:
    with pytest.raises(UserError, match=r"no submodule in Net: 'bodi'; did you mean 'body'"):
        Adapted(Net(), "bodi", (3, 8, 8))
    pair = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(2))
    with pytest.raises(UserError, match=r"the submodule '1' answers \(2, 4, 64\) for 2 images"):
        Adapted(pair, "1", (3, 8, 8))
    with pytest.raises(UserError, match="the submodule 'lstm' of Recurrent gives no tensor"):
        Adapted(Recurrent(), "lstm", (3, 8, 8))


class Recurrent(nn.Module):
    """One of its submodules answers with more than a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.lstm(x[:, 0])[0]
        return made


@pytest.mark.parametrize("library", ["torchvision", "timm"])
@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (ImportError("no module"), "{} is missing; it needs the extra 'vision'"),
        (RuntimeError("operator torchvision::nms does not exist\nmore"), r"{} was built for another torch.*nms does"),
    ],
)
def test_a_library_that_cannot_be_imported_is_one_clear_line(
    library: adapt.Library, problem: Exception, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(module: str) -> None:
        raise problem

    monkeypatch.setattr(adapt, "import_module", absent)
    with pytest.raises(UserError, match=said.format(library)):
        backbone(library, 50, 8, 3)


def test_torchvision_reads_three_channels_alone() -> None:
    with pytest.raises(UserError, match="torchvision's networks read 3 channels, not 1"):
        backbone("torchvision", 50, 8, 1)


@pytest.mark.parametrize("library", ["torchvision", "timm"])
@pytest.mark.parametrize(("layers", "stride"), [(18, 32), (50, 16), (50, 8)])
def test_a_backbone_of_another_library_answers_as_ours(library: adapt.Library, layers: Layers, stride: int) -> None:
    torchvision()
    pytest.importorskip(library)
    torch.manual_seed(0)
    theirs, ours = backbone(library, layers, stride, 3), ResNet(3, layers, 64, stride).eval()
    ours.load_state_dict(theirs.state_dict())
    trunk = Adapted(theirs, "layer4", (3, 64, 64)).eval()
    assert trunk.width == ours.width
    x = torch.randn(1, 3, 33, 65)
    with torch.no_grad():
        found, expected = trunk(x), ours(x)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_deeplab_stands_on_a_backbone_of_torchvision() -> None:
    torchvision()
    spec = DeepLab(layers=18, width=64, stride=32, channels=4, backbone="torchvision")
    model = spec.build((Task("depth", quantity="depth"),), (3, 64, 96))
    x = torch.zeros(2, 3, 64, 96, dtype=torch.uint8)
    assert model(Batch({"image": x}, {}, torch.arange(2))).logits["depth"].shape == (2, 1, 64, 96)
