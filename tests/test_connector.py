"""The connector: what it fuses, who learns from whom, and what is kept of it."""

from typing import Any

import pytest
import torch
from torch import Tensor

from limbeck.batch import IMAGE, Batch
from limbeck.connector import Connector
from limbeck.distiller import Distiller
from limbeck.errors import UserError
from limbeck.feedback import Feedback
from limbeck.likeness import Absolute, valued
from limbeck.models import BiLSTM, MultiTask, ResNet1D, SegNet
from limbeck.models.heads import MAP
from limbeck.objective import STUDENT, Objective, Scene
from limbeck.tasks import IGNORE, Task
from limbeck.teachers import fingerprint
from limbeck.terms import Soft, kd, supervised
from limbeck.trajectory import Follow, Trajectory
from tests.conftest import TASKS, table

SEGMENTATION, DEPTH = Task.of("segmentation", ("ground", "sky", "thing")), Task("depth", unit="m", quantity="depth")
DENSE = (SEGMENTATION, DEPTH)
SIZE = (16, 24)
NET = SegNet(width=4, blocks=(1, 1))


def images(count: int = 6, seed: int = 0) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    classes = torch.randint(0, 3, (count, *SIZE), generator=draw)
    classes[:, :2] = IGNORE
    depth = 1 + 3 * torch.rand(count, *SIZE, generator=draw)
    depth[:, :, :3] = float("nan")
    pixels = torch.randint(0, 256, (count, 3, *SIZE), generator=draw, dtype=torch.uint8)
    return Batch({IMAGE: pixels}, {"segmentation": classes, "depth": depth}, torch.arange(count))


def network(tasks: Any, seed: int, spec: Any = NET, shape: tuple[int, ...] = (3, *SIZE)) -> MultiTask:
    torch.manual_seed(seed)
    made: MultiTask = spec.build(tasks, shape)
    return made


def connector(batch: Batch, kernel: int = 1, **values: Any) -> Connector:
    teachers = {task.name: network((task,), n) for n, task in enumerate(DENSE, 1)}
    torch.manual_seed(9)
    return Connector(teachers, DENSE, 5, kernel, dict.fromkeys(("segmentation", "depth"), SIZE), batch, **values)


def joint(batch: Batch) -> Distiller:
    """All of JointDistill's losses."""
    objective: Objective = supervised(SEGMENTATION) + supervised(DEPTH)
    objective = objective + supervised(SEGMENTATION, "connector") + supervised(DEPTH, "connector")
    objective = objective + kd(SEGMENTATION, "connector", Soft(T=1.0, reverse=True))
    objective = objective + valued(DEPTH, "connector", Absolute())
    objective = objective + 0.1 * Follow(Trajectory(k=3), batch.ids, "connector")
    return Distiller(network(DENSE, 0), {"connector": connector(batch)}, objective)


def test_it_answers_for_all_tasks_at_the_size_of_their_targets() -> None:
    batch = images()
    outputs = connector(batch)(batch)
    assert outputs.logits["segmentation"].shape == (6, 3, *SIZE)
    assert outputs.logits["depth"].shape == (6, 1, *SIZE)
    assert outputs.features[MAP].shape[:2] == (6, 5)


