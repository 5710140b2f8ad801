"""Images are those of persim, whatever the smoothing, the range and the size; and the golden one of the paper."""

import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from persim import PersImage, PersistenceImager

from limbeck.config import dump, parse
from limbeck.errors import UserError
from limbeck.topology import Diagrams, PersistenceImage, persistence
from limbeck.topology.images import _axes

Array = np.ndarray[Any, Any]
GENE = {"sigma": 0.25, "low": -10.0, "high": 10.0}
RESOLUTIONS = (1, 7, 32, 64, 100)


def of(*points: tuple[float, float]) -> Diagrams:
    """One diagram of these births and deaths."""
    return Diagrams(np.array(points).reshape(-1, 2), np.array([0, len(points)]), np.zeros(1), (1, 1))


def waves(amplitude: float, count: int = 12, length: int = 100, seed: int = 0) -> Diagrams:
    return persistence(np.random.default_rng(seed).normal(size=(count, 1, length)) * amplitude)


def legacy(spec: PersistenceImage, pairs: Array) -> Array:
    """By `persim.PersImage`, not normalised."""
    kept = pairs[pairs[:, 1] - pairs[:, 0] > spec.least]
    size = spec.resolution
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        drawer = PersImage((size, size), spec.sigma, {"minBD": spec.low, "maxBD": spec.high}, verbose=False)
    return np.asarray(drawer.transform(kept)) if len(kept) else np.zeros((size, size))


def imager(spec: PersistenceImage, pairs: Array) -> Array:
    """By `persim.PersistenceImager`, not normalised."""
    kept = pairs[pairs[:, 1] - pairs[:, 0] > spec.least]
    drawer = PersistenceImager(kernel_params={"sigma": [[spec.sigma**2, 0.0], [0.0, spec.sigma**2]]})
    # Its pixels are square and their number is rounded; these are set apart from that.
    drawer._resolution = (spec.resolution, spec.resolution)
    drawer._bpnts = np.linspace(spec.low, spec.high, spec.resolution + 1)
    drawer._ppnts = np.linspace(0.0, spec.top or spec.high, spec.resolution + 1)
    return np.asarray(drawer.transform(kept)).T[::-1] if len(kept) else np.zeros((spec.resolution, spec.resolution))


def differ(spec: PersistenceImage, diagrams: Diagrams) -> float:
    """The largest difference to persim; images that hold less than 1e-9 are left out, where persim's digits end."""
    made, worst = spec.render(diagrams), 0.0
    assert made.dtype == np.float32
    assert made.shape == (*diagrams.shape, spec.resolution, spec.resolution)
    for n in range(len(diagrams)):
        for m in range(diagrams.shape[1]):
            expected = (legacy if spec.layout == "persim_legacy" else imager)(spec, diagrams.of(n, m))
            most = expected.max()
            if most > 1e-9:
                assert made[n, m].max() == 1
                assert made[n, m].min() >= 0
                worst = max(worst, float(np.abs(expected / most - made[n, m]).max()))
            elif most == 0:
                assert made[n, m].max() in (0, 1)
    return worst


def test_the_golden_point_of_the_published_layout() -> None:
    """S2-04."""
    image = PersistenceImage(peak=False).render(of((0.2, 0.6)))[0, 0]
    assert image.max() == pytest.approx(0.100683, abs=1e-5)
    assert np.unravel_index(image.argmax(), image.shape) == (38, 38)
    assert image.sum() == pytest.approx(0.477292, abs=1e-5)
    assert PersistenceImage().render(of((0.2, 0.6))).max() == 1


def test_exact_images_are_those_of_an_imager_as_it_is_made() -> None:
    drawer = PersistenceImager(
        birth_range=(0.0, 1.0),
        pers_range=(0.0, 1.0),
        pixel_size=1 / 64,
        kernel_params={"sigma": [[1e-3, 0], [0, 1e-3]]},
    )
    assert drawer.resolution == (64, 64)
    found = waves(0.3)
    made = PersistenceImage(layout="exact", low=0.0, sigma=1e-3**0.5, least=0.0).render(found)
    for n in range(len(found)):
        expected = drawer.transform(found.of(n, 0)).T[::-1]
        np.testing.assert_allclose(made[n, 0], expected / expected.max(), atol=1e-6)


