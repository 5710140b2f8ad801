"""Statistics kept apart for each of several data sets inside one network: faces of two sources are lit otherwise."""

import torch
from torch import Tensor, nn

from limbeck.errors import UserError


class Norms(nn.Module):
    """BatchNorm of `(B, width, H, W)`, statistics and affine parameters, for each of several data sets."""

    def __init__(self, width: int, sets: int) -> None:
        super().__init__()
        self.each = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(sets))

    def forward(self, x: Tensor, which: int) -> Tensor:
        normed: Tensor = self.each[which](x)
        return normed

    def keep(self, which: int) -> None:
        """Forgets all sets but one. Raises `UserError` where it is not known."""
        if which >= len(self.each):
            raise UserError(
                f"the model keeps {len(self.each)} data sets apart, and has not learnt from number {which + 1}"
            )
        self.each = nn.ModuleList([self.each[which]])


def by_set(trunk: nn.Module, x: Tensor, domain: Tensor, sets: int) -> Tensor:
    """Features `(B, F)` of samples `(B, ...)`, each by the norms of its own set, which `domain` `(B,)` tells.

    The trunk runs once a set. Raises `UserError` for a set that the network has no norms of.
    """
    sizes = domain.bincount(minlength=sets).tolist()
    if len(sizes) > sets:
        raise UserError(f"the model keeps {sets} data sets apart, and was given samples of a set number {len(sizes)}")
    order = domain.argsort(stable=True)
    parts = [trunk(rows, which) for which, rows in enumerate(x[order].split(sizes)) if len(rows)]
    return torch.cat(parts)[order.argsort()]
