"""Tables: samples in memory with their targets and where they came from; order as a function of (seed, step)."""

from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from limbeck import process
from limbeck.batch import Batch, Lazy
from limbeck.config import digest
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
    """

    tasks: tuple[Task, ...]
    inputs: Mapping[str, Column]
    targets: Mapping[str, Tensor]
    meta: Mapping[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    card: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""
    ids: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))

    def __post_init__(self) -> None:
        if not len(self.ids) and len(self):
            object.__setattr__(self, "ids", torch.arange(len(self)))
        columns: list[Sized] = [*self.inputs.values(), *self.targets.values(), *self.meta.values(), self.ids]
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
            {name: target.index_select(0, index) for name, target in self.targets.items()},
            self.ids.index_select(0, index),
            whole=self.whole,
        )

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
        )


def missing(task: Task, count: int) -> Tensor:
    """Targets of a task that nobody labelled, `(count,)`."""
    return torch.full((count,), float("nan")) if task.classes is None or task.span else torch.full((count,), IGNORE)


def concat(tables: Sequence[Table]) -> Table:
    """Several tables as one. A task that a table does not have is missing for its samples; `meta["domain"]` says whose
    a row is.

    Raises `ValueError` where two tables mean different classes by one task, or where a modality is not in all of them.
    """
    tasks: dict[str, Task] = {}
    for task in (t for table in tables for t in table.tasks):
        if tasks.setdefault(task.name, task) != task:
            raise ValueError(f"two data sets disagree on the task {task.name!r}: {tasks[task.name]} and {task}")
    modalities = list(tables[0].inputs)
    if any(list(t.inputs) != modalities for t in tables):
        raise ValueError(f"data sets of different modalities: {[list(t.inputs) for t in tables]}")
    names = [str(t.card.get("name", i)) for i, t in enumerate(tables)]
    kept = [k for k in tables[0].meta if all(k in t.meta for t in tables)]
    return Table(
        tasks=tuple(tasks.values()),
        inputs={m: Chain([t.inputs[m] for t in tables]) for m in modalities},
        targets={
            n: torch.cat([t.targets[n] if n in t.targets else missing(task, len(t)) for t in tables])
            for n, task in tasks.items()
        },
        meta={k: np.concatenate([t.meta[k] for t in tables]) for k in kept}
        | {"domain": np.repeat(np.array(names), [len(t) for t in tables])},
        card={"name": " + ".join(names), "parts": [dict(t.card) for t in tables]},
        digest=digest([[t.digest, t.ids.tolist()] for t in tables]),
    )


class Order:
    """Which rows make the batch of a step: a fresh permutation each epoch, as a function of (seed, step) alone.

    The last batch of an epoch is smaller where the rows do not divide (`process.batches`); each process takes its share
    of a batch.
    """

    def __init__(self, rows: int, batch: int, seed: int) -> None:
        self.rows, self.batch, self.seed = rows, batch, seed
        self.per_epoch = process.batches(rows, batch)
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.long)

    def at(self, step: int) -> Tensor:
        """The rows of a step, `(B,)`."""
        epoch, number = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = (
                epoch,
                torch.randperm(self.rows, generator=process.generator(self.seed, "order", epoch)),
            )
        whole = self._order[number * self.batch : (number + 1) * self.batch]
        return whole if process.world() == 1 else whole[process.rank() :: process.world()]
