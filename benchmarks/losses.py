"""The decoupled loss, forward and backward, against the same from softmaxes whose classes are masked."""

import os
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import timing
from limbeck import losses

ALPHA, BETA, T = 1.0, 8.0, 2.0
TWO = "two softmaxes"
SHAPES = {"heart rate": (128, 180), "dense": (16, 21, 64, 64)}
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def two_softmaxes(student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
    """DKD in the form that is in use [Zhao 2022, arXiv:2203.08679]: masks of the target and of the others, by which
    probabilities are summed, and a second softmax in which the target has 1000 less; the mean over samples.

    It knows no missing label, and is not finite where a probability is 0.
    """
    chosen = torch.zeros_like(student).scatter_(1, target.unsqueeze(1), 1.0)
    others = 1.0 - chosen

    def binary(probabilities: Tensor) -> Tensor:
        return torch.stack([(probabilities * chosen).sum(1), (probabilities * others).sum(1)], dim=1)

    q, p = (F.softmax(logits / T, dim=1) for logits in (student, teacher))
    tckd = F.kl_div(binary(q).log(), binary(p), reduction="sum")
    q_others = F.log_softmax(student / T - 1000.0 * chosen, dim=1)
    p_others = F.softmax(teacher / T - 1000.0 * chosen, dim=1)
    nckd = F.kl_div(q_others, p_others, reduction="sum")
    return (ALPHA * tckd + BETA * nckd) * T**2 / target.numel()


def ours(student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
    """Limbeck's, with its mean over labelled samples."""
    return losses.masked_mean(losses.decoupled(student, teacher, target, ALPHA, BETA, T), target >= 0)


def drawn(shape: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of a student, which want a gradient, and of a teacher, and targets."""
    draw = torch.Generator().manual_seed(0)
    student, teacher = (3 * torch.randn(shape, generator=draw) for _ in range(2))
    target = torch.randint(shape[1], (shape[0], *shape[2:]), generator=draw)
    return student.requires_grad_(), teacher, target


def turn(loss: Loss, shape: tuple[int, ...], times: int) -> timing.Turn:
    """So many losses and gradients of one batch."""
    student, teacher, target = drawn(shape)

    def forth_and_back() -> None:
        for _ in range(times):
            student.grad = None
            loss(student, teacher, target).backward()

    return forth_and_back


def same(shape: tuple[int, ...]) -> None:
    """Raises `AssertionError` where the two differ in value or gradient."""
    results = []
    for loss in (two_softmaxes, ours):
        student, teacher, target = drawn(shape)
        value = loss(student, teacher, target)
        value.backward()
        assert student.grad is not None
        results.append((value, student.grad))
    (one, by_one), (two, by_two) = results
    assert torch.allclose(one, two, rtol=1e-4), (one, two)
    assert torch.allclose(by_one, by_two, rtol=1e-3, atol=1e-5 * float(by_one.abs().max())), shape


def main(quick: bool, rounds: int) -> None:
    """Prints a table for each shape of logits."""
    torch.set_num_threads(1)
    for name, shape in SHAPES.items():
        shape = (*shape[:2], *(4 for _ in shape[2:])) if quick else shape
        same(shape)
        times = 1 if quick else max(1, 4_000_000 // torch.Size(shape).numel())
        sides: dict[str, timing.Turn] = {
            TWO: turn(two_softmaxes, shape, times),
            f"{TWO}, again (A/A)": turn(two_softmaxes, shape, times),
            "limbeck": turn(ours, shape, times),
        }
        spent = timing.measure(sides, rounds)
        print(timing.table(f"{name}, logits {shape}", spent, TWO, times, "loss and gradient"), flush=True)


if __name__ == "__main__":
    asked = timing.arguments(__doc__ or "", 20)
    main(asked.quick, 3 if asked.quick else asked.rounds)
