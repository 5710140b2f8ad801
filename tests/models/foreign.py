"""Libraries that networks are compared with, where they are installed."""

from importlib.util import find_spec
from typing import Any

import pytest
import torch

_kept: list[torch.library.Library] = []


def torchvision() -> Any:
    """torchvision, or the test is skipped. Beside a torch for CPUs its operators are declared first: it looks for them
    when it is imported, though no network needs them."""
    if not find_spec("torchvision"):
        pytest.skip("torchvision is not installed")
    if torch.version.cuda is None and not _kept:
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _kept.append(library)
    return pytest.importorskip("torchvision")
