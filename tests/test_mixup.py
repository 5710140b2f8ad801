"""Mixing: shares, partners and labels, and the changes it is compared with."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from limbeck import losses
from limbeck.batch import Batch, Lazy, Mixed, Outputs
from limbeck.mixup import SERIES, CutMix, Cutout, Mixup, Noise, Plain, Smoothing, boxes, levels, partners, quantile
from limbeck.objective import STUDENT, Scene
from limbeck.tasks import IGNORE, Task
from limbeck.terms import Decoupled, Soft, kd, supervised

TASK = Task.of("activity", ("a", "b", "c", "d"))
TEACHER = "teacher"


def batch(count: int = 8, missing: tuple[int, ...] = ()) -> Batch:
    """Windows whose every value is the sample's number, images likewise a hundred times that."""
    number = torch.arange(count, dtype=torch.float32)
    target = torch.arange(count) % 4
    target[list(missing)] = IGNORE
    inputs = {
        SERIES: number.view(-1, 1, 1).expand(-1, 2, 10).clone(),
        "pi": 100 * number.view(-1, 1, 1, 1).expand(-1, 2, 6, 6).clone(),
    }
    return Batch(
        inputs, {"activity": target}, torch.arange(count), whole=frozenset() if missing else frozenset({"activity"})
    )


def mixing(changed: Batch) -> Mixed:
    assert changed.mixed is not None
    return changed.mixed


def supervised_value(changed: Batch, logits: Tensor) -> Tensor:
    return supervised(TASK)(Scene(changed, {STUDENT: Outputs({"activity": logits})}, {}, 0.0))[0]


@pytest.mark.parametrize("alpha", [0.05, 0.15, 1.0, 8.0])
def test_shares_are_drawn_from_beta(alpha: float) -> None:
    torch.manual_seed(0)
    drawn = quantile(alpha, levels(1, 4000)[0]).numpy()
    edges = np.array([0, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1])
    found, _ = np.histogram(drawn, edges)
    expected = 4000 * np.diff(stats.beta(alpha, alpha).cdf(edges))
    assert (
        stats.chisquare(
            found[expected > 5], expected[expected > 5] / expected[expected > 5].sum() * found[expected > 5].sum()
        ).pvalue
        > 0.01
    )


def test_a_small_alpha_keeps_all_or_nothing_and_a_large_one_a_half() -> None:
    """S2-09."""
    torch.manual_seed(0)
    small, large = (quantile(alpha, levels(1, 2000)[0]) for alpha in (1e-4, 1e4))
    assert ((small < 1e-6) | (small > 1 - 1e-6)).float().mean() > 0.99
    assert 0.45 < small.mean() < 0.55
    assert (large - 0.5).abs().max() < 0.03


@pytest.mark.parametrize("count", [2, 3, 7, 64])
def test_full_mixup_gives_every_sample_another_as_its_partner(count: int) -> None:
    """S2-09."""
    for seed in range(50):
        torch.manual_seed(seed)
        partner, _ = Mixup().drawn(count)
        assert (partner != torch.arange(count)).all()
        assert sorted(partner.tolist()) == list(range(count))


def test_every_sample_is_as_likely_a_partner() -> None:
    torch.manual_seed(0)
    counts = np.zeros((5, 5))
    for _ in range(4000):
        counts[np.arange(5), partners(torch.ones(5, dtype=torch.bool)).numpy()] += 1
    expected = np.full(20, 1000.0)
    assert stats.chisquare(counts[~np.eye(5, dtype=bool)], expected).pvalue > 0.001


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("count", [8, 64, 65])
def test_partial_mixup_mixes_exactly_its_share(share: float, count: int) -> None:
    """S2-09."""
    for seed in range(20):
        torch.manual_seed(seed)
        partner, kept = Mixup(share=share, alpha1=50, alpha2=50).drawn(count)
        mixed = partner != torch.arange(count)
        assert int(mixed.sum()) == round(share * count)
        for modality in (SERIES, "pi"):
            assert (kept(modality)[~mixed] == 1).all()
            assert (kept(modality)[mixed] < 1).all()


@pytest.mark.parametrize(("share", "expected"), [(0.1, 0.408), (0.5, 0.604)])
def test_the_published_share_mixes_more_than_it_says(share: float, expected: float) -> None:
    torch.manual_seed(0)
    spec = Mixup(share=share, published_share=True)
    parts = [float(spec.chosen(64).float().mean()) for _ in range(3000)]
    assert np.mean(parts) == pytest.approx(expected, abs=0.004)


