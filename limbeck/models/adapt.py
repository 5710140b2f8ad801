"""Any network as a trunk, by what one of its submodules answers; the only place with forward hooks."""

from importlib import import_module
from typing import Any, Literal

import torch
from torch import Tensor, nn

from limbeck.errors import UserError, unknown
from limbeck.models.resnet import Layers

Library = Literal["torchvision", "timm"]


class Adapted(nn.Module):
    """A trunk `(B, M, H, W) -> (B, F, h, w)`, or `(B, F)`: what the submodule `node` of a network answers.

    The network runs whole, so take off what comes after the node. The `width` F is found by answering for two black
    images of `shape` (M, H, W). Raises `UserError` for an unknown node, and for one that answers otherwise.
    """

    def __init__(self, network: nn.Module, node: str, shape: tuple[int, int, int]) -> None:
        super().__init__()
        names = [name for name, _ in network.named_modules() if name]
        if node not in names:
            raise unknown(f"submodule in {type(network).__name__}:", node, names)
        self.network, self.node = network, node
        training = network.training
        self.eval()
        with torch.no_grad():
            made = self(torch.zeros(2, *shape))
        self.train(training)
        if made.ndim not in (2, 4) or len(made) != 2:
            raise UserError(
                f"the submodule {node!r} answers {tuple(made.shape)} for 2 images; a trunk needs features (2, F) or "
                "maps (2, F, h, w)"
            )
        self.width = made.shape[1]

    def forward(self, x: Tensor) -> Tensor:
        kept: list[Any] = []
        # Set for each answer anew: a copy of the network would else keep what the original answers.
        handle = self.network.get_submodule(self.node).register_forward_hook(lambda *told: kept.append(told[2]))
        try:
            self.network(x)
        finally:
            handle.remove()
        if not kept or not isinstance(kept[-1], Tensor):
            raise UserError(f"the submodule {self.node!r} of {type(self.network).__name__} gives no tensor")
        return kept[-1]


def backbone(library: Library, layers: Layers, stride: int, channels: int) -> nn.Module:
    """A ResNet of another library with fresh weights and no classifier, dilated beyond the `stride` (8, 16 or 32).

    Raises `UserError` where it has no such network.
    """
    if layers == 10:
        raise UserError(f"{library} has no ResNet of 10 layers: give 18, 50 or 101, or take the backbone own")
    if library == "timm":
        made: nn.Module = vision("timm").create_model(
            f"resnet{layers}", pretrained=False, num_classes=0, in_chans=channels, output_stride=stride
        )
        return made
    if channels != 3:
        raise UserError(f"torchvision's networks read 3 channels, not {channels}: take the backbone own or timm")
    dilated = [False, stride <= 16, stride <= 8]
    if layers == 18 and stride < 32:
        raise UserError("torchvision's ResNet-18 cannot be dilated: give a stride of 32, or take the backbone own")
    made = getattr(vision("torchvision.models"), f"resnet{layers}")(replace_stride_with_dilation=dilated)
    made.fc = nn.Identity()
    return made


def vision(module: str) -> Any:
    """A module that comes with the extra `vision`."""
    library = module.partition(".")[0]
    try:
        return import_module(module)
    except ImportError as error:
        raise UserError(f"{library} is missing; it needs the extra 'vision': pip install 'limbeck[vision]'") from error
    except RuntimeError as error:
        said = str(error).splitlines()[0]
        raise UserError(
            f"{library} was built for another torch than the one here, and cannot be imported ({said})"
        ) from error