def test_exact_bins_lose_no_mass() -> None:
    assert PersistenceImage(peak=False, layout="exact").render(of((0.2, 0.6))).sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("resolution", RESOLUTIONS)
@pytest.mark.parametrize("layout", ["persim_legacy", "exact"])
@pytest.mark.parametrize(
    ("values", "amplitude"),
    [
        ({}, 0.3),
        (GENE, 3.0),
        ({"sigma": 0.05, "low": -0.3, "high": 0.3}, 0.4),
        ({"sigma": 0.3}, 0.3),
        ({"sigma": 5.0}, 0.3),
        ({"sigma": 1e-4}, 0.3),
        ({"sigma": 0.02, "low": 0.5, "high": 2.0}, 1.0),
    ],
)
def test_images_are_those_of_persim(values: dict[str, float], amplitude: float, layout: Any, resolution: int) -> None:
    spec = PersistenceImage(**values, layout=layout, resolution=resolution)  # type: ignore[arg-type]
    assert differ(spec, waves(amplitude)) < 1e-6


@settings(max_examples=60)
@given(
    st.integers(0, 2**32 - 1),
    st.floats(-3, 2),
    st.floats(-2, 2),
    st.integers(1, 70),
    st.sampled_from(["persim_legacy", "exact"]),
)
def test_images_are_those_of_persim_for_any_smoothing_and_range(
    seed: int, smooth: float, large: float, resolution: int, layout: Any
) -> None:
    high = 10.0**large
    spec = PersistenceImage(
        sigma=high * 10**smooth, low=-high, high=high, layout=layout, resolution=resolution, least=0
    )
    assert differ(spec, waves(high, 2, 60, seed)) < 1e-6


def test_many_points_on_one_spot_stay_exact() -> None:
    draw = np.random.default_rng(0)
    births = draw.normal(size=(2000, 1)) * 0.01
    points = np.hstack([births, births + 0.5 + draw.normal(size=(2000, 1)) * 0.01])
    assert differ(PersistenceImage(), of(*points)) < 1e-6


def test_a_point_far_outside_does_not_blur_what_is_inside() -> None:
    assert differ(PersistenceImage(), of((-5.0, 5.0), (0.2, 0.23))) < 1e-6
    assert differ(PersistenceImage(), of((0.5, 1.55))) < 1e-6
    assert differ(PersistenceImage(), of((1.05, 1.3), (-1.04, -0.9))) < 1e-6
    assert not PersistenceImage().render(of((1e9, 2e9), (-1e300, 1e300))).any()


@pytest.mark.parametrize("weight", ["relative", "persistence", "one"])
def test_weights_are_as_told(weight: Any) -> None:
    spec = PersistenceImage(layout="exact", weight=weight, peak=False)
    one, two = spec.render(of((0.0, 0.5)))[0, 0].sum(), spec.render(of((0.0, 0.25)))[0, 0].sum()
    both = spec.render(of((0.0, 0.5), (0.5, 0.75)))[0, 0].sum()
    expected = {"relative": (1, 1, 1.5), "persistence": (0.5, 0.25, 0.75), "one": (1, 1, 2)}[weight]
    np.testing.assert_allclose((one, two, both), expected, rtol=1e-5)


def test_a_diagram_with_nothing_to_draw_is_zeros() -> None:
    """S2-03."""
    x = np.stack([np.zeros(50), np.arange(50.0), -np.arange(50.0), np.sin(np.arange(50) / 2) * 0.004])
    made = PersistenceImage().render(persistence(x), out=np.full((4, 1, 64, 64), np.nan, np.float32))
    assert (made == 0).all()


