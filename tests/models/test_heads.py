"""What is common to all models: normalisation, heads, and models side by side."""

import numpy as np
import pytest
import torch
from torch import nn

from limbeck.batch import Batch
from limbeck.data.source import Dense, Windows
from limbeck.models import KINDS, MTLNet, MultiTask, Normalise, ResNet1D, Several
from limbeck.tasks import Task
from tests.conftest import TASKS, table


def batch(x: torch.Tensor) -> Batch:
    return Batch({"sensor": x}, {}, torch.arange(len(x)))


def test_statistics_are_those_of_every_window_of_the_training_part() -> None:
    signal = torch.randn(500, 3) * torch.tensor([1.0, 5.0, 0.01]) + torch.tensor([0.0, 100.0, -9.81])
    windows = Windows(signal, torch.arange(0, 450, 7), 40)
    norm = Normalise(3)
    norm.fit(windows)
    whole = windows[torch.arange(len(windows))].numpy().astype(np.float64)
    assert np.allclose(norm.mean[:, 0], whole.mean((0, 2)), rtol=1e-6)
    assert np.allclose(norm.std[:, 0], whole.std((0, 2)), rtol=1e-4)
    out = norm(windows[torch.arange(len(windows))])
    assert np.allclose(out.mean((0, 2)), 0, atol=1e-3)
    assert np.allclose(out.std((0, 2)), 1, atol=1e-3)


@pytest.mark.parametrize("level", [9.81, -1e4, 0.0, 3.3e-3])
def test_a_channel_that_never_changes_stays_finite(level: float) -> None:
    norm = Normalise(1)
    norm.fit(Dense(torch.full((333, 1, 40), level)))
    assert norm.std.item() == 1.0
    assert norm(torch.full((1, 1, 40), level)).abs().max() < 1e-3


def test_one_scale_for_all_keeps_directions() -> None:
    windows = torch.randn(50, 3, 40) * torch.tensor([1.0, 5.0, 0.1]).view(3, 1) + 2
    norm = Normalise(3, "scale")
    norm.fit(Dense(windows))
    assert norm.mean.eq(0).all()
    assert torch.allclose(norm.std, windows.square().mean().sqrt().expand(3, 1))
    assert torch.allclose(norm(windows).square().mean(), torch.tensor(1.0), atol=1e-4)
    norm.fit(Dense(torch.zeros(3, 3, 4)))
    assert norm.std.eq(1).all()


def test_statistics_of_8_bit_pixels_are_exact_and_the_pixels_become_reals() -> None:
    """Against numpy's in float64; bright images would overflow 8, and their squares 32, bits."""
    draw = torch.Generator().manual_seed(0)
    x = torch.cat([torch.randint(200, 256, (900, 1, 70, 70), generator=draw),
                   torch.randint(0, 20, (900, 1, 70, 70), generator=draw)], dim=1).to(torch.uint8)  # fmt: skip
    norm = Normalise(2, dims=2)
    norm.fit(Dense(x))
    whole = x.numpy().astype(np.float64)
    assert norm.mean.flatten().tolist() == whole.mean((0, 2, 3)).astype(np.float32).tolist()
    assert np.allclose(norm.std.flatten(), whole.std((0, 2, 3)), rtol=1e-7)
    out = norm(x[:50])
    assert out.dtype == torch.float32
    assert torch.equal(out, norm(x[:50].float()))
    assert torch.equal(Normalise(2, dims=2)(x[:50]), x[:50].float()), "until it has seen images, their own values"
    assert x[0, 0].min() >= 200, "what is given stays as it is"


def test_until_it_has_seen_windows_it_is_the_identity_and_it_is_saved_with_the_model() -> None:
    x = torch.randn(4, 3, 40)
    assert torch.equal(Normalise(3)(x), x)
    assert set(Normalise(3).state_dict()) == {"mean", "std"}
    assert not list(Normalise(3).parameters())


def test_the_model_takes_raw_windows() -> None:
    model = ResNet1D(blocks=1, width=4).build(TASKS, (3, 40)).eval()
    raw = ResNet1D(blocks=1, width=4, normalise="none").build(TASKS, (3, 40)).eval()
    assert model.normalise is not None
    assert raw.normalise is None
    model.normalise.fit(table(20).inputs["sensor"])
    raw.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("normalise")})
    x = table(20).rows(torch.arange(20)).inputs["sensor"]
    one, two = model(batch(x)), raw(batch((x - model.normalise.mean) / model.normalise.std))
    for task in TASKS:
        assert torch.allclose(one.logits[task.name], two.logits[task.name], atol=1e-5)


