"""What goes into a model and what comes out of it."""

from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

MODALITY = "sensor"
"""The input that most models read: sensor windows."""
IMAGE = "image"
"""The input that networks for images read: 8-bit pixels."""
DOMAIN = "domain"
"""The input that says which data set of a joined table a sample came from: its number, `(B,)`."""


class Lazy(Mapping[str, Tensor]):
    """Inputs by modality, each made when it is first asked for: what no model reads costs nothing."""

    def __init__(self, makers: Mapping[str, Callable[[], Tensor]]) -> None:
        self.makers = makers
        self.made: dict[str, Tensor] = {}

    def __getitem__(self, modality: str) -> Tensor:
        if modality not in self.made:
            with torch.inference_mode(False):  # though a teacher asks first: the student may ask too
                self.made[modality] = self.makers[modality]()
        return self.made[modality]

    def __iter__(self) -> Iterator[str]:
        return iter(self.makers)

    def __len__(self) -> int:
        return len(self.makers)


class Mixed(NamedTuple):
    """What the samples of a batch were mixed with.

    - `share` `(B,)`: of a sample's own label; the rest belongs to its partner's.
    - `targets`, by task: the partners' `(B, *S)`.
    - `plan` `(B,)`: which of the mixings that were drawn beforehand, if they were.
    """

    share: Tensor
    targets: Mapping[str, Tensor]
    plan: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """B samples.

    - `inputs`, by modality: each model reads its own; a sensor window is `(B, M, L)`, an image `(B, M, H, W)`.
    - `targets`, by task: `(B, *S)`; a missing label is `tasks.IGNORE`, or NaN where targets are reals.
    - `ids` `(B,)`: the rows of the table the samples came from; a cached teacher answers by them.
    - `pure`: the inputs are those of the table. What augments or mixes them must clear it (`with_inputs` does).
    - `whole`: tasks none of whose labels is missing, which need not be looked through; what takes labels away must
      clear it.
    - `mixed`: the other half of each sample, where samples were mixed.
    - `generated`, by task: shares `(B, C)` of the classes that a model gave where people gave no label; 0 elsewhere.
    """

    inputs: Mapping[str, Tensor]
    targets: Mapping[str, Tensor]
    ids: Tensor
    pure: bool = True
    whole: frozenset[str] = frozenset()
    mixed: Mixed | None = None
    generated: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device; itself where it is there already."""
        if self.ids.device == device:
            return self
        return replace(
            self,
            inputs=Lazy({k: partial(_moved, self.inputs, k, device) for k in self.inputs}),
            targets={k: v.to(device, non_blocking=True) for k, v in self.targets.items()},
            ids=self.ids.to(device, non_blocking=True),
            generated={k: v.to(device, non_blocking=True) for k, v in self.generated.items()},
        )

    def with_inputs(self, inputs: Mapping[str, Tensor]) -> "Batch":
        """The same samples with some inputs changed, and so no longer pure."""
        return replace(self, inputs=ChainMap(inputs, self.inputs), pure=False)  # type: ignore[arg-type]


def _moved(inputs: Mapping[str, Tensor], modality: str, device: torch.device) -> Tensor:
    return inputs[modality].to(device, non_blocking=True)


class Outputs(NamedTuple):
    """What a model answers: logits `(B, C, *S)` by task, and features by the name the model declares for them."""

    logits: Mapping[str, Tensor]
    features: Mapping[str, Tensor] = MappingProxyType({})
