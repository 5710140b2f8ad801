"""What goes into a model and what comes out of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """B samples.

    - `inputs`, by modality: each model reads its own; a sensor window is `(B, M, L)`, an image `(B, M, H, W)`.
    - `targets`, by task: `(B, *S)`; a missing label is `tasks.IGNORE`, or NaN where targets are reals.
    - `ids` `(B,)`: the rows of the table the samples came from; a cached teacher answers by them.
    - `pure`: the inputs are those of the table. What augments or mixes them must clear it (`with_inputs` does).
    - `whole`: tasks none of whose labels is missing, which need not be looked through; what takes labels away must
      clear it.
    """

    inputs: Mapping[str, Tensor]
    targets: Mapping[str, Tensor]
    ids: Tensor
    pure: bool = True
    whole: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device; itself where it is there already."""
        if self.ids.device == device:
            return self
        return replace(
            self,
            inputs={k: v.to(device, non_blocking=True) for k, v in self.inputs.items()},
            targets={k: v.to(device, non_blocking=True) for k, v in self.targets.items()},
            ids=self.ids.to(device, non_blocking=True),
        )

    def with_inputs(self, inputs: Mapping[str, Tensor]) -> "Batch":
        """The same samples with other inputs, and so no longer pure."""
        return replace(self, inputs=inputs, pure=False)


class Outputs(NamedTuple):
    """What a model answers: logits `(B, C, *S)` by task, and features by the name the model declares for them."""

    logits: Mapping[str, Tensor]
    features: Mapping[str, Tensor] = MappingProxyType({})
