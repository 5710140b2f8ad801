"""Terms: each is its loss on the right logits and rows, and its name tells all that changes its value."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck import losses
from limbeck.batch import Batch, Mixed, Outputs
from limbeck.config import dump
from limbeck.data.source import Dense, Table
from limbeck.distiller import Distiller
from limbeck.errors import UserError
from limbeck.models import BiLSTM, MultiTask
from limbeck.objective import Objective, Scene
from limbeck.tasks import IGNORE, Task
from limbeck.terms import Decoupled, Feature, Hard, Soft, generated, kd, supervised
from tests.conftest import TASKS, table

TASK, REAL = Task("a", 4), Task("speed")
TARGET = torch.tensor([0, IGNORE, 3, 1, IGNORE])
SPEED = torch.tensor([1.0, float("nan"), 2.0, 0.0, 5.0]).double()


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def scene(target: Tensor = TARGET, width: int = 6) -> Scene:
    def answer(seed: int, width: int) -> Outputs:
        logits = {"a": draw(5, 4, seed=seed).requires_grad_(), "speed": draw(5, 1, seed=seed).requires_grad_()}
        return Outputs(logits, {"shared": draw(5, width, seed=seed).requires_grad_()})

    outputs = {"student": answer(0, width), "ema": answer(1, 6)}
    return Scene(Batch({}, {"a": target, "speed": SPEED}, torch.arange(5)), outputs, {}, 0.0)


def value(objective: Objective, at: Scene) -> float:
    return objective.double()(at)[0].item()


def test_supervised_is_the_mean_cross_entropy_over_the_labels_there_are() -> None:
    at = scene()
    logits = at.outputs["student"].logits["a"]
    assert value(supervised(TASK), at) == pytest.approx(F.cross_entropy(logits, TARGET, ignore_index=IGNORE).item())
    smoothed = F.cross_entropy(logits, TARGET, ignore_index=IGNORE, label_smoothing=0.1).item()
    assert value(supervised(TASK, smoothing=0.1), at) == pytest.approx(smoothed)
    teacher = F.cross_entropy(at.outputs["ema"].logits["a"], TARGET, ignore_index=IGNORE).item()
    assert value(supervised(TASK, "ema"), at) == pytest.approx(teacher)


def test_a_regression_is_supervised_by_squared_error() -> None:
    at = scene()
    known = ~SPEED.isnan()
    answer = at.outputs["student"].logits["speed"].squeeze(1)
    assert value(supervised(REAL), at) == pytest.approx(F.mse_loss(answer[known], SPEED[known]).item())


def test_soft_and_hard_kinds_see_every_row_labelled_or_not() -> None:
    at = scene()
    one, two = (at.outputs[n].logits["a"] for n in ("student", "ema"))
    assert value(kd(TASK, "ema", Soft(T=2)), at) == pytest.approx(losses.soft(one, two, 2.0).mean().item())
    assert value(kd(TASK, "ema", Soft(T=2, reduction="mean")), at) == pytest.approx(
        losses.soft(one, two, 2.0).mean().item() / 4
    )
    assert value(kd(TASK, "ema", Hard()), at) == pytest.approx(F.cross_entropy(one, two.argmax(1)).item())
    unlabelled = scene(torch.full((5,), IGNORE))
    assert value(kd(TASK, "ema", Soft(T=2)), unlabelled) == value(kd(TASK, "ema", Soft(T=2)), at)


def test_the_decoupled_kind_sees_the_labelled_rows_only() -> None:
    at = scene()
    known = TARGET != IGNORE
    one, two = (at.outputs[n].logits["a"][known] for n in ("student", "ema"))
    reference = losses.decoupled(one, two, TARGET[known], 1.0, 8.0, 3.0).mean().item()
    assert value(kd(TASK, "ema", Decoupled()), at) == pytest.approx(reference)


@pytest.mark.parametrize("objective", [supervised(TASK), kd(TASK, "ema", Decoupled())])
def test_a_batch_without_labels_is_worth_exactly_0_with_a_gradient_of_0(objective: Objective) -> None:
    at = scene(torch.full((5,), IGNORE))
    total, _ = objective(at)
    total.backward()
    assert total.item() == 0.0
    gradient = at.outputs["student"].logits["a"].grad
    assert gradient is not None
    assert gradient.abs().sum() == 0


def test_features_are_compared_through_a_map_where_widths_differ() -> None:
    same, other = scene(), scene(width=3)
    one, two = (same.outputs[n].features["shared"] for n in ("student", "ema"))
    plain = kd(TASK, "ema", Feature(), (6, 6))
    assert value(plain, same) == pytest.approx(F.mse_loss(one, two).item())
    assert not list(plain.parameters())
    mapped = kd(TASK, "ema", Feature(), (3, 6)).double()
    mapped(other)[0].backward()
    assert [tuple(p.shape) for p in mapped.parameters()] == [(6, 3), (6,)]
    assert all(p.grad is not None for p in mapped.parameters())
    assert other.outputs["ema"].features["shared"].grad is None


def test_widths_are_needed_for_features_and_classes_for_logits() -> None:
    with pytest.raises(ValueError, match="widths"):
        kd(TASK, "ema", Feature())
    for how in (Soft(), Hard(), Decoupled()):
        with pytest.raises(ValueError, match="'speed' has no classes"):
            kd(REAL, "ema", how)


def test_no_gradient_reaches_the_teacher_that_is_distilled() -> None:
    for how in (Soft(), Hard(), Decoupled()):
        at = scene()
        kd(TASK, "ema", how)(at)[0].backward()
        assert at.outputs["ema"].logits["a"].grad is None
        assert at.outputs["student"].logits["a"].grad is not None


def test_every_value_that_changes_a_term_is_printed() -> None:
    objectives = [
        supervised(TASK), supervised(TASK, smoothing=0.1), supervised(TASK, "ema"), kd(TASK, "ema", Soft()),
        kd(TASK, "ema", Soft(T=4)), kd(TASK, "ema", Soft(reduction="mean")), kd(TASK, "other", Soft()),
        kd(TASK, "ema", Hard()), kd(TASK, "ema", Decoupled()), kd(TASK, "ema", Decoupled(beta=2)),
        kd(TASK, "ema", Feature(), (6, 6)), kd(TASK, "ema", Feature(name="map"), (6, 6)),
        kd(TASK, "ema", Feature(), (3, 6)),
    ]  # fmt: skip
    assert len({str(o) for o in objectives}) == len(objectives)
    assert str(0.5 * supervised(TASK) + 0.25 * kd(TASK, "ema", Soft(T=2))) == (
        "0.5 a + 0.25 soft(a, ema) [T 2.0, reduction sum]"
    )
    assert dump(Soft())["kind"] == "soft"


@pytest.mark.parametrize("missing", [0.0, 0.4])
@pytest.mark.parametrize("which", range(4))
def test_a_term_has_the_same_value_and_gradient_whether_or_not_its_batch_says_that_it_is_whole(
    which: int, missing: float
) -> None:
    """Where nothing is missing the batch says so and spares the look; where something is, it does not."""
    binned = Task("rate", 4, span=(0.0, 4.0))
    objective = [supervised(TASK), kd(TASK, "ema", Decoupled()), supervised(REAL), supervised(binned, spread=0.7)][
        which
    ]
    lost, results = torch.rand(5, generator=torch.Generator().manual_seed(3)) < missing, []
    targets = {"a": torch.tensor([0, 2, 3, 1, 1]).where(~lost, torch.tensor(IGNORE))}
    targets |= {n: torch.tensor([1.0, 3.5, 2.0, 0.0, 3.0]).double().where(~lost, torch.nan) for n in ("speed", "rate")}
    tasks, targets["b"] = (TASK, REAL, binned, Task("b", 2)), torch.ones(5, dtype=torch.long)
    rows = Table(tasks, {"x": Dense(torch.zeros(5, 1))}, targets).rows(torch.arange(5))
    assert rows.whole == ({"b"} if missing else {"a", "b", "speed", "rate"})
    for whole in (rows.whole, frozenset[str]()):
        at = scene()
        logits = {n: dict(out.logits) | {"rate": out.logits["a"]} for n, out in at.outputs.items()}
        outputs = {n: Outputs(logits[n]) for n in logits}
        total, _ = objective(Scene(replace(rows, whole=whole), outputs, {}, 0.0))
        total.backward()
        results.append([total, *(v.grad for v in at.outputs["student"].logits.values() if v.grad is not None)])
    assert len(results[0]) == len(results[1]) == 2
    for one, two in zip(*results, strict=True):
        assert torch.equal(one, two)
        assert one.any()


SURE = torch.tensor([[0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0.1, 0.2, 0.3, 0.4]]).double()
BOTH = sum((supervised(t) + generated(t) for t in TASKS[1:]), start=supervised(TASKS[0]) + generated(TASKS[0]))


def test_generated_labels_are_learnt_over_the_cells_that_have_one() -> None:
    at = scene()
    seen = Scene(replace(at.batch, generated={"a": SURE}), at.outputs, {}, 0.0)
    logits = at.outputs["student"].logits["a"]
    soft = -(SURE[4] * F.log_softmax(logits[4], dim=0)).sum()
    wanted = (F.cross_entropy(logits[1:2], torch.tensor([2])) + soft) / 2
    assert value(generated(TASK), seen) == pytest.approx(wanted.item())
    total, values = (supervised(TASK) + 0.5 * generated(TASK))(seen)
    assert list(values) == ["a", "generated(a)"]
    assert total.item() == pytest.approx(value(supervised(TASK), at) + 0.5 * wanted.item())


def test_without_a_generated_label_in_the_batch_the_term_is_0_with_a_gradient_of_0() -> None:
    at = scene()
    total, _ = generated(TASK)(Scene(replace(at.batch, generated={"a": 0 * SURE}), at.outputs, {}, 0.0))
    total.backward()
    assert total.item() == 0.0
    gradient = at.outputs["student"].logits["a"].grad
    assert gradient is not None
    assert not gradient.any()


def test_samples_that_were_mixed_have_no_generated_label() -> None:
    at = scene()
    mixed = replace(at.batch, generated={"a": SURE}, mixed=Mixed(torch.full((5,), 0.5), at.batch.targets))
    with pytest.raises(UserError, match="samples that were mixed are of two"):
        generated(TASK)(Scene(mixed, at.outputs, {}, 0.0))


def half_labelled(seed: int = 0) -> Batch:
    """Twelve windows, each with a person's label, a model's, or none; two have nothing at all."""
    batch = table(12, seed=seed).rows(torch.arange(12))
    given = torch.eye(3)[torch.arange(12) % 3].double(), torch.eye(2)[torch.arange(12) % 2].double()
    lost = torch.arange(12) % 3 == 0, torch.arange(12) % 2 == 0
    for name, missing, shares in zip(("activity", "side"), lost, given, strict=True):
        batch.targets[name][missing] = IGNORE
        shares[~missing] = 0
        shares[:7:6] = 0
    inputs = {"sensor": batch.inputs["sensor"].double()}
    return replace(batch, inputs=inputs, whole=frozenset(), generated=dict(zip(batch.targets, given, strict=True)))


def network() -> MultiTask:
    torch.manual_seed(0)
    return BiLSTM(hidden=4).build(TASKS, (3, 40)).double()


def learnt(batch: Batch, objective: Objective = BOTH, model: MultiTask | None = None) -> dict[str, Tensor]:
    """The losses of a batch by name, and the gradients they leave."""
    model = model or network()
    total, values = Distiller(model, {}, objective)(batch, 0.0)
    total.backward()
    return dict(values) | {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def assert_same(one: Mapping[str, Tensor], two: Mapping[str, Tensor]) -> None:
    for name in one:
        assert torch.allclose(one[name], two[name], rtol=1e-12, atol=1e-15), name


def some(batch: Batch, index: Tensor) -> Batch:
    """Some samples of a batch."""
    return replace(
        batch,
        inputs={name: x[index] for name, x in batch.inputs.items()},
        targets={name: target[index] for name, target in batch.targets.items()},
        ids=batch.ids[index],
        generated={name: shares[index] for name, shares in batch.generated.items()},
    )


def test_a_task_without_a_label_in_the_batch_leaves_its_head_as_it_is() -> None:
    """S5-01: the gradient is exactly zero, the loss finite, and the other task learns as ever."""
    batch = half_labelled()
    batch.targets["side"].fill_(IGNORE)
    batch.generated["side"].fill_(0)
    found = learnt(batch)
    assert all(value.isfinite().all() for value in found.values())
    assert found["side"] == found["generated(side)"] == 0
    heads = {name: grad for name, grad in found.items() if name.startswith("heads.1.")}
    assert len(heads) == 2
    assert not any(grad.any() for grad in heads.values())
    alone = learnt(batch, supervised(TASKS[0]) + generated(TASKS[0]))
    assert alone["heads.0.weight"].any()
    assert_same(alone, found)


def test_the_loss_of_a_task_is_that_of_a_network_for_it_alone_on_its_labelled_samples() -> None:
    """S5-02: and so is the gradient of its head; that of the trunk is the sum over the tasks."""
    batch = half_labelled()
    trunk: dict[str, Tensor] = {}
    found = learnt(batch, supervised(TASKS[0]) + supervised(TASKS[1]))
    for number, task in enumerate(TASKS):
        alone = BiLSTM(hidden=4).build((task,), (3, 40)).double()
        state = {n.replace(f"heads.{number}.", "heads.0."): v for n, v in network().state_dict().items()}
        alone.load_state_dict({n: state[n] for n in alone.state_dict()})
        labelled = some(batch, task.present(batch.targets[task.name]).nonzero().squeeze(1))
        assert 0 < len(labelled) < 12
        answer = alone(labelled).logits[task.name]
        F.cross_entropy(answer, labelled.targets[task.name]).backward()
        assert found[task.name].item() == pytest.approx(
            F.cross_entropy(answer, labelled.targets[task.name]).item(), rel=1e-12
        )
        grads = {n: p.grad for n, p in alone.named_parameters() if p.grad is not None}
        assert_same({"weight": grads["heads.0.weight"]}, {"weight": found[f"heads.{number}.weight"]})
        trunk = {n: g + trunk.get(n, 0) for n, g in grads.items() if n.startswith("trunk.")}
    assert_same(trunk, found)


def test_more_samples_without_a_label_change_nothing_of_what_the_labelled_ones_teach() -> None:
    """S5-03: neither losses nor gradients, of people's labels as of generated ones."""
    batch = half_labelled()
    nothing = torch.ones(12, dtype=torch.bool)
    for task in TASKS:
        nothing &= ~task.present(batch.targets[task.name]) & (batch.generated[task.name].sum(dim=1) == 0)
    bare = nothing.nonzero().squeeze(1)
    assert len(bare) == 2
    more = some(batch, torch.cat([bare, torch.arange(12), bare, bare]))
    assert_same(learnt(batch), learnt(more))
    # A cell may lack a label where another of its sample has one.
    half = replace(some(batch, torch.arange(12)), targets={**batch.targets, "side": torch.full((12,), IGNORE)})
    rows = torch.arange(12)
    doubled = some(batch, torch.cat([rows, rows]))
    doubled.targets["activity"][12:] = IGNORE
    doubled.generated["activity"][12:] = 0
    assert_same({"activity": learnt(half)["activity"]}, learnt(doubled))