def test_classes_of_the_least_persistence_are_not_drawn() -> None:
    spec = PersistenceImage(least=0.25)
    assert not spec.render(of((0.0, 0.25))).any()
    np.testing.assert_array_equal(spec.render(of((0.0, 0.25), (0.5, 0.9))), spec.render(of((0.5, 0.9))))


def test_superlevel_classes_lie_at_their_own_birth() -> None:
    spec, x = PersistenceImage(layout="exact", peak=False), np.random.default_rng(1).normal(size=(1, 1, 60)) * 0.2
    over, under = spec.render(persistence(x, "superlevel"))[0, 0], spec.render(persistence(-x))[0, 0]
    np.testing.assert_allclose(over, under[:, ::-1], atol=1e-6)


def test_images_come_by_number_into_the_array_that_is_given_and_alike_from_all_threads() -> None:
    found = persistence(np.random.default_rng(2).normal(size=(300, 3, 60)).astype(np.float32) * 0.3)
    spec = PersistenceImage(resolution=20)
    every = spec.render(found, threads=1)
    np.testing.assert_array_equal(spec.render(found, threads=4), every)
    index = np.array([5, 299, 5, 0])
    out = np.empty((4, 3, 20, 20), np.float32)
    assert spec.render(found, index, out) is out
    np.testing.assert_array_equal(out, every[index])
    np.testing.assert_array_equal(spec.render(found.take(index)), every[index])
    assert spec.render(found, []).shape == (0, 3, 20, 20)
    with pytest.raises(UserError, match="expected float32"):
        spec.render(found, index, np.empty((4, 3, 20, 20)))
    with pytest.raises(IndexError):
        spec.render(found, [300])


@pytest.mark.parametrize(
    "values",
    [
        {"sigma": 0},
        {"sigma": float("nan")},
        {"resolution": 0},
        {"low": 1.0},
        {"low": -2.0, "high": -1.0},
        {"top": 1.0},
        {"layout": "exact", "top": 0.0},
        {"weight": "linear"},
    ],
)
def test_what_cannot_be_drawn_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        parse(PersistenceImage, values)


def test_a_spec_survives_being_written_down() -> None:
    spec = PersistenceImage(layout="exact", top=0.5, **GENE)  # type: ignore[arg-type]
    assert parse(PersistenceImage, dump(spec)) == spec


def test_the_usual_ranges_are_drawn_from_tables() -> None:
    """Were they not, all would still be right, and slow."""
    for spec in (PersistenceImage(), PersistenceImage(**GENE), PersistenceImage(sigma=0.3)):  # type: ignore[arg-type]
        assert all(axis.phases > 0 for axis in _axes(spec))
        assert all(axis.table.nbytes < 1 << 17 for axis in _axes(spec))


def test_compiled_code_is_optional_to_keep(tmp_path: Path) -> None:
    """A package folder and a home that cannot be written: each process compiles anew, and all works."""
    package = tmp_path / "limbeck"
    shutil.copytree(Path(__file__).parents[2] / "limbeck", package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "topology" / "__pycache__").write_text("a file where numba wants a folder")
    (tmp_path / "home").write_text("a file where the user's cache should be")
    code = (
        "import numpy as np\nfrom limbeck.topology import persistence\nprint(persistence([[1, 3, 0, 2, 1.5, 4]]).pairs)"
    )
    code += "\nfrom limbeck.topology import kernels\nprint(kernels.KEPT)"
    keep = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
    bare = {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "home"), "PYTHONPATH": str(tmp_path)}
    told = subprocess.run(
        [sys.executable, "-c", code], env={**keep, **bare}, cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert told.stdout.split() == ["[[1.5", "2.", "]", "[1.", "3.", "]]", "False"]


def test_the_package_alone_compiles_nothing() -> None:
    code = "import sys, limbeck.topology; sys.exit('numba' in sys.modules or 'sklearn' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
