"""Scores of every pixel against other libraries, by hand, and how sure they are."""

import numpy as np
import pytest
import torch
from sklearn import metrics as reference
from torchmetrics.functional.classification import multiclass_jaccard_index

from limbeck import losses, pixels
from limbeck.errors import UserError
from limbeck.statistics import average
from limbeck.tasks import IGNORE, Task
from tests.fake_scenes import ASKED, DEPTH, NORMALS, SEGMENTATION, said, truths

THREE = Task.of("segmentation", ("a", "b", "c"))


def logits(ids: torch.Tensor, classes: int = 3) -> torch.Tensor:
    """That name those classes, `(B, C, H, W)`."""
    return 5.0 * torch.nn.functional.one_hot(ids, classes).movedim(-1, 1).float()


def total(task: Task, answer: torch.Tensor, target: torch.Tensor) -> np.ndarray:
    made: np.ndarray = pixels.sums(task, answer, target).sum(dim=0).numpy()
    return made


def test_classes_are_scored_as_other_libraries_do() -> None:
    target, answer = truths(9)["segmentation"], said(truths(9), 0.6)["segmentation"]
    found = pixels.scores(SEGMENTATION, total(SEGMENTATION, answer, target))
    known = target != IGNORE
    true, named = target[known].numpy(), answer.argmax(dim=1)[known].numpy()
    assert found["n"] == len(true)
    assert found["miou"] == pytest.approx(reference.jaccard_score(true, named, average="macro"))
    assert found["pixel_accuracy"] == pytest.approx(reference.accuracy_score(true, named))
    theirs = multiclass_jaccard_index(answer, target, 4, average="macro", ignore_index=IGNORE)
    assert found["miou"] == pytest.approx(float(theirs))
    assert found["loss"] == pytest.approx(
        float(torch.nn.functional.cross_entropy(answer, target, ignore_index=IGNORE)), rel=1e-6
    )


# [S4-01]
def test_the_mean_iou_is_of_the_pixels_of_all_images_and_ignores_what_has_no_label() -> None:
    target = torch.tensor([[[0, 0, 1, 1], [2, 2, 2, IGNORE]], [[0, 0, 0, 0], [0, 0, 0, 1]]])
    named = torch.tensor([[[0, 1, 1, 1], [2, 2, 0, 2]], [[0, 0, 0, 0], [0, 0, 0, 0]]])
    sums = pixels.sums(THREE, logits(named), target)
    found = pixels.scores(THREE, sums.sum(dim=0).numpy())
    matrix = pixels.confusion(THREE, sums.sum(dim=0).numpy())
    assert matrix.tolist() == [[8, 1, 0], [1, 2, 0], [1, 0, 2]]
    assert found["n"] == 15
    assert found["pixel_accuracy"] == pytest.approx(12 / 15)
    assert found["miou"] == pytest.approx((8 / 11 + 2 / 4 + 2 / 3) / 3)
    by_image = [pixels.scores(THREE, one)["miou"] for one in sums.numpy()]
    assert by_image == pytest.approx([(1 / 3 + 2 / 3 + 2 / 3) / 3, (7 / 8 + 0) / 2])
    assert abs(np.mean(by_image) - found["miou"]) > 0.1


def test_a_class_that_is_neither_true_nor_named_does_not_count() -> None:
    target = torch.tensor([[[0, 0, 1, IGNORE]]])
    sums = total(THREE, logits(torch.tensor([[[0, 0, 1, 2]]])), target)
    assert pixels.scores(THREE, sums)["miou"] == 1.0
    assert np.isnan(pixels.iou(pixels.confusion(THREE, sums))).tolist() == [False, False, True]
    wrong = total(THREE, logits(torch.tensor([[[0, 0, 2, 2]]])), target)
    assert pixels.scores(THREE, wrong)["miou"] == pytest.approx(1 / 3), "named, though true nowhere"


