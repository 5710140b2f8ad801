"""Losses of single predictions, `(B, C, *S)` against `(B, *S)` or `(B, C, *S)`, to `(B, *S)`; and the one reduction.

Nothing here averages but `masked_mean`: it alone knows of missing labels and of other processes.
"""

from collections.abc import Callable
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from limbeck import process
from limbeck.tasks import IGNORE

Reduction = Literal["sum", "mean"]
"""Over the classes of one prediction. `sum` is the definition of KL; `mean` divides by C as PyTorch's default does."""
Scaling = Literal["none", "std"]
"""Of logits before a softmax: as they are, or over their own standard deviation [Jeon 2022, TDA-KD]."""


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


def expected(logits: Tensor, shares: Tensor) -> Tensor:
    """-sum p log softmax: cross-entropy with `shares` `(B, C, *S)` of the classes; 0 where these are 0 throughout."""
    return F.cross_entropy(logits, shares, reduction="none")


def ordinal(logits: Tensor, target: Tensor, centres: Tensor, spread: float) -> Tensor:
    """Cross-entropy with a normal distribution around real targets `(B, *S)`, read at the `centres` `(C,)` of bins;
    `spread` is its standard deviation. 0 where a label is missing (NaN)."""
    known = ~target.isnan()
    apart = centres.view(-1, *[1] * (target.dim() - 1)) - torch.where(known, target, 0.0).unsqueeze(1)
    wanted = (-0.5 * (apart / spread).square()).softmax(dim=1)
    return torch.where(known, F.cross_entropy(logits, wanted, reduction="none"), 0.0)


def scaled(logits: Tensor, how: Scaling) -> Tensor:
    """Logits, or logits over the (unbiased) standard deviation that those of one prediction have."""
    return logits if how == "none" else logits / logits.std(dim=1, keepdim=True).clamp(min=1e-6)


def squared_error(answer: Tensor, target: Tensor) -> Tensor:
    """Squared distance of `(B, 1, *S)` to real targets `(B, *S)`; 0 where a label is missing (NaN)."""
    known = ~target.isnan()
    return torch.where(known, answer.squeeze(1) - torch.where(known, target, 0.0), 0.0).square()


def absolute_error(answer: Tensor, target: Tensor) -> Tensor:
    """Distance of `(B, 1, *S)` to real targets `(B, *S)`; 0 where a label is missing (NaN)."""
    known = ~target.isnan()
    return torch.where(known, answer.squeeze(1) - torch.where(known, target, 0.0), 0.0).abs()


def apart(answer: Tensor, target: Tensor) -> Tensor:
    """1 - cosine of the angle between vectors `(B, 3, *S)` and unit vectors `(B, 3, *S)`, to `(B, *S)`; 0 where a label
    is missing (NaN)."""
    known = ~target.isnan().any(dim=1)
    cosine = F.cosine_similarity(answer, torch.where(target.isnan(), 0.0, target), dim=1)
    return torch.where(known, 1 - cosine, 0.0)


def soft(student: Tensor, teacher: Tensor, T: float = 1.0, reduction: Reduction = "sum") -> Tensor:
    """T^2 KL(softmax(teacher / T) || softmax(student / T)) [Hinton 2015, arXiv:1503.02531]; no gradient to the
    teacher."""
    return _divergence(teacher.detach(), student, T, reduction)


def reverse(student: Tensor, teacher: Tensor, T: float = 1.0, reduction: Reduction = "sum") -> Tensor:
    """T^2 KL(softmax(student / T) || softmax(teacher / T)), the other direction of `soft`; no gradient to the
    teacher."""
    return _divergence(student, teacher.detach(), T, reduction)


def _divergence(one: Tensor, two: Tensor, T: float, reduction: Reduction) -> Tensor:
    """T^2 KL(softmax(one / T) || softmax(two / T)), `(B, *S)`."""
    log_p, log_q = F.log_softmax(one / T, dim=1), F.log_softmax(two / T, dim=1)
    values = F.kl_div(log_q, log_p, reduction="none", log_target=True).sum(dim=1) * T**2
    return values / one.shape[1] if reduction == "mean" else values


def hard(student: Tensor, teacher: Tensor) -> Tensor:
    """Cross-entropy with the teacher's most likely class as the label."""
    return F.cross_entropy(student, teacher.detach().argmax(dim=1), reduction="none")


def decoupled(
    student: Tensor,
    teacher: Tensor,
    target: Tensor,
    alpha: float | Tensor = 1.0,
    beta: float | Tensor = 8.0,
    T: float = 4.0,
) -> Tensor:
    """Decoupled distillation, alpha TCKD + beta NCKD, both times T^2 [Zhao 2022, arXiv:2203.08679].

    TCKD compares (target, everything else), NCKD the other classes among themselves; with alpha = 1 and beta = 1 - p of
    the teacher's target (a weight may be a tensor `(B, *S)`) it is `soft`. In log space throughout, so finite at
    extreme logits. 0 where the label is missing; no gradient to the teacher.
    """
    missing = target == IGNORE
    parts: Callable[..., tuple[Tensor, Tensor]] = _Parts.apply
    tckd, nckd = parts(student, teacher.detach(), torch.where(missing, 0, target).unsqueeze(1), T)
    return torch.where(missing, 0.0, (alpha * tckd + beta * nckd) * T**2)


class _Parts(torch.autograd.Function):
    """TCKD and NCKD `(B, *S)` of logits `(B, C, *S)` and target ids `(B, 1, *S)`, without T^2.

    The gradient is written out, for what autograd would keep and pass over takes twice the time: with q the student's
    softmax over the classes that are not the target, and d what its probability of the target has too much, it is
    d (1 at the target, -q elsewhere) for TCKD and q - p for NCKD, all by T.
    """

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor, at: Tensor, T: float) -> tuple[Tensor, Tensor]:
        other = torch.where(at == 0, 1, 0)
        log_q, q_odds = _others(student / T, at, other)
        log_p, p_odds = _others(teacher / T, at, other)
        p, p_target = log_p.exp(), p_odds.sigmoid()
        tckd = p_target * (F.logsigmoid(p_odds) - F.logsigmoid(q_odds))
        tckd += (-p_odds).sigmoid() * (F.logsigmoid(-p_odds) - F.logsigmoid(-q_odds))
        ctx.save_for_backward(log_q, p, q_odds.sigmoid() - p_target, at)
        ctx.T = T
        return tckd.squeeze(1), (p * (log_p - log_q)).sum(dim=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        log_q, p, excess, at = ctx.saved_tensors
        for_tckd, for_nckd = (gradient.unsqueeze(1) / ctx.T for gradient in gradients)
        towards = excess * for_tckd
        whole = log_q.exp().mul_(for_nckd - towards).sub_(p * for_nckd)
        return whole.scatter_(1, at, towards), None, None, None


def _others(scaled: Tensor, at: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Of logits, which are overwritten: log-softmax over all classes but the one at `at`, where it is 0; and the log of
    that one's odds against all others `(B, 1, *S)`. `other` is the id of any other class."""
    apart = scaled.gather(1, at) - scaled.gather(1, other)
    logs = F.log_softmax(scaled.scatter_(1, at, -torch.inf), dim=1)
    odds = apart + logs.gather(1, other)
    return logs.scatter_(1, at, 0.0), odds


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
