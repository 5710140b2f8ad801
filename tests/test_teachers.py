"""Teachers: what they answer, how they learn, and what they are fixed by."""

import copy

import pytest
import torch
from torch import nn

from limbeck.batch import Batch, Outputs
from limbeck.evaluate import remember
from limbeck.models import MultiTask
from limbeck.teachers import EMA, Cached, Ensemble, Frozen, Teacher, fingerprint
from tests.conftest import TASKS, table
from tests.toy_runs import SPEC, student

BATCH = table(20).rows(torch.arange(20))


def moved(model: nn.Module) -> nn.Module:
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p))
    return model


def trained(model: MultiTask, steps: int = 1) -> MultiTask:
    """In training mode, so that BatchNorm's statistics move too."""
    for _ in range(steps):
        model.train()(BATCH)
        moved(model)
    return model


@pytest.mark.parametrize(("beta", "steps"), [(0.9, 7), (0.999, 50), (0.0, 1), (1.0, 3)])
def test_with_the_student_held_the_mean_teacher_is_the_closed_form(beta: float, steps: int) -> None:
    """S1-04."""
    model = student().double()
    ema = EMA(model, beta)
    start = copy.deepcopy(ema.model.state_dict())
    trained(model)
    for step in range(steps):
        ema.update(model, step / steps)
    end = model.state_dict()
    for name, value in ema.model.state_dict().items():
        if value.is_floating_point():
            expected = beta**steps * start[name] + (1 - beta**steps) * end[name]
            assert torch.allclose(value, expected, atol=1e-12), name
        else:
            assert torch.equal(value, end[name]), name
    names = [n for n in start if "running_mean" in n]
    assert names
    assert all(not torch.equal(start[n], end[n]) for n in names)


def test_the_mean_teacher_starts_as_a_copy_that_shares_nothing() -> None:
    model = student()
    ema = EMA(model)
    assert fingerprint(ema.model) == fingerprint(model)
    storages = {p.data_ptr() for p in model.parameters()}
    assert not storages & {p.data_ptr() for p in ema.parameters()}


def test_no_gradient_reaches_a_mean_teacher_and_it_stays_in_evaluation_mode() -> None:
    """S1-05."""
    ema = EMA(student().train(), 0.9)
    ema.train()
    assert not any(m.training for m in ema.model.modules())
    assert not any(p.requires_grad for p in ema.parameters())
    assert not any(v.requires_grad for v in ema(BATCH).logits.values())
    before = fingerprint(ema.model)
    ema(BATCH)
    assert fingerprint(ema.model) == before


def test_the_decay_is_a_share() -> None:
    for beta in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="decay"):
            EMA(student(), beta)


def test_a_mean_teacher_follows_after_being_copied_moved_or_given_another_student() -> None:
    model = student()
    ema = EMA(model, 0.5)
    ema.update(model, 0.0)
    twin, twin_student = copy.deepcopy((ema, model))
    before = fingerprint(ema.model)
    twin.update(trained(twin_student), 0.0)
    assert fingerprint(twin.model) != before
    assert fingerprint(ema.model) == before
    ema.double().update(trained(model.double()), 0.0)
    assert fingerprint(ema.model) != before
    alone = EMA(model, 0.0)
    for other in (trained(student().double()), trained(student().double(), 2)):
        alone.update(other, 0.0)
        assert fingerprint(alone.model) == fingerprint(other)


def test_tied_weights_follow_once() -> None:
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    model[1].weight = model[0].weight
    ema = EMA(model, 0.5)
    nn.init.constant_(model[0].weight, 8.0)
    start = ema.model[0].weight.clone()  # type: ignore[index]
    ema.update(model, 0.0)
    assert torch.allclose(ema.model[1].weight, 0.5 * start + 4.0)  # type: ignore[index]


def test_a_frozen_teacher_is_in_no_checkpoint_and_in_no_optimiser() -> None:
    frozen = Frozen(student())
    outer = nn.ModuleDict({"teacher": frozen})
    assert not list(outer.parameters())
    assert not list(outer.buffers())
    assert not outer.state_dict()


def test_a_frozen_teacher_stays_as_it_is_whatever_is_done_to_what_holds_it() -> None:
    model = student()
    frozen = Frozen(model)
    first = frozen(BATCH).logits["activity"]
    outer = nn.ModuleDict({"teacher": frozen}).train()
    assert not any(m.training for m in model.modules())
    assert torch.equal(frozen(BATCH).logits["activity"], first)
    assert not first.requires_grad
    before = frozen.fingerprint()
    frozen.update(trained(student()), 0.5)
    assert frozen.fingerprint() == before == fingerprint(model)
    outer.double()
    assert {p.dtype for p in model.parameters()} == {torch.float64}
    outer.to("meta")
    assert {t.device.type for t in model.state_dict().values()} == {"meta"}


def test_a_fingerprint_names_weights_and_buffers() -> None:
    model = student()
    before = fingerprint(model)
    assert before == fingerprint(copy.deepcopy(model))
    model.train()(BATCH)
    assert fingerprint(model) != before  # BatchNorm's statistics alone
    assert fingerprint(student(1)) != before
    assert fingerprint(model.to(torch.bfloat16)) != fingerprint(model.float())


