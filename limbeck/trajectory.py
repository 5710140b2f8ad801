"""Where a network looks, from visit to visit: trajectories of attention, and the loss that lets one follow another."""

import math
from typing import ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from limbeck import losses, process
from limbeck.config import Spec
from limbeck.errors import UserError, unknown
from limbeck.models.heads import MAP
from limbeck.objective import STUDENT, Scene, Term

SHARP = 0.1
"""Temperature of the softmax that reads a soft place off a window, of attention whose mean square is 1: so it means the
same on a grid of any size."""


class Trajectory(Spec):
    """Where the connector looks at a sample, over the last visits to it; the student is drawn there
    [Cheng 2025, arXiv:2505.10057].

    A visit leaves the `k` places of highest attention. Which place is the highest has no gradient, so what is compared
    are soft places: the mean place in a small window around each of the connector's, weighted by a softmax of the
    attention there. The places of earlier visits stay where the connector looked then, so that a student level with it
    has a loss of 0 only where the connector no longer moves.
    """

    kind: ClassVar[str] = "trajectory"
    k: int = Field(10, gt=0)
    """Places of a visit."""
    length: int = Field(5, gt=0)
    """Visits that are remembered, with the present one; a visit to a sample is a pass over the data."""
    radius: int = Field(1, ge=1)
    """Of the window around a place, in cells of the map."""
    compare: Literal["places", "moves"] = "places"
    """places: where the student looks now, against where the connector looked on each remembered visit. moves: how its
    places have moved since the last visit, against how the connector's have; then one earlier visit counts, and no
    values."""
    fade: float = Field(1.0, gt=0, le=1)
    """How much less a visit counts than the one after it; 1 where all count alike."""
    values: bool = True
    """The attention at those places is compared too."""


class Visit(NamedTuple):
    """What is kept of visits to B samples: `at` `(B, ..., k)` the cells of the connector's highest attention, `places`
    `(B, ..., k, 2)` its soft places around them (row and column in [0, 1]), `values` `(B, ..., k)` its attention there,
    `seen` `(B, ..., k, 2)` the student's soft places in the same windows, and `own` `(B, ..., k)` the cells of the
    student's highest attention."""

    at: Tensor
    places: Tensor
    values: Tensor
    seen: Tensor
    own: Tensor


def grid(*maps: Tensor) -> tuple[int, int]:
    """The smallest height and width of maps `(B, F, *S)`; those along time are one row high."""
    sizes = [(1, *m.shape[2:]) if m.ndim == 3 else tuple(m.shape[2:]) for m in maps]
    return min(s[0] for s in sizes), min(s[1] for s in sizes)


def attention(made: Tensor, size: tuple[int, int]) -> Tensor:
    """Attention `(B, h, w)` of a map `(B, F, *S)`: the squares summed over channels, their means over the cells of a
    grid, of norm 1 over space [Zagoruyko 2017, arXiv:1612.03928]."""
    energy = made.float().square().sum(dim=1) if made.dtype.itemsize < 4 else made.square().sum(dim=1)
    energy = energy.unsqueeze(1) if energy.ndim == 2 else energy
    energy = energy if energy.shape[1:] == size else F.adaptive_avg_pool2d(energy, size)
    return F.normalize(energy.flatten(1), dim=1).view(len(made), *size)


def highest(maps: Tensor, k: int) -> Tensor:
    """The cells `(B, k)` of highest attention in `(B, h, w)`, the highest first."""
    cells = maps.shape[1] * maps.shape[2]
    if k > cells:
        raise UserError(f"trajectory.k is {k}, but the maps have {cells} cells: give fewer places, or larger maps")
    return maps.flatten(1).topk(k, dim=1).indices


def soft_places(maps: Tensor, at: Tensor, radius: int) -> Tensor:
    """The mean place `(B, P, 2)` in the window around each cell `at` `(B, P)` of maps `(B, h, w)` of norm 1, weighted
    by a softmax of the attention there: row and column, the middles of cells, in [0, 1]."""
    height, width = maps.shape[1:]
    reach = torch.arange(-radius, radius + 1, device=maps.device)
    rows = (at // width).unsqueeze(2) + reach.repeat_interleave(len(reach))
    columns = (at % width).unsqueeze(2) + reach.repeat(len(reach))
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    cells = (rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)).flatten(1)
    around = maps.flatten(1).gather(1, cells).view(rows.shape).masked_fill(~inside, -torch.inf)
    share = (around * (math.sqrt(height * width) / SHARP)).softmax(dim=2)
    return torch.stack([(share * (rows + 0.5)).sum(2) / height, (share * (columns + 0.5)).sum(2) / width], dim=2)