# [S4-02]
def test_depths_are_scored_as_other_libraries_do_where_they_are_known() -> None:
    target, answer = truths(9)["depth"], said(truths(9), 0.7)["depth"]
    target[0, 0, :3], target[1] = torch.tensor([0.0, -1.0, torch.inf]), torch.nan
    found = pixels.scores(DEPTH, total(DEPTH, answer, target))
    known = target.isfinite() & (target > 0)
    truth, d = target[known].double().numpy(), answer.squeeze(1)[known].double().numpy()
    assert found["n"] == len(truth) < target.numel()
    assert found["rel_err"] == pytest.approx(reference.mean_absolute_percentage_error(truth, d)), "by the truth"
    assert found["abs_err"] == found["loss"] == pytest.approx(reference.mean_absolute_error(truth, d))
    assert found["rmse"] == pytest.approx(reference.root_mean_squared_error(truth, d))
    for power, name in enumerate(pixels.RATIOS, 1):
        assert found[name] == pytest.approx(np.mean(np.maximum(d / truth, truth / d) < 1.25**power))
    assert 0 < found["delta_1"] < found["delta_3"] < 1


def test_a_depth_that_is_not_above_nothing_is_never_near() -> None:
    target = torch.tensor([[[2.0, 2.0, 2.0, 0.0]]])
    found = pixels.scores(DEPTH, total(DEPTH, torch.tensor([[[[2.4, 0.0, -2.0, 7.0]]]]), target))
    assert (found["n"], found["delta_3"]) == (3, pytest.approx(1 / 3))
    assert found["rel_err"] == pytest.approx((0.2 + 1 + 2) / 3)


def test_directions_are_scored_by_their_angles_where_they_are_known() -> None:
    target, answer = truths(9)["normals"], 3 * said(truths(9), 0.7)["normals"]
    target[1] = torch.nan
    target[2, :, 0] = 0
    found = pixels.scores(NORMALS, total(NORMALS, answer, target))
    known = ~target.isnan().any(dim=1) & (target.abs().sum(dim=1) > 0)
    a, b = (x.movedim(1, -1)[known].double().numpy() for x in (answer, target))
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    angle = np.degrees(np.arccos(cosine))
    assert found["n"] == len(angle)
    assert found["mean_angle"] == pytest.approx(angle.mean())
    assert found["median_angle"] == pytest.approx(np.median(angle), abs=pixels.STEP)
    for name, least in pixels.ANGLES.items():
        assert found[name] == pytest.approx(np.mean(angle < least))
    assert found["loss"] == pytest.approx(1 - cosine.mean())
    target[:, :, 0], zero = torch.nan, torch.zeros_like(answer)
    assert pixels.scores(NORMALS, total(NORMALS, zero, target))["mean_angle"] == pytest.approx(90)


def test_the_median_is_that_of_a_known_distribution() -> None:
    turn = torch.linspace(0, 60, 2001).deg2rad()
    answer = torch.stack([turn.cos(), turn.sin(), torch.zeros_like(turn)]).view(1, 3, 1, -1)
    target = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1).expand(1, 3, 1, len(turn))
    assert pixels.scores(NORMALS, total(NORMALS, answer, target))["median_angle"] == pytest.approx(30, abs=0.05)
    assert pixels.scores(NORMALS, total(NORMALS, -answer, target))["median_angle"] == pytest.approx(150, abs=0.05)


@pytest.mark.parametrize("task", ASKED, ids=lambda task: task.name)
def test_sums_of_images_add_up_and_nothing_labelled_has_no_score(task: Task) -> None:
    target, answer = truths(6)[task.name], said(truths(6), 0.5)[task.name]
    whole = pixels.sums(task, answer, target)
    assert whole.dtype == torch.float64
    parts = torch.cat([pixels.sums(task, answer[at], target[at]) for at in (slice(0, 2), slice(2, 6))])
    assert torch.allclose(whole, parts, rtol=1e-12)
    rates = pixels.rates(task, whole.numpy())
    for i, one in enumerate(whole.numpy()):
        for name, value in pixels.scores(task, one).items():
            assert value == pytest.approx(rates[name][i]) if name != "n" else True
    assert tuple(rates) == pixels.NAMES[pixels.kind(task)]
    none = torch.full_like(target, IGNORE) if task.classes else torch.full_like(target, torch.nan)
    empty = pixels.scores(task, total(task, answer, none))
    assert empty.pop("n") == 0
    assert np.isnan(list(empty.values())).all()