def test_an_ensemble_is_the_log_of_the_weighted_mean_probability() -> None:
    teachers = [Frozen(student(seed)) for seed in range(3)]
    weights = [0.5, 0.2, 0.3]
    answer = Ensemble(teachers, [5, 2, 3])(BATCH)
    for task in TASKS:
        each = [t(BATCH).logits[task.name].double().softmax(1) for t in teachers]
        mean = sum(w * p for w, p in zip(weights, each, strict=True))
        assert torch.allclose(answer.logits[task.name].double().exp(), mean, atol=1e-6)
    equal = Ensemble(teachers)(BATCH).logits["side"].exp()
    assert torch.allclose(equal, sum(t(BATCH).logits["side"].softmax(1) for t in teachers) / 3, atol=1e-6)
    assert answer.features.keys() == teachers[0](BATCH).features.keys()


def test_an_ensemble_is_finite_at_extreme_logits() -> None:
    def fixed(*row: float) -> Cached:
        return Cached({"a": torch.tensor([row])}, "k")

    batch = Batch({}, {}, torch.tensor([0]))
    answer = Ensemble([fixed(1e4, -1e4), fixed(-1e4, 1e4)])(batch).logits["a"]
    assert answer.softmax(1).tolist() == [[0.5, 0.5]]


def test_an_ensemble_needs_a_positive_weight_for_each_teacher() -> None:
    one = Frozen(student())
    for teachers, weights in (([], None), ([one], [1.0, 2.0]), ([one, one], [1.0, -1.0]), ([one, one], [0.0, 0.0])):
        with pytest.raises(ValueError, match="weights"):
            Ensemble(teachers, weights)


def test_an_ensemble_is_fixed_by_its_teachers_and_their_weights() -> None:
    one, two = Frozen(student(0)), Frozen(student(1))
    prints = [e.fingerprint() for e in (Ensemble([one, two]), Ensemble([two, one]), Ensemble([one, two], [9, 1]))]
    assert len(set(prints)) == 3
    assert Ensemble([one, two]).fingerprint() == prints[0]
    learning = Ensemble([one, EMA(student(), 0.5)])
    assert learning.fingerprint() is None
    before = learning(BATCH).logits["side"]
    learning.update(trained(student()), 0.0)
    assert not torch.equal(learning(BATCH).logits["side"], before)


def test_a_cached_teacher_answers_as_the_teacher_does() -> None:
    whole = table(60)
    part = whole.take(torch.arange(10, 40))
    frozen = Frozen(student())
    cached = remember(frozen, part)
    for at in (torch.tensor([3, 0, 29]), torch.arange(30)):
        batch = part.rows(at)
        for name, logits in frozen(batch).logits.items():
            assert torch.allclose(cached(batch).logits[name], logits, atol=1e-6)
    assert cached(part.rows(torch.arange(5))).logits["side"].isfinite().all()
    elsewhere = cached(whole.rows(torch.tensor([5]))).logits["side"]
    assert elsewhere.isnan().all(), "a row that was not asked for is never answered by another's"


def test_a_cached_teacher_refuses_inputs_that_were_changed() -> None:
    cached = remember(Frozen(student()), table(20))
    with pytest.raises(ValueError, match="augmented or mixed"):
        cached(BATCH.with_inputs(BATCH.inputs))


def test_a_cache_is_named_by_weights_data_and_rows() -> None:
    frozen = Frozen(student())
    keys = [
        remember(frozen, table(20)).fingerprint(),
        remember(Frozen(student(1)), table(20)).fingerprint(),
        remember(frozen, table(20, seed=5)).fingerprint(),
        remember(frozen, table(20).take(torch.arange(19))).fingerprint(),
    ]
    assert len(set(keys)) == 4
    assert remember(Frozen(student()), table(20)).fingerprint() == keys[0]


def test_a_cache_is_not_saved_but_moves() -> None:
    cached = Cached({"a": torch.zeros(3, 2)}, "key", {"shared": torch.ones(3, 4)})
    assert not cached.state_dict()
    assert cached(Batch({}, {}, torch.tensor([2]))).features["shared"].tolist() == [[1, 1, 1, 1]]
    nn.ModuleList([cached]).to("meta")
    assert {t.device.type for t in (*cached.logits.values(), *cached.features.values())} == {"meta"}


def test_a_teacher_that_only_answers_learns_nothing_and_is_fixed_by_nothing() -> None:
    class Plain(Teacher):
        def forward(self, batch: Batch) -> Outputs:
            return Outputs({})

    plain = Plain()
    plain.update(student(), 0.0)
    assert plain.fingerprint() is None
    with pytest.raises(TypeError, match="abstract"):
        Teacher()  # type: ignore[abstract]
    assert SPEC.kind == "resnet1d"


def test_a_frozen_teachers_answers_may_stand_in_a_loss() -> None:
    teacher = Frozen(student())
    seen: list[bool] = []
    teacher.model.register_forward_hook(lambda *_: seen.append(torch.is_inference_mode_enabled()))  # type: ignore[operator]
    answer = teacher(BATCH)
    assert seen == [True]
    weight = torch.ones(1, requires_grad=True)
    for value in (*answer.logits.values(), *answer.features.values()):
        (weight * value).square().sum().backward()
    assert weight.grad is not None
    assert torch.isfinite(weight.grad).all()
