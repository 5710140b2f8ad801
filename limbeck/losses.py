"""Losses of single predictions, `(B, C, *S)` against `(B, *S)` or `(B, C, *S)`, to `(B, *S)`; and the one reduction.

Nothing here averages but `masked_mean`: it alone knows of missing labels and of other processes.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck import process
from limbeck.tasks import IGNORE

Reduction = Literal["sum", "mean"]
"""Over the classes of one prediction. `sum` is the definition of KL; `mean` divides by C as PyTorch's default does."""


def masked_mean(values: Tensor, mask: Tensor | None = None) -> Tensor:
    """The mean of `values` where `mask` holds (everywhere without one), over all processes; 0 where it holds nowhere.

    Divides by the count over all processes and multiplies by their number, so that the average of the processes'
    gradients (what data-parallel training takes) is the gradient of one process that sees every sample.
    """
    # None missing, the usual case, in a third of the operations. A GPU would have to wait for the look.
    whole = mask is None or (mask.device.type == "cpu" and bool(mask.all()))
    if whole and values.numel() and not process.active():
        return values.mean()
    given = torch.ones_like(values, dtype=torch.bool) if mask is None else mask
    count = process.total(given.sum()).clamp(min=1)
    return torch.where(given, values, 0.0).sum() / (count / process.world())


def cross_entropy(logits: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
    """-log p of the target class; 0 where the label is missing. `smoothing` spreads that share over all classes."""
    return F.cross_entropy(logits, target, ignore_index=IGNORE, reduction="none", label_smoothing=smoothing)


def squared_error(answer: Tensor, target: Tensor) -> Tensor:
    """Squared distance of `(B, 1, *S)` to real targets `(B, *S)`; 0 where a label is missing (NaN)."""
    known = ~target.isnan()
    return torch.where(known, answer.squeeze(1) - torch.where(known, target, 0.0), 0.0).square()


def soft(student: Tensor, teacher: Tensor, T: float = 1.0, reduction: Reduction = "sum") -> Tensor:
    """T^2 KL(softmax(teacher / T) || softmax(student / T)) [Hinton 2015, arXiv:1503.02531]; no gradient to the
    teacher."""
    log_p = F.log_softmax(teacher.detach() / T, dim=1)
    log_q = F.log_softmax(student / T, dim=1)
    values = F.kl_div(log_q, log_p, reduction="none", log_target=True).sum(dim=1) * T**2
    return values / student.shape[1] if reduction == "mean" else values


def hard(student: Tensor, teacher: Tensor) -> Tensor:
    """Cross-entropy with the teacher's most likely class as the label."""
    return F.cross_entropy(student, teacher.detach().argmax(dim=1), reduction="none")


def decoupled(
    student: Tensor, teacher: Tensor, target: Tensor, alpha: float = 1.0, beta: float = 8.0, T: float = 4.0
) -> Tensor:
    """Decoupled distillation, alpha TCKD + beta NCKD, both times T^2 [Zhao 2022, arXiv:2203.08679].

    TCKD compares (target, everything else), NCKD the other classes among themselves; with alpha = 1 and beta = 1 - p of
    the teacher's target it is `soft`. In log space throughout, so finite at extreme logits. 0 where the label is
    missing.
    """
    missing = target == IGNORE
    at = torch.where(missing, 0, target).unsqueeze(1)
    log_q, log_p = F.log_softmax(student / T, dim=1), F.log_softmax(teacher.detach() / T, dim=1)
    q_target, p_target = log_q.gather(1, at), log_p.gather(1, at)
    q_others, p_others = _others(student / T, at), _others(teacher.detach() / T, at)
    q_rest = q_others.logsumexp(dim=1, keepdim=True) - (student / T).logsumexp(dim=1, keepdim=True)
    p_rest = p_others.logsumexp(dim=1, keepdim=True) - (teacher.detach() / T).logsumexp(dim=1, keepdim=True)
    tckd = p_target.exp() * (p_target - q_target) + p_rest.exp() * (p_rest - q_rest)
    q_hat, p_hat = q_others.log_softmax(dim=1), p_others.log_softmax(dim=1)
    nckd = (p_hat.exp() * (p_hat - q_hat)).sum(dim=1)
    return torch.where(missing, 0.0, (alpha * tckd.squeeze(1) + beta * nckd) * T**2)


def _others(scaled: Tensor, at: Tensor) -> Tensor:
    """The logits of every class but the one at `at`, `(B, C - 1, *S)`."""
    index = torch.arange(scaled.shape[1] - 1, device=at.device).view(1, -1, *[1] * (scaled.dim() - 2))
    return scaled.gather(1, (index + (index >= at)).expand(scaled.shape[0], -1, *scaled.shape[2:]))


def hint(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared distance of two features `(B, ...)`, a number a sample [Romero 2015, arXiv:1412.6550]."""
    return (student - teacher.detach()).square().flatten(1).mean(dim=1)


def symmetric(one: Tensor, two: Tensor, T: float = 1.0) -> Tensor:
    """T^2 (KL(one || two) + KL(two || one)) / 2 of softened logits, with gradient to both."""
    log_p, log_q = F.log_softmax(one / T, dim=1), F.log_softmax(two / T, dim=1)
    return 0.5 * T**2 * ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(dim=1)


def info_nce(one: Tensor, two: Tensor, temperature: float = 0.07) -> Tensor:
    """-log of the share that a sample's own pair has among all pairs, by cosine similarity; `(B, F)` each, to
    `(B,)`."""
    similarity = F.normalize(one, dim=1) @ F.normalize(two, dim=1).T / temperature
    return F.cross_entropy(similarity, torch.arange(len(one), device=one.device), reduction="none")
