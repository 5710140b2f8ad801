"""JointDistill's connector: one teacher made of several, which learns beside the student."""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from limbeck.batch import Batch, Outputs
from limbeck.config import Spec
from limbeck.errors import UserError
from limbeck.feedback import Follower
from limbeck.models.heads import MAP, MultiTask
from limbeck.tasks import Task
from limbeck.teachers import Teacher, fingerprint

MOST = 256
"""Channels of the connector's map, unless more are asked for."""
CONVOLUTIONS = {3: nn.Conv1d, 4: nn.Conv2d}
NORMS: dict[int, type[nn.BatchNorm1d | nn.BatchNorm2d]] = {3: nn.BatchNorm1d, 4: nn.BatchNorm2d}
"""By the dimensions of a map."""


class Fusion(Spec):
    """What the connector is made of."""

    kind: ClassVar[str] = "fusion"
    width: int | None = Field(None, gt=0)
    """Channels of its map; as many as the student's map has, but no more than 256, if not given."""
    kernel: Literal[1, 3] = 1
    """Cells, a side, that its convolutions see."""

    def channels(self, student: int) -> int:
        """Of its map, where the student's has so many."""
        return self.width or min(student, MOST)


class Connector(Teacher):
    """Fuses the maps of frozen teachers, one a task, and answers for all tasks [Cheng 2025, arXiv:2505.10057].

        p_i = head_i([ReLU BN Conv] x 2 (f_1, ..., f_N))

    It learns by supervised terms on its own logits, in the student's optimiser: their parameters have no gradient of
    each other's losses, and a limit on the norm of a gradient is of each by itself, so the steps are those of two
    optimisers. Heads are a convolution of one cell and, for tasks of
    every pixel (those in `dense`, by the size of their targets), a bilinear enlargement; for others the mean over the
    map goes before. `weighted` multiplies the logits of the classes of its names.
    """

    def __init__(
        self,
        teachers: Mapping[str, MultiTask],
        tasks: Sequence[Task],
        width: int,
        kernel: int,
        dense: Mapping[str, tuple[int, ...]],
        example: Batch,
        weighted: Follower | None = None,
    ) -> None:
        super().__init__()
        # Apart: they are in no checkpoint, nor is what weighs the logits, which is in the objective's state.
        object.__setattr__(self, "fixed", {n: t.requires_grad_(False).eval() for n, t in teachers.items()})
        object.__setattr__(self, "weighted", weighted)
        self.tasks, self.dense, self.width, self.kernel = tuple(tasks), dict(dense), width, kernel
        maps = self.maps(example)
        wide, dims = sum(made.shape[1] for made in maps), maps[0].ndim
        convolution, norm = CONVOLUTIONS[dims], NORMS[dims]
        layers: list[nn.Module] = []
        for channels in (wide, width):
            layers += [convolution(channels, width, kernel, padding=kernel // 2, bias=False), norm(width), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.heads = nn.ModuleList(
            convolution(width, task.width, 1) if task.name in dense else nn.Linear(width, task.width) for task in tasks
        )

    fixed: dict[str, MultiTask]
    weighted: Follower | None

    def extra_repr(self) -> str:
        told = ", ".join(f"{name} {fingerprint(teacher)}" for name, teacher in self.fixed.items())
        return f"{self.width} by {self.kernel} of {told}"

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Connector":
        for teacher in self.fixed.values():
            teacher._apply(fn)  # type: ignore[no-untyped-call]
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def maps(self, batch: Batch) -> list[Tensor]:
        """Of the teachers, `(B, F, *S)`, on the grid of the first. Raises `UserError` for one that has none."""
        with torch.inference_mode():
            found = {name: teacher.features(batch) for name, teacher in self.fixed.items()}
            for name, features in found.items():
                if MAP not in features:
                    raise UserError(
                        f"the connector fuses maps, and the teacher {name} has none: take deeplab, segnet or resnet1d"
                    )
            first, *others = (features[MAP] for features in found.values())
            mode = "linear" if first.ndim == 3 else "bilinear"
            same = [
                m if m.shape[2:] == first.shape[2:] else F.interpolate(m, first.shape[2:], mode=mode) for m in others
            ]
        return [first, *same]

    def forward(self, batch: Batch) -> Outputs:
        with torch.no_grad():
            joined = torch.cat(self.maps(batch), dim=1)  # a copy, for what was made in inference mode may not be kept
        made = self.body(joined)
        logits = {}
        for task, head in zip(self.tasks, self.heads, strict=True):
            size = self.dense.get(task.name)
            answer = head(made.flatten(2).mean(dim=2) if size is None else made)
            if size is not None and answer.shape[2:] != size:
                answer = F.interpolate(answer, size, mode="bilinear", align_corners=False)
            logits[task.name] = answer * self._factor(task)
        return Outputs(logits, {MAP: made})

    def _factor(self, task: Task) -> Tensor | float:
        """What logits are multiplied by."""
        if self.weighted is None or task.classes is None:
            return 1.0
        return self.weighted.weights()[self.weighted.names.index(task.name)]
