"""Views: the sample first, shape and type kept, the same whatever else is asked, and nothing but what they say."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from limbeck.batch import Batch
from limbeck.config import dump, parse
from limbeck.errors import UserError
from limbeck.transforms import ImageViews, Look, NoViews, SignalViews, Views, _scaled


def images(channels: int = 1, height: int = 40, width: int = 40) -> Batch:
    draw = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (6, channels, height, width), dtype=torch.uint8, generator=draw)
    return Batch({"image": x}, {"a": torch.arange(6)}, torch.arange(6))


def windows(rows: Tensor, channels: int = 6) -> Batch:
    whole = torch.randn(200, channels, 50, generator=torch.Generator().manual_seed(0)) * 3 + 5
    return Batch({"sensor": whole[rows]}, {}, rows)


def names(views: Views) -> list[str]:
    return [look.name for look in views.views()]


def by_name(views: Views) -> dict[str, Look]:
    return {look.name: look for look in views.views()}


def test_the_views_are_those_of_the_fields_and_the_sample_comes_first() -> None:
    corners = ["crop top left", "crop top right", "crop bottom left", "crop bottom right"]
    assert names(ImageViews()) == ["identity", "flip", "scale 0.9", "scale 1.1", "crop middle", *corners]
    assert names(ImageViews(flip=False, scales=(), crops=1)) == ["identity", "crop middle"]
    assert names(ImageViews(flip=True, scales=(1.2,), crops=0)) == ["identity", "flip", "scale 1.2"]
    assert names(SignalViews(count=2)) == ["identity", "draw 1", "draw 2"]
    assert names(NoViews()) == names(SignalViews(count=0)) == ["identity"]


@pytest.mark.parametrize("views", [ImageViews(scales=(0.5, 0.9, 1.0, 1.1)), NoViews()])
@pytest.mark.parametrize(("channels", "height", "width"), [(1, 40, 40), (3, 31, 48)])
def test_views_of_images_keep_type_and_shape_and_know_nothing_of_the_batch(
    views: Views, channels: int, height: int, width: int
) -> None:
    batch = images(channels, height, width)
    x = batch.inputs["image"].clone()
    for number, look in enumerate(views.views()):
        seen = look.apply(batch)
        y = seen.inputs["image"]
        assert (y.dtype, y.shape) == (x.dtype, x.shape)
        alone = look.apply(Batch({"image": x[3:4]}, {}, torch.tensor([0]))).inputs["image"]
        assert torch.equal(alone, y[3:4])
        assert torch.equal(y, x) == (number == 0 or look.name == "scale 1")
        assert seen.targets is batch.targets
        assert seen.pure == (number == 0)
    assert torch.equal(batch.inputs["image"], x)


class _Even(nn.Module):
    """Answers the same for an image and its mirror, exactly."""

    def forward(self, batch: Batch) -> Tensor:
        x = batch.inputs["image"].double()
        logits: Tensor = (x + x.flip(3)).flatten(1)[:, :400].unflatten(1, (20, 20)).sin().sum(2)
        return logits.softmax(dim=1)


def test_the_mean_over_flips_of_a_model_blind_to_them_is_its_plain_answer() -> None:
    """S5-04."""
    batch, model = images(), _Even()
    answers = [model(look.apply(batch)) for look in ImageViews(scales=(), crops=0).views()]
    assert len(answers) == 2
    assert torch.equal(torch.stack(answers).mean(dim=0), model(batch))
    shares = torch.stack([model(look.apply(batch)) for look in ImageViews().views()]).mean(dim=0)
    assert torch.allclose(shares.sum(dim=1), torch.ones(6).double())


def test_cuts_are_resized_as_pillow_resizes_them() -> None:
    batch, looks = images(3), by_name(ImageViews(scales=(0.5, 1.25), crop_share=0.75))
    for name, box in {"scale 1.25": (4, 4, 36, 36), "crop middle": (5, 5, 35, 35), "crop top left": (0, 0, 30, 30),
                      "crop top right": (10, 0, 40, 30), "crop bottom left": (0, 10, 30, 40),
                      "crop bottom right": (10, 10, 40, 40)}.items():  # fmt: skip
        found = looks[name].apply(batch).inputs["image"]
        for x, y in zip(batch.inputs["image"], found, strict=True):
            image = Image.fromarray(x.permute(1, 2, 0).numpy()).crop(box).resize((40, 40), Image.Resampling.BILINEAR)
            assert np.abs(np.asarray(image).astype(int) - y.permute(1, 2, 0).numpy()).max() <= 1, name
    small = looks["scale 0.5"].apply(batch).inputs["image"]
    for x, y in zip(batch.inputs["image"], small, strict=True):
        image = Image.fromarray(x.permute(1, 2, 0).numpy()).resize((20, 20), Image.Resampling.BILINEAR)
        padded = np.pad(np.asarray(image), ((10, 10), (10, 10), (0, 0)), mode="reflect").astype(int)
        assert np.abs(padded - y.permute(1, 2, 0).numpy()).max() <= 1


@pytest.mark.parametrize("scale", [0.5, 0.9, 1.1])
def test_where_pixels_are_resized_as_reals_they_come_out_alike(scale: float) -> None:
    """What other devices do."""
    x = images(3).inputs["image"]
    assert (_scaled(x.float(), scale).round() - _scaled(x, scale)).abs().max() <= 1


VIEWS = SignalViews(count=3, jitter=0.1, scaling=0.2, rotation=20, shift=5)


def test_views_of_windows_are_functions_of_the_row_and_not_of_the_batch() -> None:
    rows = torch.arange(12)
    for look in VIEWS.views():
        torch.manual_seed(1)
        whole = look.apply(windows(rows)).inputs["sensor"]
        torch.manual_seed(2)
        other = look.apply(windows(rows.flip(0)[:5])).inputs["sensor"]
        assert torch.equal(other, whole.flip(0)[:5])
        assert (whole.dtype, whole.shape) == (torch.float32, (12, 6, 50))
    drawn = [look.apply(windows(rows)).inputs["sensor"] for look in VIEWS.views()]
    assert all(not torch.equal(a, b) for i, a in enumerate(drawn) for b in drawn[:i])


def changed(**values: float) -> tuple[Tensor, Tensor]:
    """Windows, and the first view of them by nothing but what is given."""
    views = parse(SignalViews, {"jitter": 0, "scaling": 0, "count": 1, **values})
    batch = windows(torch.arange(200))
    return batch.inputs["sensor"], views.views()[1].apply(batch).inputs["sensor"]


def test_noise_is_a_share_of_each_channel() -> None:
    x, y = changed(jitter=0.1)
    noise = (y - x) / x.std(dim=2, keepdim=True)
    assert noise.std().item() == pytest.approx(0.1, rel=0.03)
    assert noise.mean().item() == pytest.approx(0, abs=0.003)


def test_a_window_is_multiplied_as_a_whole() -> None:
    x, y = changed(scaling=0.2)
    factor = y[:, 0, 0] / x[:, 0, 0]
    assert torch.allclose(y, x * factor[:, None, None], rtol=1e-4, atol=1e-5)
    assert 0.8 <= factor.min() < 0.83
    assert 1.17 < factor.max() <= 1.2


def test_a_turned_window_keeps_the_length_of_every_triple_and_turns_both_sensors_alike() -> None:
    x, y = (each.unflatten(1, (2, 3)) for each in changed(rotation=20))
    assert torch.allclose(x.norm(dim=2), y.norm(dim=2), rtol=1e-4)
    cosine = torch.nn.functional.cosine_similarity(x, y, dim=2)
    assert cosine.min() >= np.cos(np.radians(20)) - 1e-4
    assert cosine.min() < np.cos(np.radians(18))
    inner = torch.einsum("bcl,bcl->bl", x[:, 0], x[:, 1])
    assert torch.allclose(inner, torch.einsum("bcl,bcl->bl", y[:, 0], y[:, 1]), rtol=1e-3, atol=1e-2)
    with pytest.raises(UserError, match="tri-axial"):
        SignalViews(rotation=10).views()[1].apply(windows(torch.arange(2), 4))


def test_a_shifted_window_has_the_same_samples_and_every_shift_comes() -> None:
    x, y = changed(shift=3)
    found = set()
    for one, two in zip(x, y, strict=True):
        (by,) = (by for by in range(-3, 4) if torch.equal(one.roll(by, 1), two))
        found.add(by)
    assert found == set(range(-3, 4))


def test_the_specs_survive_json_and_refuse_nonsense() -> None:
    for views in (ImageViews(scales=(), crops=1), VIEWS, NoViews()):
        assert parse(type(views), dump(views)) == views
    assert parse(ImageViews, {"crops": "1", "scales": "0.8,1.2"}) == ImageViews(scales=(0.8, 1.2), crops=1)
    for wrong in ({"crops": 3}, {"crop_share": 0}, {"scales": "0"}, {"scales": "1,-1"}, {"scales": "3"}):
        with pytest.raises(UserError):
            parse(ImageViews, wrong)
