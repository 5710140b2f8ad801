"""Networks for windows: the published shapes and counts, and what each depends on."""

from typing import Literal

import pytest
import torch
from torch import nn

from limbeck.batch import Batch
from limbeck.errors import UserError
from limbeck.models import BiLSTM, MTLNet, MultiTask, ResNet1D
from limbeck.tasks import Task


def tasks(*classes: int) -> tuple[Task, ...]:
    return tuple(Task(f"task {i}", c) for i, c in enumerate(classes))


def count(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def answer(model: MultiTask, x: torch.Tensor) -> list[torch.Tensor]:
    with torch.no_grad():
        return list(model.eval()(Batch({"sensor": x}, {}, torch.arange(len(x)))).logits.values())


@pytest.mark.parametrize(("classes", "parameters"), [((12, 3), 1_797_519), ((13, 3), 1_798_032), ((18, 2), 1_800_084)])
def test_as_released_has_the_published_shapes_and_counts(classes: tuple[int, int], parameters: int) -> None:
    """S1-01."""
    model = MTLNet(variant="as_released").build(tasks(*classes), (3, 100))
    assert count(model) == parameters
    assert model.trunk.flat == 1216
    assert [tuple(v.shape) for v in answer(model, torch.randn(2, 3, 100))] == [(2, classes[0]), (2, classes[1])]
    x, shapes = torch.randn(2, 1, 3, 100), []
    for layer in model.trunk.layers:  # type: ignore[union-attr]
        x = layer(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(32, 3, 92), (32, 2, 46), (32, 2, 46), (64, 2, 38), (64, 1, 19), (64, 1, 19)]


@pytest.mark.parametrize("variant", ["as_released", "corrected"])
def test_relu_behind_the_pool_is_what_is_published_before_it(variant: Literal["as_released", "corrected"]) -> None:
    trunk = MTLNet(variant=variant).build(tasks(12, 3), (3, 100)).trunk
    x = torch.randn(5, 3, 100)
    trunk(x).square().sum().backward()
    ours = [p.grad for p in trunk.parameters()]
    trunk.zero_grad()
    one, pool_one, _, two, pool_two, _ = trunk.layers  # type: ignore[misc]
    published = nn.Sequential(one, nn.ReLU(), pool_one, two, nn.ReLU(), pool_two, nn.Flatten(), trunk.linear)  # type: ignore[arg-type]
    rows = x.transpose(1, 2).reshape(x.shape) if variant == "as_released" else x
    answered = published(rows.unsqueeze(1))
    torch.testing.assert_close(trunk(x), answered)
    answered.square().sum().backward()
    for gradient, parameter in zip(ours, trunk.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad)


def test_corrected_keeps_every_channel() -> None:
    model = MTLNet().build(tasks(12, 3), (3, 100))
    assert count(model) == 4_287_887
    assert model.trunk.flat == 64 * 3 * 19
    assert model.normalise is None, "as published, windows are taken as they are"


def test_as_released_sees_the_first_row_of_its_input_alone() -> None:
    """S1-02: rows of the (B, 1, 3, 100) input, after the reshape."""
    x = torch.randn(4, 1, 3, 100)
    other = x.clone()
    other[:, :, 1:] = torch.randn(4, 1, 2, 100)
    released = MTLNet(variant="as_released").build(tasks(12, 3), (3, 100)).trunk
    corrected = MTLNet().build(tasks(12, 3), (3, 100)).trunk
    with torch.no_grad():
        assert torch.equal(released.layers(x), released.layers(other))  # type: ignore[operator]
        assert not torch.equal(corrected.layers(x), corrected.layers(other))  # type: ignore[operator]


def test_as_released_sees_a_third_of_the_window_with_time_and_channel_mixed() -> None:
    released = MTLNet(variant="as_released").build(tasks(12, 3), (3, 100))
    corrected = MTLNet().build(tasks(12, 3), (3, 100))
    x = torch.randn(2, 3, 100)
    late, early = x.clone(), x.clone()
    late[:, :, 34:] += 1
    early[:, :, 20] += 1
    for one, two in zip(answer(released, x), answer(released, late), strict=True):
        assert torch.equal(one, two)
    assert not torch.equal(answer(released, x)[0], answer(released, early)[0])
    assert not torch.equal(answer(corrected, x)[0], answer(corrected, late)[0])
    seen = x.transpose(1, 2).reshape(2, 100 * 3)[:, :100]  # the published row 0: x, y, z of samples 0 to 33
    with torch.no_grad():
        feature = released.trunk(x)
        padded = torch.cat([seen.unsqueeze(1), torch.zeros(2, 2, 100)], dim=1)
        again = released.trunk.linear(released.trunk.layers(padded.unsqueeze(1)).flatten(1))  # type: ignore[operator]
    assert torch.allclose(feature, again, atol=1e-6)


@pytest.mark.parametrize("variant", ["corrected", "as_released"])
@pytest.mark.parametrize("channels", [1, 2, 3, 6])
@pytest.mark.parametrize("length", [28, 29, 30, 31, 128])
def test_mtl_net_fits_any_window_from_28_samples_on(variant: str, channels: int, length: int) -> None:
    model = MTLNet.model_validate({"variant": variant}).build(tasks(4, 2), (channels, length))
    assert [v.shape for v in answer(model, torch.randn(2, channels, length))] == [(2, 4), (2, 2)]


@pytest.mark.parametrize("length", [1, 20, 27])
def test_a_window_too_short_is_told(length: int) -> None:
    with pytest.raises(UserError, match=f"at least 28 samples, not {length}"):
        MTLNet().build(tasks(4), (3, length))


@pytest.mark.parametrize(
    "spec", [BiLSTM(), BiLSTM(hidden=8, layers=2), ResNet1D(), ResNet1D(blocks=5, width=8, kernel=3)]
)
@pytest.mark.parametrize(("channels", "length"), [(1, 7), (3, 100), (6, 33)])
def test_other_networks_fit_any_window(spec: BiLSTM | ResNet1D, channels: int, length: int) -> None:
    model = spec.build(tasks(4, 2), (channels, length))
    assert [v.shape for v in answer(model, torch.randn(3, channels, length))] == [(3, 4), (3, 2)]
    out = model.train()(Batch({"sensor": torch.randn(3, channels, length)}, {}, torch.arange(3)))
    sum(v.sum() for v in out.logits.values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_bilstm_has_the_closed_count_and_is_the_mean_of_both_directions() -> None:
    model = BiLSTM(hidden=16).build(tasks(4), (3, 50))
    assert count(model) == 2 * 4 * (16 * 3 + 16 * 16 + 2 * 16) + 32 * 4 + 4
    x = torch.randn(2, 3, 50)
    with torch.no_grad():
        steps, _ = model.trunk.lstm(x.transpose(1, 2))  # type: ignore[operator, union-attr]
        assert torch.allclose(model.trunk(x), steps.mean(1))


def test_every_second_block_of_the_residual_network_doubles_width_and_halves_length() -> None:
    model = ResNet1D(blocks=4, width=8).build(tasks(4), (3, 64))
    x, shapes = torch.randn(2, 3, 64), []
    with torch.no_grad():
        for layer in model.trunk.children():
            x = layer(x)
            shapes.append(tuple(x.shape[1:]))
    assert shapes[3:] == [(8, 64), (16, 32), (16, 32), (32, 16)]
    assert model.width == 32


@pytest.mark.parametrize("spec", [MTLNet(), MTLNet(variant="as_released"), BiLSTM(hidden=4), ResNet1D(width=4)])
def test_an_empty_share_of_a_batch_gives_every_weight_a_gradient_of_0(spec: MTLNet | BiLSTM | ResNet1D) -> None:
    """A process may have no row of the last batch of an epoch, and still takes part in the sum of gradients."""
    model = spec.build(tasks(4, 2), (3, 40)).train()
    out = model(Batch({"sensor": torch.zeros(0, 3, 40)}, {}, torch.arange(0)))
    sum(v.sum() for v in out.logits.values()).backward()
    assert all(p.grad is not None and not p.grad.any() for p in model.parameters())


@pytest.mark.parametrize("spec", [MTLNet(), BiLSTM(), ResNet1D()])
def test_a_sample_is_answered_alike_alone_and_in_company(spec: MTLNet | BiLSTM | ResNet1D) -> None:
    model, x = spec.build(tasks(4), (3, 40)), torch.randn(9, 3, 40)
    assert torch.allclose(answer(model, x)[0][4:5], answer(model, x[4:5])[0], atol=1e-5)
