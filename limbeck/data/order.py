"""Which rows make the batch of a step: a function of (seed, step)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from limbeck import process
from limbeck.errors import UserError


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


class Shares:
    """Which rows make the batch of a step, where each group of rows (a data set) has a fixed share of every batch.

    Each group goes round in passes of its own, a fresh permutation each, so a small one is seen more often than a large
    one; like `Order` it is a function of (seed, step) alone. An epoch is as many steps as all rows together fill.

    `groups` `(N,)` are the numbers of the rows' groups; `weights`, one for each, come to counts of a batch by largest
    remainder. Raises `UserError` where a group would have no place in a batch.
    """

    def __init__(self, groups: Tensor, weights: Sequence[float], batch: int, seed: int) -> None:
        self.batch, self.seed = batch, seed
        self.members = [(groups == number).nonzero().squeeze(1) for number in range(len(weights))]
        shares = torch.tensor([w if len(m) else 0.0 for w, m in zip(weights, self.members, strict=True)])
        exact = shares / shares.sum() * batch
        counts = exact.floor().long()
        rest = (exact - counts).argsort(descending=True, stable=True)[: batch - int(counts.sum())]
        counts[rest] += 1
        self.counts = counts.tolist()
        for number, (count, share) in enumerate(zip(self.counts, shares.tolist(), strict=True)):
            if share and not count:
                raise UserError(f"a batch of {batch} has no place for data set {number}, whose share is {share:.3g}")
        self.per_epoch = process.batches(len(groups), batch)
        self._passes: dict[tuple[int, int], Tensor] = {}

    def at(self, step: int) -> Tensor:
        """The rows of a step, `(B,)`: group after group."""
        drawn = [self._drawn(number, step * count, count) for number, count in enumerate(self.counts) if count]
        whole = torch.cat(drawn)
        return whole if process.world() == 1 else whole[process.rank() :: process.world()]

    def passes(self, step: int) -> list[float]:
        """How often each group has been gone through after so many steps; 0 for an empty one."""
        return [step * c / len(m) if c else 0.0 for c, m in zip(self.counts, self.members, strict=True)]

    def _drawn(self, number: int, first: int, count: int) -> Tensor:
        """`count` rows of a group, from its sample `first` on, counted over all its passes."""
        members, found = self.members[number], []
        while count:
            turn, at = divmod(first, len(members))
            some = self._pass(number, turn)[at : at + count]
            found.append(some)
            first, count = first + len(some), count - len(some)
        return torch.cat(found)

    def _pass(self, number: int, turn: int) -> Tensor:
        if (number, turn) not in self._passes:
            self._passes = {k: v for k, v in self._passes.items() if k[0] != number or k[1] == turn - 1}
            members = self.members[number]
            order = torch.randperm(len(members), generator=process.generator(self.seed, "order", number, turn))
            self._passes[number, turn] = members[order]
        return self._passes[number, turn]