def test_windows_images_and_labels_are_mixed_by_their_shares() -> None:
    torch.manual_seed(3)
    spec = Mixup(alpha1=1.0, alpha2=2.0)
    torch.manual_seed(3)
    partner, kept = spec.drawn(8)
    torch.manual_seed(3)
    changed = spec.apply(batch())
    number = torch.arange(8.0)
    wanted = {m: kept(m) * number + (1 - kept(m)) * number[partner] for m in (SERIES, "pi")}
    assert torch.allclose(changed.inputs[SERIES], wanted[SERIES].view(-1, 1, 1).expand(-1, 2, 10))
    assert torch.allclose(changed.inputs["pi"], 100 * wanted["pi"].view(-1, 1, 1, 1).expand(-1, 2, 6, 6))
    assert not torch.allclose(kept(SERIES), kept("pi"))
    assert torch.equal(mixing(changed).share, kept(SERIES))
    assert torch.equal(mixing(changed).targets["activity"], partner % 4)
    assert not changed.pure


def test_labels_follow_the_modality_that_is_asked_for() -> None:
    torch.manual_seed(3)
    _, kept = Mixup().drawn(8)
    torch.manual_seed(3)
    assert torch.equal(mixing(Mixup().apply(batch(), "pi")).share, kept("pi"))


def test_shares_may_be_coupled() -> None:
    torch.manual_seed(0)
    _, kept = Mixup(coupling="shared", alpha1=0.3, alpha2=3.0).drawn(64)
    assert torch.equal(kept(SERIES), kept("pi"))
    _, kept = Mixup(coupling="quantile", alpha1=0.3, alpha2=3.0).drawn(64)
    one, two = (torch.from_numpy(stats.beta(a, a).cdf(kept(m).numpy())) for a, m in ((0.3, SERIES), (3.0, "pi")))
    assert torch.allclose(one, two, atol=1e-5)


def test_where_all_is_kept_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """S2-10."""
    monkeypatch.setattr("limbeck.mixup.quantile", lambda alpha, level: torch.ones(len(level)))
    whole = batch()
    whole.inputs[SERIES][:] = torch.randn(8, 2, 10)
    changed = Mixup().apply(whole)
    assert torch.equal(changed.inputs[SERIES], whole.inputs[SERIES])
    assert torch.equal(changed.inputs["pi"], whole.inputs["pi"])
    logits = torch.randn(8, 4)
    assert torch.equal(supervised_value(changed, logits), supervised_value(whole, logits))


def test_the_loss_of_a_mixed_sample_is_that_of_mixed_one_hot_labels() -> None:
    torch.manual_seed(1)
    changed = Mixup(alpha1=1.0).apply(batch())
    logits = torch.randn(8, 4, dtype=torch.float64)
    own, other = (
        torch.nn.functional.one_hot(t, 4) for t in (changed.targets["activity"], mixing(changed).targets["activity"])
    )
    share = mixing(changed).share.double().unsqueeze(1)
    wanted = torch.nn.functional.cross_entropy(logits, share * own + (1 - share) * other)
    assert float(supervised_value(changed, logits)) == pytest.approx(float(wanted), rel=1e-6)


def test_a_missing_label_on_either_side_leaves_a_mixed_sample_out_and_no_other() -> None:
    torch.manual_seed(1)
    whole = batch(missing=(2, 5))
    partner = torch.tensor([1, 2, 3, 4, 5, 6, 7, 0])
    share = torch.tensor([0.5, 0.5, 0.5, 1.0, 1.0, 0.5, 0.5, 0.5])
    target = whole.targets["activity"]
    changed = replace(whole, mixed=Mixed(share, {"activity": target[partner]}))
    logits = torch.randn(8, 4).requires_grad_()
    value = supervised_value(changed, logits)
    value.backward()
    assert torch.isfinite(value)
    assert logits.grad is not None
    told = logits.grad.abs().sum(dim=1) > 0
    assert told.tolist() == [True, False, False, True, True, False, True, True]  # 4 is not mixed, so 5 does not matter


def test_decoupled_distillation_refuses_mixed_samples() -> None:
    changed = Mixup().apply(batch())
    outputs = {name: Outputs({"activity": torch.randn(8, 4)}) for name in (STUDENT, TEACHER)}
    with pytest.raises(Exception, match="one label a sample"):
        kd(TASK, TEACHER, Decoupled())(Scene(changed, outputs, {}, 0.0))


