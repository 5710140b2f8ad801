"""Tables: samples with their targets and where they came from."""

from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from limbeck.batch import Batch, Lazy
from limbeck.data.generated import GENERATED, LABELLED, MISSING, Generated
from limbeck.tasks import IGNORE, Task


class Column(Protocol):
    """N samples of one modality."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Tensor) -> Tensor:
        """The samples at an index `(B,)`."""

    def take(self, index: Tensor) -> "Column":
        """A column of those samples only, without copying what is large."""

    def to(self, device: torch.device) -> "Column":
        """The same on another device."""


class Dense:
    """A column that is one tensor `(N, ...)`."""

    def __init__(self, values: Tensor) -> None:
        self.values = values

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.values.shape[1:])

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: Tensor) -> Tensor:
        return self.values.index_select(0, index)

    def take(self, index: Tensor) -> "Dense":
        return Dense(self.values[index])

    def to(self, device: torch.device) -> "Dense":
        return Dense(self.values.to(device))


class Windows:
    """Windows of L samples of one long signal `(T, M)`, cut when asked for: a column of `(M, L)` that copies nothing.

    `starts` `(N,)` are the first samples.
    """

    def __init__(self, signal: Tensor, starts: Tensor, length: int) -> None:
        self.signal, self.starts, self.length = signal.contiguous(), starts, length
        if len(starts) and not 0 <= int(starts.min()) <= int(starts.max()) <= len(signal) - length:
            raise ValueError(f"windows of {length} samples leave a signal of {len(signal)}")
        channels = signal.shape[1]
        steps = max(0, len(signal) - length + 1)
        self._all = self.signal.as_strided((steps, channels, length), (channels, 1, channels))

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.signal.shape[1], self.length)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: Tensor) -> Tensor:
        return self._all.index_select(0, self.starts.index_select(0, index))

    def take(self, index: Tensor) -> "Windows":
        return Windows(self.signal, self.starts[index], self.length)

    def to(self, device: torch.device) -> "Windows":
        return Windows(self.signal.to(device), self.starts.to(device), self.length)


class Chain:
    """Columns of one shape, one after another."""

    def __init__(self, columns: Sequence[Column]) -> None:
        shapes = {c.shape for c in columns}
        if len(shapes) != 1:
            raise ValueError(f"columns of different shapes cannot be joined: {sorted(shapes)}")
        self.columns = list(columns)
        self._ends = torch.tensor([len(c) for c in columns]).cumsum(0)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.columns[0].shape

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: Tensor) -> Tensor:
        where = torch.bucketize(index, self._ends.to(index.device), right=True)
        out: Tensor | None = None
        for number, column in enumerate(self.columns):
            at = (where == number).nonzero().squeeze(1)
            if len(at):
                part = column[index[at] - (int(self._ends[number]) - len(column))]
                out = part.new_empty((len(index), *part.shape[1:])) if out is None else out
                out[at] = part
        return out if out is not None else self.columns[0][index]

    def take(self, index: Tensor) -> "Column":
        return Picked(self, index)

    def to(self, device: torch.device) -> "Chain":
        return Chain([c.to(device) for c in self.columns])


class Picked:
    """Some samples of another column."""

    def __init__(self, column: Column, index: Tensor) -> None:
        self.column, self.index = column, index

    @property
    def shape(self) -> tuple[int, ...]:
        return self.column.shape

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: Tensor) -> Tensor:
        return self.column[self.index[index]]

    def take(self, index: Tensor) -> "Picked":
        return Picked(self.column, self.index[index])

    def to(self, device: torch.device) -> "Picked":
        return Picked(self.column.to(device), self.index.to(device))


@dataclass(frozen=True)
class Table:
    """N samples: inputs by modality, targets by task, and provenance.

    - `meta`: arrays of N, at least `subject`, `session` and `start` (seconds or sample in its recording) for sensor
      windows; splits are made by it and leaks are looked for in it.
    - `card`: plain values that describe the whole set (name, rate in Hz, unit, channels, what was dropped and why).
    - `digest`: names the files and the spec this was made of.
    - `ids`: row numbers in the table this is a part of.
    - `generated`, by task: labels that models gave; never where there is one in `targets`.
    - `dense`, by task: targets of tasks that ask for every pixel, as columns, since they are as large as inputs. Such a
      task is not in `targets`.
    """

    tasks: tuple[Task, ...]
    inputs: Mapping[str, Column]
    targets: Mapping[str, Tensor]
    meta: Mapping[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    card: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""
    ids: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))
    generated: Mapping[str, Generated] = field(default_factory=dict)
    dense: Mapping[str, Column] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not len(self.ids) and len(self):
            object.__setattr__(self, "ids", torch.arange(len(self)))
        columns: list[Sized] = [*self.inputs.values(), *self.targets.values(), *self.meta.values(), self.ids]
        columns += self.dense.values()
        lengths = set(map(len, columns))
        if len(lengths) > 1:
            raise ValueError(f"the columns of a table have different lengths: {sorted(lengths)}")

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def shape(self, modality: str) -> tuple[int, ...]:
        """Of one sample of a modality."""
        return self.inputs[modality].shape

    def rows(self, index: Tensor) -> Batch:
        """The samples at an index `(B,)` of this table."""
        return Batch(
            Lazy({name: partial(column.__getitem__, index) for name, column in self.inputs.items()}),
            {name: target.index_select(0, index) for name, target in self.targets.items()}
            | {name: column[index] for name, column in self.dense.items()},
            self.ids.index_select(0, index),
            whole=self.whole,
            generated={name: each.shares.index_select(0, index) for name, each in self.generated.items()},
        )

    def status(self, task: str) -> np.ndarray[Any, Any]:
        """What the cell of each sample is: labelled, generated or missing, `(N,)`."""
        labelled = next(t for t in self.tasks if t.name == task).present(self.targets[task]).cpu().numpy()
        given = self.generated[task].given.cpu().numpy() if task in self.generated else np.zeros(len(self), bool)
        return np.where(labelled, LABELLED, np.where(given, GENERATED, MISSING))

    @cached_property
    def whole(self) -> frozenset[str]:
        """The tasks that have every label."""
        return frozenset(t.name for t in self.tasks if t.name in self.targets and t.present(self.targets[t.name]).all())

    def take(self, index: Tensor | np.ndarray[Any, Any]) -> "Table":
        """The table of those rows only; inputs are not copied where the column can avoid it."""
        at = torch.as_tensor(index)
        at = at.nonzero().squeeze(1) if at.dtype == torch.bool else at.long()
        return replace(
            self,
            inputs={name: column.take(at) for name, column in self.inputs.items()},
            targets={name: target[at] for name, target in self.targets.items()},
            meta={name: values[at.cpu().numpy()] for name, values in self.meta.items()},
            ids=self.ids[at],
            generated={name: each.take(at) for name, each in self.generated.items()},
            dense={name: column.take(at) for name, column in self.dense.items()},
        )

    def only(self, *modalities: str) -> "Table":
        """The table with those inputs alone."""
        return replace(self, inputs={name: self.inputs[name] for name in modalities})

    def to(self, device: torch.device) -> "Table":
        """Inputs, targets and row numbers on another device."""
        if self.ids.device == device:
            return self
        return replace(
            self,
            inputs={name: column.to(device) for name, column in self.inputs.items()},
            targets={name: target.to(device) for name, target in self.targets.items()},
            ids=self.ids.to(device),
            generated={name: each.to(device) for name, each in self.generated.items()},
            dense={name: column.to(device) for name, column in self.dense.items()},
        )


def missing(task: Task, count: int) -> Tensor:
    """Targets of a task that nobody labelled, `(count,)`."""
    return torch.full((count,), float("nan")) if task.classes is None or task.span else torch.full((count,), IGNORE)