def test_the_loss_told_is_the_one_trained_by() -> None:
    target, answer = truths(6), said(truths(6), 0.5)
    for task, how in ((DEPTH, losses.absolute_error), (NORMALS, losses.apart)):
        given = task.present(target[task.name])
        trained = losses.masked_mean(how(answer[task.name], target[task.name]), given)
        told = pixels.scores(task, total(task, answer[task.name], target[task.name]))["loss"]
        assert told == pytest.approx(float(trained), rel=1e-5)


def test_two_models_agree_where_they_say_the_same_of_labelled_pixels() -> None:
    target, one, two = truths(6), said(truths(6), 0.9), said(truths(6), 0.7, seed=1)
    known = target["segmentation"] != IGNORE
    same = (one["segmentation"].argmax(1) == two["segmentation"].argmax(1))[known]
    assert pixels.alike(SEGMENTATION, one["segmentation"], two["segmentation"], target["segmentation"]).tolist() == [
        int(known.sum()), int(same.sum()),
    ]  # fmt: skip
    for task in ASKED:
        count, agreed = pixels.alike(task, one[task.name], two[task.name], target[task.name]).tolist()
        assert 0 < agreed < count == int(known.sum())
        assert pixels.alike(task, one[task.name], one[task.name], target[task.name]).tolist() == [count, count]
    assert pixels.alike(DEPTH, 1.2 * one["depth"], one["depth"], target["depth"]).tolist() == [count, count]
    assert pixels.alike(DEPTH, 1.3 * one["depth"], one["depth"], target["depth"]).tolist() == [count, 0]


def test_what_is_neither_class_nor_depth_nor_direction_cannot_be_asked_of_a_pixel() -> None:
    with pytest.raises(UserError, match="'heat' has a plain value at every pixel"):
        pixels.sums(Task("heat", unit="K"), torch.zeros(1, 1, 2, 2), torch.zeros(1, 2, 2))


def test_the_leverage_of_images_is_the_jackknife_and_its_mean_the_mean_iou() -> None:
    images = 200
    each = pixels.sums(SEGMENTATION, *(f(images) for f in (lambda n: said(truths(n), 0.6)["segmentation"],
                                                           lambda n: truths(n)["segmentation"]))).numpy()  # fmt: skip
    found = pixels.leverage(SEGMENTATION, each, np.ones(images))
    whole = pixels.scores(SEGMENTATION, each.sum(axis=0))["miou"]
    assert found.mean() == pytest.approx(whole)
    left_out = [pixels.scores(SEGMENTATION, each.sum(axis=0) - one)["miou"] for one in each]
    jackknife = images * whole - (images - 1) * np.array(left_out)
    assert np.corrcoef(found, jackknife)[0, 1] > 0.999
    assert found.std() == pytest.approx(jackknife.std(), rel=0.03)
    grouped, sizes = np.stack([each[:50].sum(0), each[50:80].sum(0), each[80:].sum(0)]), np.array([50, 30, 120])
    told = pixels.leverage(SEGMENTATION, grouped, sizes)
    assert np.average(told, weights=sizes) == pytest.approx(whole)


def test_an_interval_of_the_mean_iou_holds_that_of_all_images_as_often_as_it_says() -> None:
    everything = pixels.sums(
        SEGMENTATION, said(truths(4000, seed=5), 0.6, seed=5)["segmentation"], truths(4000, seed=5)["segmentation"]
    ).numpy()
    truth, held = pixels.scores(SEGMENTATION, everything.sum(axis=0))["miou"], 0
    draw, studies = np.random.default_rng(0), 150
    for _ in range(studies):
        each = everything[draw.choice(4000, 30, replace=False)]
        values = pixels.leverage(SEGMENTATION, each, np.ones(30))
        found = average({0: {str(i): (1, v) for i, v in enumerate(values.tolist())}})
        assert found.low is not None
        assert found.high is not None
        held += found.low <= truth <= found.high
    assert 0.9 <= held / studies <= 0.99


def test_sums_are_small_whatever_the_size_of_images() -> None:
    assert [pixels.sums(t, said(truths(2), 0.5)[t.name], truths(2)[t.name]).shape[1] for t in ASKED] == [17, 7, 1806]
