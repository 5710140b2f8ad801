"""Losses against foreign references and numbers worked out by hand, in float64; finite at extreme logits."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax, logsumexp
from scipy.stats import norm
from torch import Tensor

from limbeck import losses
from limbeck.tasks import IGNORE

S, T = torch.tensor([[2.0, 1, 0, -1]]).double(), torch.tensor([[3.0, 0.5, 0, -2]]).double()
# Natural logarithm, times T squared.
SOFT = {1: 0.146681, 2: 0.263459, 3: 0.287357, 4: 0.291984}
DECOUPLED = {0: (0.241775, 0.058331, 0.708420), 1: (0.100658, 0.198538, 1.688961)}
PAIR: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "soft": lambda s, t, y: losses.soft(s, t, 2.0),
    "soft mean": lambda s, t, y: losses.soft(s, t, 2.0, "mean"),
    "hard": lambda s, t, y: losses.hard(s, t),
    "decoupled": lambda s, t, y: losses.decoupled(s, t, y, 1.0, 8.0, 2.0),
    "cross-entropy": lambda s, t, y: losses.cross_entropy(s, y),
    "smoothed": lambda s, t, y: losses.cross_entropy(s, y, 0.1),
    "symmetric": lambda s, t, y: losses.symmetric(s, t, 2.0),
}
TO_TEACHER = ["symmetric"]


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("temperature", SOFT)
def test_soft_distillation_has_the_golden_values(temperature: int) -> None:
    assert losses.soft(S, T, temperature).item() == pytest.approx(SOFT[temperature], abs=1e-6)
    assert losses.soft(S, T, temperature, "mean").item() == pytest.approx(SOFT[temperature] / 4, abs=1e-6)


@given(st.integers(2, 9), st.floats(0.5, 20), st.integers(0, 99))
def test_soft_distillation_is_pytorchs_divergence(classes: int, temperature: float, seed: int) -> None:
    student, teacher = draw(6, classes, seed=seed), draw(6, classes, seed=seed + 100)
    log_q, p = F.log_softmax(student / temperature, 1), F.softmax(teacher / temperature, 1)
    reference = torch.nn.KLDivLoss(reduction="batchmean")(log_q, p) * temperature**2
    ours = losses.soft(student, teacher, temperature)
    assert ours.shape == (6,)
    assert ours.mean().item() == pytest.approx(reference.item(), rel=1e-10)
    default = torch.nn.functional.kl_div(log_q, p, reduction="none").mean() * temperature**2
    assert losses.soft(student, teacher, temperature, "mean").mean().item() == pytest.approx(default.item(), rel=1e-10)


def test_the_divergence_is_from_teacher_to_student() -> None:
    assert losses.soft(S, T, 1.0).item() != pytest.approx(losses.soft(T, S, 1.0).item(), abs=1e-3)
    assert losses.soft(S, S).item() == 0.0


@pytest.mark.parametrize("target", DECOUPLED)
def test_decoupled_distillation_has_the_golden_values(target: int) -> None:
    tckd, nckd, both = DECOUPLED[target]
    y = torch.tensor([target])
    assert losses.decoupled(S, T, y, 1, 0, 2.0).item() == pytest.approx(tckd, abs=1e-6)
    assert losses.decoupled(S, T, y, 0, 1, 2.0).item() == pytest.approx(nckd, abs=1e-6)
    assert losses.decoupled(S, T, y, 1, 8, 2.0).item() == pytest.approx(both, abs=1e-6)


@given(st.integers(2, 9), st.floats(0.5, 10), st.integers(0, 99))
def test_the_two_parts_make_up_the_whole(classes: int, temperature: float, seed: int) -> None:
    student, teacher = draw(5, classes, seed=seed), draw(5, classes, seed=seed + 100)
    target = torch.randint(classes, (5,), generator=torch.Generator().manual_seed(seed))
    p = F.softmax(teacher / temperature, 1).gather(1, target.unsqueeze(1)).squeeze(1)
    target_part = losses.decoupled(student, teacher, target, 1, 0, temperature)
    other_part = losses.decoupled(student, teacher, target, 0, 1, temperature)
    assert torch.allclose(target_part + (1 - p) * other_part, losses.soft(student, teacher, temperature), atol=1e-9)


def test_decoupled_is_the_definition_in_probabilities() -> None:
    student, teacher, target = draw(7, 5), draw(7, 5, seed=1), torch.tensor([0, 1, 2, 3, 4, 0, 2])
    q, p = F.softmax(student / 3, 1), F.softmax(teacher / 3, 1)
    for row in range(7):
        t = int(target[row])
        others = [c for c in range(5) if c != t]
        binary = sum(a * math.log(a / b) for a, b in ((p[row, t], q[row, t]), (1 - p[row, t], 1 - q[row, t])))
        p_hat, q_hat = p[row, others] / p[row, others].sum(), q[row, others] / q[row, others].sum()
        rest = (p_hat * (p_hat / q_hat).log()).sum()
        ours = losses.decoupled(student, teacher, target, 1.0, 8.0, 3.0)[row]
        assert ours.item() == pytest.approx(9 * float(binary + 8 * rest), rel=1e-9)


def test_hard_distillation_is_cross_entropy_with_the_teachers_choice() -> None:
    student, teacher = draw(6, 4), draw(6, 4, seed=1)
    reference = F.nll_loss(F.log_softmax(student, 1), teacher.argmax(1), reduction="none")
    assert torch.allclose(losses.hard(student, teacher), reference)


def test_smoothing_spreads_its_share_over_all_classes() -> None:
    logits, target = draw(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    soft_target = 0.9 * F.one_hot(target, 4).double() + 0.1 / 4
    reference = -(soft_target * F.log_softmax(logits, 1)).sum(1)
    assert torch.allclose(losses.cross_entropy(logits, target, 0.1), reference)


def test_squared_error_skips_missing_reals_and_their_gradient() -> None:
    answer = draw(4, 1).requires_grad_()
    values = losses.squared_error(answer, torch.tensor([1.0, float("nan"), 3.0, float("nan")]).double())
    values.sum().backward()
    assert values[[1, 3]].tolist() == [0, 0]
    assert values[0].item() == pytest.approx((answer[0, 0].item() - 1) ** 2)
    assert answer.grad is not None
    assert answer.grad[[1, 3]].tolist() == [[0], [0]]
    assert answer.grad[2, 0].item() == pytest.approx(2 * (answer[2, 0].item() - 3))
    assert losses.squared_error(draw(2, 1, 3, 4), draw(2, 3, 4)).shape == (2, 3, 4)


def test_a_hint_is_the_mean_squared_error_of_each_sample() -> None:
    one, two = draw(3, 4, 5), draw(3, 4, 5, seed=1)
    assert losses.hint(one, two).shape == (3,)
    assert losses.hint(one, two).mean().item() == pytest.approx(F.mse_loss(one, two).item())


def test_the_symmetric_divergence_is_the_mean_of_both_directions() -> None:
    assert torch.allclose(losses.symmetric(S, T, 2.0), 0.5 * (losses.soft(S, T, 2.0) + losses.soft(T, S, 2.0)))
    assert torch.equal(losses.symmetric(S, T, 2.0), losses.symmetric(T, S, 2.0))


def test_info_nce_is_the_definition_and_least_for_pairs() -> None:
    one, two = draw(5, 8), draw(5, 8, seed=1)
    for row in range(5):
        each = [math.exp(float(F.cosine_similarity(one[row], other, dim=0)) / 0.5) for other in two]
        assert losses.info_nce(one, two, 0.5)[row].item() == pytest.approx(-math.log(each[row] / sum(each)))
    assert losses.info_nce(one, one, 0.1).mean() < losses.info_nce(one, one.flip(0), 0.1).mean()


@pytest.mark.parametrize("name", PAIR)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    student, teacher, target = draw(3, 4).requires_grad_(), draw(3, 4, seed=1), torch.tensor([0, IGNORE, 3])
    assert torch.autograd.gradcheck(lambda s: PAIR[name](s, teacher, target), student)


@pytest.mark.parametrize("name", PAIR)
def test_loss_and_gradient_are_finite_at_extreme_logits(name: str) -> None:
    rows = [[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4], [0.0, 0.0, 0.0], [1e4, 1e4, 1e4], [-1e4, -1e4, -1e4]]
    for one in rows:
        for two in rows:
            for y in (0, 1, 2, IGNORE):
                student = torch.tensor([one], requires_grad=True)
                value = PAIR[name](student, torch.tensor([two]), torch.tensor([y]))
                value.sum().backward()
                assert value.isfinite().all()
                assert student.grad is not None
                assert student.grad.isfinite().all()
                assert value.item() >= -1e-3


@pytest.mark.parametrize("name", PAIR)
def test_dense_predictions_are_many_single_ones(name: str) -> None:
    student, teacher = draw(2, 4, 3, 5), draw(2, 4, 3, 5, seed=1)
    target = torch.randint(4, (2, 3, 5), generator=torch.Generator().manual_seed(0))
    target[0, 1] = IGNORE
    dense = PAIR[name](student, teacher, target)
    flat = [x.permute(0, 2, 3, 1).reshape(-1, 4) for x in (student, teacher)]
    assert dense.shape == (2, 3, 5)
    assert torch.allclose(dense.flatten(), PAIR[name](*flat, target.flatten()))


@pytest.mark.parametrize("name", PAIR)
def test_no_gradient_reaches_a_teacher(name: str) -> None:
    student, teacher = draw(3, 4).requires_grad_(), draw(3, 4, seed=1).requires_grad_()
    PAIR[name](student, teacher, torch.tensor([0, 1, IGNORE])).sum().backward()
    assert student.grad is not None
    assert (teacher.grad is not None) == (name in TO_TEACHER)


def test_hints_give_the_teacher_no_gradient() -> None:
    student, teacher = draw(3, 4).requires_grad_(), draw(3, 4, seed=1).requires_grad_()
    losses.hint(student, teacher).sum().backward()
    assert teacher.grad is None


@pytest.mark.parametrize("name", ["decoupled", "cross-entropy", "smoothed"])
def test_a_missing_label_gives_no_loss_and_no_gradient(name: str) -> None:
    student = draw(3, 4).requires_grad_()
    values = PAIR[name](student, draw(3, 4, seed=1), torch.tensor([1, IGNORE, 2]))
    values.sum().backward()
    assert values[1].item() == 0
    assert student.grad is not None
    assert student.grad[1].abs().sum() == 0
    assert (student.grad[[0, 2]].abs().sum(1) > 0).all()


def test_the_mean_is_over_what_is_there() -> None:
    values, mask = torch.tensor([1.0, 2, 4, 8]), torch.tensor([True, False, True, False])
    assert losses.masked_mean(values, mask).item() == 2.5
    assert losses.masked_mean(draw(2, 3, 4), torch.ones(2, 3, 4, dtype=torch.bool)).item() == pytest.approx(
        draw(2, 3, 4).mean().item()
    )


def test_without_a_mask_the_mean_is_over_all() -> None:
    values = torch.tensor([1.0, 2.0, 6.0], requires_grad=True)
    for mask in (None, torch.ones(3, dtype=torch.bool)):
        values.grad = None
        mean = losses.masked_mean(values, mask)
        mean.backward()
        assert mean.item() == 3.0
        assert values.grad is not None
        assert torch.allclose(values.grad, torch.full((3,), 1 / 3))
    assert losses.masked_mean(torch.zeros(0)).item() == 0.0
    assert losses.masked_mean(torch.tensor([1.0, float("nan")])).isnan(), "what is not masked is seen"


def test_where_all_is_missing_the_mean_is_exactly_0_with_a_gradient_of_0() -> None:
    values = torch.tensor([1.0, float("nan"), float("inf")], requires_grad=True)
    mean = losses.masked_mean(values, torch.zeros(3, dtype=torch.bool))
    mean.backward()
    assert mean.item() == 0.0
    assert values.grad is not None
    assert values.grad.tolist() == [0, 0, 0]
    assert losses.masked_mean(torch.zeros(0), torch.zeros(0, dtype=torch.bool)).item() == 0.0


@pytest.mark.parametrize("hole", [float("nan"), float("inf"), -float("inf")])
def test_what_is_masked_leaks_neither_into_the_value_nor_into_the_gradient(hole: float) -> None:
    values = torch.tensor([1.0, hole, 3.0], requires_grad=True)
    mean = losses.masked_mean(values, torch.tensor([True, False, True]))
    mean.backward()
    assert mean.item() == 2.0
    assert values.grad is not None
    assert values.grad.tolist() == [0.5, 0, 0.5]


def test_decoupled_with_a_weight_of_each_sample_is_soft() -> None:
    """S3-03, with 180 classes, single and dense."""
    for shape, places in (((16, 180), (16,)), ((2, 180, 3, 4), (2, 3, 4))):
        student, teacher = (4 * draw(*shape, seed=seed) for seed in (0, 1))
        target = torch.randint(180, places, generator=torch.Generator().manual_seed(2))
        rest = 1 - F.softmax(teacher / 2, 1).gather(1, target.unsqueeze(1)).squeeze(1)
        one, two = student.clone().requires_grad_(), student.clone().requires_grad_()
        freed, whole = losses.decoupled(one, teacher, target, 1.0, rest, 2.0), losses.soft(two, teacher, 2.0)
        assert torch.allclose(freed, whole, rtol=0, atol=1e-6)
        freed.sum().backward()
        whole.sum().backward()
        assert one.grad is not None
        assert two.grad is not None
        assert torch.allclose(one.grad, two.grad, rtol=0, atol=1e-6)


def test_the_weights_of_decoupled_distillation_can_be_learnt() -> None:
    student, teacher, target = draw(3, 4), draw(3, 4, seed=1), torch.tensor([0, IGNORE, 3])
    alpha, beta = torch.tensor(1.0).double().requires_grad_(), torch.full((3,), 8.0).double().requires_grad_()
    losses.decoupled(student, teacher, target, alpha, beta, 2.0).sum().backward()
    assert alpha.grad is not None
    assert beta.grad is not None
    assert torch.allclose(beta.grad, losses.decoupled(student, teacher, target, 0, 1, 2.0))
    assert torch.allclose(alpha.grad, losses.decoupled(student, teacher, target, 1, 0, 2.0).sum())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_decoupled_distillation_is_exact_for_180_classes_at_50(dtype: torch.dtype, temperature: float) -> None:
    """S3-04: logits of plus or minus 50, against the definition with 400 bits of probability."""
    mpmath = pytest.importorskip("mpmath")
    signs = torch.randint(2, (2, 6, 180), generator=torch.Generator().manual_seed(0)) * 2 - 1
    signs[0, 0], signs[1, 1, 7:] = -1, -1  # a student that knows nothing; a teacher sure of few
    signs[0, 2, 9], signs[1, 2] = 1, -1
    signs[1, 2, 9] = 1  # a teacher sure of the target
    logits = 50.0 * signs.to(dtype)
    target = torch.tensor([3, 100, 9, 0, 179, 50])
    student = logits[0].clone().requires_grad_()
    values = losses.decoupled(student, logits[1], target, 1.0, 8.0, temperature)
    values.sum().backward()
    assert student.grad is not None
    assert student.grad.isfinite().all()
    with mpmath.workprec(400):
        for row, t in enumerate(target.tolist()):
            q, p = ([mpmath.exp(v / temperature) for v in side[row].tolist()] for side in logits)
            others = [c for c in range(180) if c != t]
            q_rest, p_rest = (mpmath.fsum(side[c] for c in others) for side in (q, p))
            q_sum, p_sum = q_rest + q[t], p_rest + p[t]
            pairs = [(p[t] / p_sum, q[t] / q_sum), (p_rest / p_sum, q_rest / q_sum)]
            tckd = mpmath.fsum(a * mpmath.log(a / b) for a, b in pairs)
            nckd = mpmath.fsum(p[c] / p_rest * mpmath.log(p[c] / p_rest / (q[c] / q_rest)) for c in others)
            exact = float((tckd + 8 * nckd) * temperature**2)
            assert values[row].item() == pytest.approx(exact, rel=1e-5 if dtype == torch.float32 else 1e-12, abs=1e-4)


def test_decoupled_distillation_takes_logits_of_half_precision() -> None:
    student, teacher, target = draw(8, 20).bfloat16().requires_grad_(), draw(8, 20, seed=1), torch.arange(8)
    values = losses.decoupled(student, teacher.bfloat16(), target)
    values.float().sum().backward()
    assert student.grad is not None
    assert student.grad.dtype == torch.bfloat16
    exact = losses.decoupled(student.detach().double(), teacher.bfloat16().double(), target)
    assert torch.allclose(values.double(), exact, rtol=0.1, atol=0.5)


@given(st.integers(2, 40), st.floats(0.3, 20), st.integers(0, 99))
def test_ordinal_labels_are_scipys_normal_distribution_at_the_centres(bins: int, spread: float, seed: int) -> None:
    logits, centres = draw(6, bins, seed=seed), torch.arange(bins).double() + 30
    target = torch.from_numpy(np.random.default_rng(seed).uniform(30, 29 + bins, 6))
    log_density = norm.logpdf(centres.numpy(), target.numpy()[:, None], spread)
    wanted = np.exp(log_density - logsumexp(log_density, axis=1, keepdims=True))
    reference = -(wanted * log_softmax(logits.numpy(), axis=1)).sum(axis=1)
    assert losses.ordinal(logits, target, centres, spread).numpy() == pytest.approx(reference, rel=1e-9)


def test_a_narrow_ordinal_label_is_the_label_of_its_bin() -> None:
    logits, centres = draw(4, 5), torch.arange(5).double()
    ours = losses.ordinal(logits, torch.tensor([0.0, 1.2, 3.9, 4.4]).double(), centres, 0.01)
    assert torch.allclose(ours, F.cross_entropy(logits, torch.tensor([0, 1, 4, 4]), reduction="none"))


def test_ordinal_labels_are_dense_too_and_where_missing_give_no_loss_and_no_gradient() -> None:
    logits, centres = draw(2, 4, 3, 5).requires_grad_(), torch.arange(4).double()
    target = 3 * draw(2, 3, 5, seed=1).sigmoid()
    target[0, 1] = torch.nan
    dense = losses.ordinal(logits, target, centres, 0.8)
    flat = losses.ordinal(logits.permute(0, 2, 3, 1).reshape(-1, 4), target.flatten(), centres, 0.8)
    assert torch.allclose(dense.flatten(), flat)
    assert (dense[0, 1] == 0).all()
    dense.sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert ((logits.grad != 0).all(dim=1) == ~target.isnan()).all()
    assert torch.autograd.gradcheck(lambda x: losses.ordinal(x, target, centres, 0.8), logits)


@given(st.integers(2, 9), st.integers(0, 99))
def test_cross_entropy_with_shares_is_that_of_the_definition(classes: int, seed: int) -> None:
    logits, shares = draw(6, classes, seed=seed), draw(6, classes, seed=seed + 100).softmax(dim=1)
    wanted = -(shares.numpy() * log_softmax(logits.numpy(), axis=1)).sum(axis=1)
    assert losses.expected(logits, shares).numpy() == pytest.approx(wanted, rel=1e-9)
    label = torch.arange(6) % classes
    assert torch.allclose(losses.expected(logits, F.one_hot(label, classes).double()), F.cross_entropy(
        logits, label, reduction="none"))  # fmt: skip


def test_cross_entropy_with_no_shares_is_0_without_a_gradient_and_dense_ones_are_flat_ones() -> None:
    logits, shares = (50 * draw(2, 4, 3, 5)).requires_grad_(), draw(2, 4, 3, 5, seed=1).softmax(dim=1)
    shares[0, :, 1] = 0
    dense = losses.expected(logits, shares)
    flat = losses.expected(*(x.permute(0, 2, 3, 1).reshape(-1, 4) for x in (logits, shares)))
    assert torch.allclose(dense.flatten(), flat)
    assert (dense[0, 1] == 0).all()
    dense.sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert (logits.grad[0, :, 1] == 0).all()


@given(st.integers(2, 8), st.floats(0.5, 5), st.integers(0, 1000))
def test_the_reverse_divergence_is_the_plain_one_the_other_way_round(
    classes: int, temperature: float, seed: int
) -> None:
    one, two = torch.randn(2, 4, classes, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    assert torch.allclose(losses.reverse(one, two, temperature), losses.soft(two, one, temperature))
    assert torch.allclose(
        losses.reverse(one, two, temperature, "mean") * classes, losses.reverse(one, two, temperature)
    )
    p, q = ((x / temperature).softmax(dim=1) for x in (one, two))
    wanted = F.kl_div(q.log(), p, reduction="none").sum(dim=1) * temperature**2
    assert torch.allclose(losses.reverse(one, two, temperature), wanted)


def test_absolute_errors_skip_missing_depths_and_their_gradient() -> None:
    answer = torch.tensor([[[[1.0, 5.0], [2.0, 3.0]]]], requires_grad=True)
    target = torch.tensor([[[2.0, math.nan], [2.5, 1.0]]])
    found = losses.absolute_error(answer, target)
    assert found.tolist() == [[[1.0, 0.0], [0.5, 2.0]]]
    found.sum().backward()
    assert answer.grad is not None
    assert answer.grad.flatten().tolist() == [-1.0, 0.0, -1.0, 1.0]


def test_directions_are_apart_by_1_less_the_cosine_whatever_their_length() -> None:
    draw = torch.Generator().manual_seed(0)
    answer = torch.randn(2, 3, 4, 5, generator=draw, dtype=torch.float64).requires_grad_()
    target = F.normalize(torch.randn(2, 3, 4, 5, generator=draw, dtype=torch.float64), dim=1)
    found = losses.apart(answer, target)
    dots = (answer * target).sum(dim=1) / answer.norm(dim=1)
    assert torch.allclose(found, 1 - dots)
    assert torch.allclose(losses.apart(3 * answer, target), found)
    assert torch.allclose(losses.apart(target, target), torch.zeros(2, 4, 5, dtype=torch.float64), atol=1e-12)
    target[0, :, 1, 2] = math.nan
    found = losses.apart(answer, target)
    assert float(found[0, 1, 2].detach()) == 0
    found.sum().backward()
    assert answer.grad is not None
    assert answer.grad.isfinite().all()
    assert answer.grad[0, :, 1, 2].tolist() == [0, 0, 0]
