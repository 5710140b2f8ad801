"""Terms of real values and maps against their definitions, and those of labels on every pixel."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from limbeck.batch import Batch, Outputs
from limbeck.errors import UserError
from limbeck.likeness import Absolute, Spatial, aligned, valued
from limbeck.objective import Scene
from limbeck.tasks import IGNORE, Task
from limbeck.terms import supervised

SEGMENTATION, DEPTH = Task.of("segmentation", ("ground", "sky")), Task("depth", unit="m", quantity="depth")
NORMALS = Task("normals", quantity="direction")


def pixels(seed: int = 0) -> tuple[Batch, dict[str, Outputs]]:
    """Two images of 3 x 4 pixels with holes, and what two models answer."""
    draw = torch.Generator().manual_seed(seed)
    classes = torch.randint(0, 2, (2, 3, 4), generator=draw)
    classes[:, 0] = IGNORE
    depth = torch.rand(2, 3, 4, generator=draw) + 1
    depth[:, :, 0] = float("nan")
    normals = F.normalize(torch.randn(2, 3, 3, 4, generator=draw), dim=1)
    normals[:, :, 1, 1] = float("nan")
    targets = {"segmentation": classes, "depth": depth, "normals": normals}

    def answered() -> Outputs:
        widths = {"segmentation": 2, "depth": 1, "normals": 3}
        logits = {k: torch.randn(2, w, 3, 4, generator=draw).requires_grad_() for k, w in widths.items()}
        return Outputs(logits, {"map": torch.randn(2, 5, 3, 4, generator=draw).requires_grad_()})

    return Batch({}, targets, torch.arange(2)), {"student": answered(), "teacher": answered()}


def test_every_pixel_with_a_label_is_supervised_by_its_quantity() -> None:
    batch, outputs = pixels()
    scene = Scene(batch, outputs, {}, 0.0)
    student = outputs["student"].logits
    wanted = F.cross_entropy(student["segmentation"], batch.targets["segmentation"], ignore_index=IGNORE)
    assert torch.allclose(supervised(SEGMENTATION)(scene)[0], wanted)
    known = ~batch.targets["depth"].isnan()
    wanted = (student["depth"].squeeze(1) - batch.targets["depth"])[known].abs().mean()
    assert torch.allclose(supervised(DEPTH)(scene)[0], wanted)
    known = ~batch.targets["normals"].isnan().any(dim=1)
    cosine = F.cosine_similarity(student["normals"], batch.targets["normals"], dim=1)[known]
    assert torch.allclose(supervised(NORMALS)(scene)[0], (1 - cosine).mean())


def test_values_are_distilled_where_they_are_labelled() -> None:
    batch, outputs = pixels()
    scene = Scene(batch, outputs, {}, 0.0)
    one, two = (outputs[who].logits for who in ("student", "teacher"))
    known = ~batch.targets["depth"].isnan()
    wanted = (one["depth"] - two["depth"]).squeeze(1)[known].abs().mean()
    found = valued(DEPTH, "teacher", Absolute())(scene)[0]
    assert torch.allclose(found, wanted)
    known = ~batch.targets["normals"].isnan().any(dim=1)
    wanted = (1 - F.cosine_similarity(one["normals"], two["normals"], dim=1))[known].mean()
    assert torch.allclose(valued(NORMALS, "teacher", Absolute())(scene)[0], wanted)
    found.backward()
    assert one["depth"].grad is not None
    assert two["depth"].grad is None, "no gradient reaches the teacher"


def test_values_by_their_place_are_a_divergence_over_the_labelled_pixels() -> None:
    batch, outputs = pixels()
    one, two = (outputs[who].logits["depth"].flatten(1) for who in ("student", "teacher"))
    values = []
    for n in range(2):
        known = ~batch.targets["depth"][n].isnan().flatten()
        p, q = ((x[n][known] / 2).softmax(dim=0) for x in (two, one))
        values.append(4 * (p * (p / q).log()).sum())
    found = valued(DEPTH, "teacher", Spatial(T=2.0))(Scene(batch, outputs, {}, 0.0))[0]
    assert torch.allclose(found, torch.stack(values).mean(), atol=1e-6)


@pytest.mark.parametrize("how", [Absolute(), Spatial()])
def test_a_batch_without_a_depth_is_worth_exactly_0_with_a_gradient_of_0(how: Absolute | Spatial) -> None:
    batch, outputs = pixels()
    batch.targets["depth"].fill_(float("nan"))  # type: ignore[union-attr]
    found = valued(DEPTH, "teacher", how)(Scene(batch, outputs, {}, 0.0))[0]
    assert float(found.detach()) == 0
    found.backward()
    gradient = outputs["student"].logits["depth"].grad
    assert gradient is not None
    assert not gradient.any()


def test_one_value_a_sample_has_no_places() -> None:
    task = Task("rate", unit="bpm")
    outputs = {who: Outputs({"rate": torch.zeros(2, 1)}) for who in ("student", "teacher")}
    scene = Scene(Batch({}, {"rate": torch.zeros(2)}, torch.arange(2)), outputs, {}, 0.0)
    with pytest.raises(UserError, match="rate has one a sample"):
        valued(task, "teacher", Spatial())(scene)


def test_maps_are_aligned_by_the_distance_of_unit_vectors_through_a_matrix() -> None:
    batch, outputs = pixels()
    objective = aligned(SEGMENTATION, "teacher", (5, 5))
    matrix = objective.terms[0].adaptor.weight  # type: ignore[union-attr]
    total = 0.0
    one, two = (outputs[who].features["map"].detach().numpy() for who in ("student", "teacher"))
    for n in range(2):
        for row in range(3):
            for column in range(4):
                ours = matrix.detach().numpy() @ one[n, :, row, column]  # type: ignore[operator]
                theirs = two[n, :, row, column]
                gap = ours / np.linalg.norm(ours) - theirs / np.linalg.norm(theirs)
                total += (gap**2).sum() / 24
    found = objective(Scene(batch, outputs, {}, 0.0))[0]
    assert float(found.detach()) == pytest.approx(total, rel=1e-5)
    found.backward()
    assert outputs["teacher"].features["map"].grad is None


def test_maps_of_other_sizes_cannot_be_aligned() -> None:
    batch, outputs = pixels()
    other = outputs["teacher"]._replace(features={"map": torch.zeros(2, 5, 2, 2)})
    with pytest.raises(UserError, match="the student's map is of 3 x 4 cells, the teacher's of 2 x 2"):
        aligned(DEPTH, "teacher", (5, 5))(Scene(batch, {**outputs, "teacher": other}, {}, 0.0))