def test_what_no_model_reads_is_not_made() -> None:
    asked = []

    def image() -> Tensor:
        asked.append("pi")
        return torch.zeros(8, 2, 6, 6)

    whole = batch()
    lazy = Batch(Lazy({SERIES: lambda: whole.inputs[SERIES], "pi": image}), whole.targets, whole.ids)
    for change in (Mixup(), CutMix(), Cutout(), Noise()):
        changed = change.apply(lazy)
        assert changed.inputs[SERIES].shape == (8, 2, 10)
        assert asked == []
    assert changed.inputs["pi"].shape == (8, 2, 6, 6)
    assert asked == ["pi"]


def test_plain_and_smoothed_batches_keep_their_inputs() -> None:
    whole = batch()
    assert Plain().apply(whole) is whole
    assert Smoothing().apply(whole) is whole
    assert (Plain().labels, Smoothing(part=0.2).labels) == (0.0, 0.2)


@pytest.mark.parametrize("size", [(500,), (64, 64)])
def test_boxes_are_as_large_as_they_say(size: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    lost = torch.tensor([0.0, 0.1, 0.25, 0.5, 1.0])
    inside, kept = boxes(lost, torch.Size(size))
    assert torch.allclose(1 - inside.float().flatten(1).mean(dim=1), kept)
    assert torch.allclose(kept, 1 - lost, atol=0.02)
    assert (kept[0], kept[-1]) == (1, 0)
    if len(size) == 1:  # one stretch: as many beginnings as ends, around the corner
        assert ((inside ^ inside.roll(1, dims=1)).sum(dim=1) <= 2).all()


def test_cutmix_takes_a_stretch_of_the_partner_and_its_share_of_the_label() -> None:
    torch.manual_seed(2)
    changed = CutMix(alpha1=1.0).apply(batch(64))
    x, own = changed.inputs[SERIES][:, 0], torch.arange(64.0).unsqueeze(1)
    assert torch.allclose((x == own).float().mean(dim=1), mixing(changed).share)
    other = mixing(changed).targets["activity"]
    for row in range(64):
        foreign = set(x[row].tolist()) - {float(row)}
        assert len(foreign) <= 1
        assert all(int(number) % 4 == other[row] for number in foreign)


def test_cutout_blanks_a_stretch_by_the_mean() -> None:
    torch.manual_seed(2)
    whole = batch()
    whole.inputs[SERIES][:] = torch.randn(8, 2, 10)
    changed = Cutout(size=0.3).apply(whole).inputs[SERIES]
    assert ((changed != whole.inputs[SERIES]).sum(dim=2) == 3).all()
    blank = changed != whole.inputs[SERIES]
    assert torch.allclose(changed[blank], whole.inputs[SERIES].mean(dim=2, keepdim=True).expand_as(changed)[blank])


def test_noise_is_as_strong_as_asked_for_in_every_channel() -> None:
    torch.manual_seed(2)
    x = torch.randn(4, 2, 20_000) * torch.tensor([1.0, 50.0]).view(1, 2, 1)
    whole = Batch({SERIES: x}, {}, torch.arange(4))
    added = Noise(scale=0.2).apply(whole).inputs[SERIES] - x
    assert torch.allclose(added.std(dim=2), 0.2 * x.std(dim=2), rtol=0.03)


def test_what_is_drawn_is_a_function_of_the_seed() -> None:
    for change in (Mixup(), CutMix(), Cutout(), Noise()):
        made = []
        for _ in range(2):
            torch.manual_seed(7)
            changed = change.apply(batch())
            made.append((changed.inputs[SERIES], changed.inputs["pi"]))
        assert all(torch.equal(a, b) for a, b in zip(*made, strict=True))


def test_scaled_logits_have_the_values_of_the_lineage() -> None:
    """S2-12."""
    student, teacher = torch.tensor([[2.0, 1, 0, -1]]), torch.tensor([[3.0, 0.5, 0, -2]])
    assert float(Soft(T=4).values(student, teacher, torch.zeros(1))) == pytest.approx(0.291984, abs=1e-6)
    assert float(Soft(T=4, reduction="mean").values(student, teacher, torch.zeros(1))) == pytest.approx(
        0.072996, abs=1e-6
    )
    assert float(Soft(T=1, scaling="std").values(student, teacher, torch.zeros(1))) == pytest.approx(0.036836, abs=1e-6)
    assert float(Soft(T=4, scaling="std").values(student, teacher, torch.zeros(1))) == pytest.approx(
        16 * 0.036836, abs=2e-5
    )
    assert losses.scaled(student, "none") is student