@pytest.mark.parametrize("kernel", [1, 3])
def test_it_is_its_equation(kernel: int) -> None:
    """The maps side by side, twice convolution, BatchNorm and ReLU, and a convolution of one cell for each task."""
    batch = images()
    made = connector(batch, kernel).eval()
    maps = [made.fixed[t.name].features(batch)[MAP] for t in DENSE]
    x = torch.cat(maps, dim=1)
    for at in (0, 3):
        convolution, norm = made.body[at], made.body[at + 1]
        x = torch.nn.functional.conv2d(x, convolution.weight, padding=kernel // 2)  # type: ignore[arg-type]
        x = (norm.weight / (1 + norm.eps) ** 0.5)[:, None, None] * x + norm.bias[:, None, None]  # type: ignore[operator,index]
        x = x.clamp(min=0)
    head = made.heads[0]
    wanted = torch.einsum("bfhw,cf->bchw", x, head.weight[:, :, 0, 0]) + head.bias[:, None, None]  # type: ignore[index]
    assert torch.allclose(made(batch).logits["segmentation"], wanted, atol=1e-5)


def test_maps_of_other_sizes_are_brought_to_that_of_the_first() -> None:
    batch = images()
    one, two = network((SEGMENTATION,), 1), network((DEPTH,), 2)
    two.trunk.register_forward_hook(lambda *args: torch.nn.functional.avg_pool2d(args[2], 2))
    teachers = {"segmentation": one, "depth": two}
    made = Connector(teachers, DENSE, 5, 1, {"segmentation": SIZE, "depth": SIZE}, batch)
    assert [tuple(m.shape[2:]) for m in made.maps(batch)] == [SIZE, SIZE]


def gradients(distiller: Distiller, name: str) -> dict[str, float]:
    """The largest gradient in student, connector and teachers, of the loss of one term."""
    for p in distiller.parameters():
        p.grad = None
    term = next(t for _, t in distiller.objectives[0].parts if t.name == name)  # type: ignore[union-attr]
    batch = images()
    models = {STUDENT: distiller.student, **distiller.teachers}
    term(Scene(batch, {n: m(batch) for n, m in models.items()}, models, 0.0)).backward()

    def largest(module: torch.nn.Module) -> float:
        return max((float(p.grad.abs().max()) for p in module.parameters() if p.grad is not None), default=0.0)

    made: Connector = distiller.teachers["connector"]  # type: ignore[assignment]
    return {
        "student": largest(distiller.student),
        "connector": largest(made),
        "teachers": max(map(largest, made.fixed.values())),
    }


@pytest.mark.parametrize(
    ("term", "learns"),
    [
        ("segmentation", "student"), ("depth", "student"),
        ("segmentation(connector)", "connector"), ("depth(connector)", "connector"),
        ("soft(segmentation, connector)", "student"), ("absolute(depth, connector)", "student"),
        ("trajectory(connector)", "student"),
    ],
)  # fmt: skip
def test_every_loss_teaches_whom_it_is_for_and_nobody_else(term: str, learns: str) -> None:
    """S4-07."""
    found = gradients(joint(images()), term)
    assert {who for who, size in found.items() if size > 0} == {learns}


def test_one_optimiser_of_both_makes_the_steps_of_one_each() -> None:
    """S4-07: the student and the connector learn as they would apart, for no loss has a gradient in both."""
    batches = [images(seed=n) for n in range(4)]
    together, apart = joint(batches[0]), joint(batches[0])
    one = torch.optim.Adam(together.parameters(), 1e-2)
    two = [torch.optim.Adam(m.parameters(), 1e-2) for m in (apart.student, apart.teachers["connector"])]
    for batch in batches:
        for distiller, optimisers in ((together, [one]), (apart, two)):
            for p in distiller.parameters():
                p.grad = None
            distiller(batch, 0.0).total.backward()
            for optimiser in optimisers:
                optimiser.step()
    for name, value in together.student.named_parameters():
        assert torch.allclose(value, dict(apart.student.named_parameters())[name], atol=1e-6), name
    for name, value in together.teachers["connector"].named_parameters():
        assert torch.allclose(value, dict(apart.teachers["connector"].named_parameters())[name], atol=1e-6), name


def test_a_limit_on_the_gradient_is_of_student_and_connector_each() -> None:
    """Or the connector's would slow the student down."""
    distiller = joint(images())
    parts = distiller.parts()
    assert [len(part) for part in parts] == [
        len(list(distiller.student.parameters())), len(list(distiller.teachers["connector"].parameters()))
    ]  # fmt: skip
    assert {p for part in parts for p in part} == {p for p in distiller.parameters() if p.requires_grad}


def test_its_teachers_never_change_and_are_in_no_checkpoint_but_in_its_name() -> None:
    batch = images()
    distiller = joint(batch)
    made: Connector = distiller.teachers["connector"]  # type: ignore[assignment]
    before = {name: fingerprint(teacher) for name, teacher in made.fixed.items()}
    distiller.train()
    assert not any(teacher.training for teacher in made.fixed.values())
    optimiser = torch.optim.SGD([p for p in distiller.parameters() if p.requires_grad], 0.1)
    distiller(batch, 0.0).total.backward()
    optimiser.step()
    assert {name: fingerprint(teacher) for name, teacher in made.fixed.items()} == before
    assert not any("fixed" in name or "trunk" in name for name in made.state_dict())
    described = distiller.described()["connector"]
    assert all(digits in described for digits in before.values())


def test_a_batch_with_nothing_valid_contributes_exactly_nothing() -> None:
    batch = images()
    empty = {"segmentation": torch.full((6, *SIZE), IGNORE), "depth": torch.full((6, *SIZE), float("nan"))}
    distiller = joint(batch)
    values = distiller(Batch(batch.inputs, empty, batch.ids), 0.0).values
    for name in ("segmentation", "depth", "segmentation(connector)", "depth(connector)", "absolute(depth, connector)"):
        assert float(values[name]) == 0, name
    for name in ("segmentation", "depth"):
        term = next(t for _, t in distiller.objectives[0].parts if t.name == name)  # type: ignore[union-attr]
        assert term.reads == (STUDENT,)


def test_weights_on_logits_multiply_those_of_classes_alone() -> None:
    batch = images()
    follower = Feedback().over(("segmentation", "depth"), {"segmentation": 0.5, "depth": -0.5}, ["depth"])
    plain, weighted = connector(batch).eval(), connector(batch, weighted=follower).eval()
    follower.now.copy_(torch.tensor([1.6, 0.4]))
    one, two = plain(batch).logits, weighted(batch).logits
    assert torch.allclose(two["segmentation"], 1.6 * one["segmentation"])
    assert torch.equal(two["depth"], one["depth"])
    assert set(plain.state_dict()) == set(weighted.state_dict())


def test_it_fuses_signals_as_it_does_images() -> None:
    rows = table(8)
    batch = rows.rows(torch.arange(8))
    teachers = {t.name: network((t,), n, ResNet1D(blocks=1, width=4), (3, 40)) for n, t in enumerate(TASKS)}
    made = Connector(teachers, TASKS, 6, 3, {}, batch)
    outputs = made(batch)
    assert {name: tuple(logits.shape) for name, logits in outputs.logits.items()} == {
        "activity": (8, 3),
        "side": (8, 2),
    }
    assert outputs.features[MAP].shape == (8, 6, 40)


def test_a_teacher_without_a_map_is_refused() -> None:
    batch = table(8).rows(torch.arange(8))
    teachers = {t.name: network((t,), n, BiLSTM(hidden=4), (3, 40)) for n, t in enumerate(TASKS)}
    with pytest.raises(UserError, match="the teacher activity has none"):
        Connector(teachers, TASKS, 6, 3, {}, batch)


def test_devices_and_types_reach_its_teachers() -> None:
    batch = images()
    made = connector(batch).double()
    assert all(p.dtype == torch.float64 for teacher in made.fixed.values() for p in teacher.parameters())
    parts: list[Tensor] = made.maps(batch)
    assert all(part.dtype == torch.float64 for part in parts)