@pytest.mark.parametrize("kind", [kind for kind, spec in KINDS.items() if spec.modality == "sensor"])
def test_each_head_is_a_linear_map_of_the_shared_feature(kind: str) -> None:
    model = KINDS[kind]().build((*TASKS, Task("speed")), (3, 40)).eval()
    out = model(batch(torch.randn(5, 3, 40)))
    assert [(n, tuple(v.shape)) for n, v in out.logits.items()] == [("activity", (5, 3)), ("side", (5, 2)),
                                                                    ("speed", (5, 1))]  # fmt: skip
    feature = out.features["shared"]
    assert feature.shape == (5, model.width)
    for name, logits in out.logits.items():
        assert torch.allclose(model.head(name)(feature), logits)


@pytest.mark.parametrize("kind", [kind for kind, spec in KINDS.items() if spec.modality == "sensor"])
def test_the_same_seed_builds_the_same_weights(kind: str) -> None:
    built = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        built.append(torch.cat([p.flatten() for p in KINDS[kind]().build(TASKS, (3, 40)).parameters()]))
    assert torch.equal(built[0], built[1])
    assert not torch.equal(built[0], built[2])


def test_a_stitched_head_reads_through_a_vector_of_its_own() -> None:
    model = MTLNet(stitch=True).build(TASKS, (3, 40))
    out = model(batch(torch.randn(5, 3, 40)))
    assert set(out.features) == {"shared", "shared:activity", "shared:side"}
    assert torch.allclose(out.features["shared:side"], 0.5 * out.features["shared"])
    assert torch.allclose(model.head("side")(out.features["shared:side"]), out.logits["side"])
    extra = sum(p.numel() for p in model.parameters()) - sum(
        p.numel() for p in MTLNet().build(TASKS, (3, 40)).parameters()
    )
    assert extra == 2 * 512
    out.logits["side"].sum().backward()
    gradients = [p.grad for p in model.stitches]
    assert gradients[0] is None or gradients[0].abs().sum() == 0
    assert gradients[1] is not None
    assert gradients[1].abs().sum() > 0


@pytest.mark.parametrize("name", ["type", "keys", "a.b", "train", "heart rate", "", "ü"])
def test_a_task_may_have_any_name(name: str) -> None:
    model = ResNet1D(blocks=1, width=4, stitch=True).build((Task.of(name, ("x", "y")),), (3, 40))
    assert model(batch(torch.randn(2, 3, 40))).logits[name].shape == (2, 2)
    assert Several([model])(batch(torch.randn(2, 3, 40))).logits[name].shape == (2, 2)


def test_models_side_by_side_answer_as_each_alone() -> None:
    models = [ResNet1D(blocks=1, width=4).build((task,), (3, 40)).eval() for task in TASKS]
    both, x = Several(models).eval(), batch(torch.randn(4, 3, 40))
    assert both.tasks == TASKS
    for model, task in zip(models, TASKS, strict=True):
        assert torch.equal(both(x).logits[task.name], model(x).logits[task.name])
    assert sum(p.numel() for p in both.parameters()) == sum(p.numel() for m in models for p in m.parameters())


def test_any_trunk_will_do() -> None:
    model = MultiTask(nn.Sequential(nn.Flatten(), nn.Linear(12, 5)), 5, TASKS, None)
    assert model(batch(torch.randn(2, 3, 4))).logits["activity"].shape == (2, 3)


def test_each_triple_of_channels_has_a_scale_of_its_own() -> None:
    column = Dense(
        torch.randn(20, 6, 30, generator=torch.Generator().manual_seed(0))
        * torch.tensor([1.0] * 3 + [100.0] * 3).view(6, 1)
    )
    norm = Normalise(6, "scale")
    norm.fit(column)
    seen = norm(column.values)
    assert seen[:, :3].square().mean().item() == pytest.approx(1, abs=1e-4)
    assert seen[:, 3:].square().mean().item() == pytest.approx(1, abs=1e-4)
    assert norm.mean.abs().sum() == 0


def test_a_window_is_standardised_by_itself() -> None:
    norm, x = Normalise(2, "window"), 1e4 + 30 * torch.randn(6, 2, 200, dtype=torch.float64).float()
    reference = x.double().numpy()
    reference = (reference - reference.mean(axis=2, keepdims=True)) / reference.std(axis=2, keepdims=True)
    assert np.allclose(norm(x).numpy(), reference, atol=1e-3)
    assert torch.equal(norm(x[2:3]), norm(x)[2:3])
    assert torch.allclose(norm(5 * x - 7e3), norm(x), atol=1e-2)
    assert not norm.state_dict()
    norm.fit(Dense(x))
    assert torch.allclose(norm(x).square().mean(dim=2), torch.ones(6, 2), atol=1e-4)


@pytest.mark.parametrize("level", [0.0, 0.1, -9.81, 3.3e-7, 123456.7])
def test_a_flat_window_becomes_0_and_its_neighbours_stay(level: float) -> None:
    x = torch.randn(3, 2, 200)
    x[1, 0] = level
    out = Normalise(2, "window")(x)
    assert out[1, 0].eq(0).all()
    assert torch.allclose(out[1, 1].std(correction=0), torch.tensor(1.0))
    assert Normalise(1, "window")(torch.full((2, 1, 7), level)).eq(0).all()