def middles(at: Tensor, maps: Tensor) -> Tensor:
    """The middles `(..., 2)` of cells `(...)` of maps `(B, h, w)`: row and column in [0, 1]."""
    height, width = maps.shape[1:]
    return torch.stack([(at // width + 0.5) / height, (at % width + 0.5) / width], dim=-1)


class Memory(nn.Module):
    """The last `length` visits to each of N samples, no more than `k` places each; all of it is in checkpoints."""

    at: Tensor
    places: Tensor
    values: Tensor
    seen: Tensor
    own: Tensor
    count: Tensor
    row: Tensor

    def __init__(self, ids: Tensor, k: int, length: int) -> None:
        super().__init__()
        self.length = length
        shape = (len(ids), length, k)
        for name in ("at", "own"):
            self.register_buffer(name, torch.zeros(shape, dtype=torch.int32))
        for name, size in (("places", (*shape, 2)), ("values", shape), ("seen", (*shape, 2))):
            self.register_buffer(name, torch.zeros(size))
        self.register_buffer("count", torch.zeros(len(ids), dtype=torch.int32))
        row = torch.full((int(ids.max()) + 1,), -1)
        row[ids] = torch.arange(len(ids))
        self.register_buffer("row", row, persistent=False)

    @property
    def parts(self) -> Visit:
        """Of all samples and visits, `(N, length, k)` and so on."""
        return Visit(self.at, self.places, self.values, self.seen, self.own)

    @property
    def held(self) -> int:
        """Bytes."""
        return sum(t.numel() * t.element_size() for t in (*self.parts, self.count))

    def visits(self, ids: Tensor, most: int) -> tuple[Visit, Tensor]:
        """The last visits to samples `(B,)`, the latest first, `most` of them; and which there were, bool `(B,
        most)`."""
        rows = self.row[ids].unsqueeze(1)
        age = torch.arange(most, device=ids.device)
        count = self.count[rows].long()
        slot = (count - 1 - age).remainder(self.length)
        return Visit(*(part[rows, slot] for part in self.parts)), age < count

    def add(self, ids: Tensor, visit: Visit) -> None:
        """Remembers one visit to each of the samples that any process has; the oldest is forgotten where there are
        too many."""
        ids, *parts = (process.gathered(part) for part in (ids, *visit))
        rows = self.row[ids]
        slot = self.count[rows].long().remainder(self.length)
        for mine, new in zip(self.parts, parts, strict=True):
            mine[rows, slot] = new.to(mine.dtype)
        self.count[rows] += 1


class Follow(Term):
    """How far the student's attention is from where the connector looks and looked; in training it remembers."""

    def __init__(self, spec: Trajectory, ids: Tensor, who: str) -> None:
        super().__init__(f"trajectory({who})", (STUDENT, who))
        self.spec, self.who = spec, who
        self.memory = Memory(ids, spec.k, spec.length)

    @property
    def detail(self) -> str:
        return f"{self.name} [{self.spec}]"

    @property
    def held(self) -> int:
        return self.memory.held

    def forward(self, scene: Scene) -> Tensor:
        ours, theirs = self.maps(scene)
        at = highest(theirs, self.spec.k)
        places, values = soft_places(theirs, at, self.spec.radius), theirs.flatten(1).gather(1, at)
        now = Visit(at, places, values, soft_places(ours, at, self.spec.radius), highest(ours, self.spec.k))
        ids = scene.batch.ids
        apart = self.moves(now, ids) if self.spec.compare == "moves" else self.along(ours, now, ids)
        if self.training:
            self.memory.add(ids, Visit(*(part.detach() for part in now)))
        return losses.masked_mean(apart)

    def maps(self, scene: Scene) -> tuple[Tensor, Tensor]:
        """Attention of the student and of the connector, on one grid; the connector's without gradient."""
        features = [scene.outputs[who].features for who in self.reads]
        for declared in features:
            if MAP not in declared:
                raise unknown("feature", MAP, declared)
        one, two = (declared[MAP] for declared in features)
        size = grid(one, two)
        return attention(one, size), attention(two.detach(), size)

    def along(self, ours: Tensor, now: Visit, ids: Tensor) -> Tensor:
        """`(B,)`: the mean over visits and places of how far the student is from where the connector was."""
        past, known = self.memory.visits(ids, self.spec.length - 1)
        at, places, values = (
            torch.cat([one.unsqueeze(1), two], dim=1) for one, two in zip(now[:3], past[:3], strict=True)
        )
        all_ = at.long().flatten(1)
        apart = (soft_places(ours, all_, self.spec.radius) - places.flatten(1, 2)).abs().sum(dim=2)
        if self.spec.values:
            apart = apart + (ours.flatten(1).gather(1, all_) - values.flatten(1)).abs()
        each = apart.view(at.shape).mean(dim=2)
        counts = torch.cat([known.new_ones(len(known), 1), known], dim=1)
        weight = counts * self.spec.fade ** torch.arange(self.spec.length, device=each.device)
        return (weight * each).sum(dim=1) / weight.sum(dim=1)

    def moves(self, now: Visit, ids: Tensor) -> Tensor:
        """`(B,)`: the mean over places of how much the student's moves since the last visit differ from the
        connector's; 0 on the first visit."""
        past, known = self.memory.visits(ids, 1)
        apart = (now.seen - past.seen[:, 0]) - (now.places - past.places[:, 0])
        return torch.where(known[:, 0], apart.abs().sum(dim=2).mean(dim=1), 0.0)
