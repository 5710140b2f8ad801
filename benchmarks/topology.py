"""Persistence diagrams and images of signals against ripser, gudhi, cripser, persim and the published pipeline."""

import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cripser
import gudhi
import numpy as np
from gudhi import representations
from persim import PersImage, PersistenceImager
from ripser import ripser
from scipy import sparse

from benchmarks import timing
from limbeck.topology.diagrams import Diagrams, cores, persistence
from limbeck.topology.images import PersistenceImage

Array = np.ndarray[Any, Any]
SIZE, SIGMA, LEAST = 64, 0.015, 0.01
LEGACY = PersistenceImage()
EXACT = PersistenceImage(layout="exact", low=0.0, high=1.0)
Side = tuple[Callable[[], object], int]
"""A turn, and the signals that it works on."""
OURS, IMAGER, PUBLISHED = "limbeck", "ripser + persim.PersistenceImager", "published: ripser + persim.PersImage"
FRESH = ("nothing kept: compiled, and kept on disk", "in the next process")
FIRST = """
import time
import numpy as np
from limbeck.topology import PersistenceImage, persistence
windows = np.random.default_rng(0).random((2, 1, 50), np.float32)
start = time.perf_counter()
PersistenceImage().render(persistence(windows))
print(time.perf_counter() - start)
"""


def har(count: int, length: int) -> Array:
    """Movement at 33 Hz in [0, 1], float32 `(count, length)`: a step of 0.8 to 2.5 Hz, its double, and noise."""
    draw, seconds = np.random.default_rng(length), np.arange(length) / 33
    rate, phase, height = (draw.uniform(*ends, (count, 1)) for ends in ((0.8, 2.5), (0, 6.3), (0.05, 0.3)))
    wave = np.sin(2 * np.pi * rate * seconds + phase) + 0.4 * np.sin(4 * np.pi * rate * seconds + 2 * phase)
    made = 0.5 + height * wave + 0.04 * draw.normal(size=(count, length))
    return np.clip(made, 0.001, 0.999).astype(np.float32)


def rips(x: Array) -> Array:
    """Finite pairs by ripser, from the path graph; it takes zeros for edges that are not there."""
    n = len(x)
    rows, columns = np.r_[np.arange(n), np.arange(n - 1)], np.r_[np.arange(n), np.arange(1, n)]
    matrix = sparse.csr_matrix((np.r_[x, np.maximum(x[:-1], x[1:])], (rows, columns)), shape=(n, n))
    found = ripser(matrix, maxdim=0, distance_matrix=True)["dgms"][0]
    return np.asarray(found[np.isfinite(found[:, 1])])


def cubical(x: Array) -> Array:
    """Finite pairs by gudhi."""
    built = gudhi.CubicalComplex(top_dimensional_cells=x)
    built.compute_persistence()
    found = built.persistence_intervals_in_dimension(0)
    return np.asarray(found[np.isfinite(found[:, 1])])


def cripped(x: Array) -> Array:
    """Finite pairs by cripser, whose class that never dies has the largest double as its death."""
    found = cripser.computePH(x, maxdim=0)[:, 1:3]
    return np.asarray(found[found[:, 1] < np.finfo(np.float64).max])


def published(x: Array) -> Array:
    """As in the published notebook: two cuts, the deprecated class of persim, divided by the largest pixel."""
    pairs = rips(x).astype(np.float64)
    pairs = pairs[pairs[:, 1] - pairs[:, 0] > 1e-3]
    pairs = pairs[pairs[:, 1] - pairs[:, 0] > LEAST]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        drawer = PersImage((SIZE, SIZE), SIGMA, {"minBD": -1, "maxBD": 1}, verbose=False)
    return peaked(np.asarray(drawer.transform(pairs)))


IMAGE = PersistenceImager((0.0, 1.0), (0.0, 1.0), 1 / SIZE, kernel_params={"sigma": [[SIGMA**2, 0.0], [0.0, SIGMA**2]]})
SAMPLED = representations.PersistenceImage(
    SIGMA, weight=lambda point: point[1], resolution=[SIZE, SIZE], im_range=[0.0, 1.0, 0.0, 1.0]
).fit([np.array([[0.1, 0.2]])])


def imager(x: Array) -> Array:
    """Contiguous bins, by persim's present class."""
    pairs = rips(x).astype(np.float64)
    return peaked(IMAGE.transform(pairs[pairs[:, 1] - pairs[:, 0] > LEAST]).T[::-1])


def sampled(x: Array) -> Array:
    """By gudhi, which takes the density at points: other numbers."""
    pairs = cubical(x)
    return peaked(SAMPLED.transform([pairs[pairs[:, 1] - pairs[:, 0] > LEAST]])[0])


def peaked(image: Array) -> Array:
    """Divided by its largest pixel."""
    return image / image.max() if image.max() > 0 else image


def each(function: Callable[[Array], Array], signals: Array) -> Side:
    """One signal after another."""
    return (lambda: [function(x) for x in signals]), len(signals)


def drawn(signals: Array, out: Array | None, spec: PersistenceImage = LEGACY, threads: int = 1) -> Side:
    """All signals at once, from samples to images."""
    return (lambda: spec.render(persistence(signals, threads=threads), None, out, threads)), len(signals)


def prove(signals: Array) -> None:
    """Pairs are equal, images alike to 1e-6; stops where they are not."""
    found = persistence(signals)
    worst = {PUBLISHED: 0.0, IMAGER: 0.0}
    ours = {PUBLISHED: LEGACY.render(found), IMAGER: EXACT.render(found)}
    for n, x in enumerate(signals):
        own = ordered(found.of(n, 0))
        for other in (rips, cubical, cripped):
            np.testing.assert_array_equal(ordered(other(x)), own)
        for name, drawer in ((PUBLISHED, published), (IMAGER, imager)):
            worst[name] = max(worst[name], float(np.abs(drawer(x) - ours[name][n, 0]).max()))
    assert max(worst.values()) < 1e-6, worst
    print(
        f"{signals.shape}: {len(found.pairs) / len(found):.1f} pairs a signal, equal to ripser's, gudhi's, cripser's;"
    )
    print("  images apart by at most", ", ".join(f"{v:.1e} ({k})" for k, v in worst.items()))


def ordered(pairs: Array) -> Array:
    """Sorted by birth, then death."""
    return pairs[np.lexsort(pairs.T[::-1])]


def compare(title: str, sides: dict[str, Side], rounds: int, reference: str = OURS) -> None:
    """Prints what each side takes for 1000 signals, as ratios within a round."""
    spent = timing.measure({name: turn for name, (turn, _) in sides.items()}, rounds)
    scaled = {
        name: [timing.Spent(s.cpu * 1000 / sides[name][1], s.wall * 1000 / sides[name][1]) for s in turns]
        for name, turns in spent.items()
    }
    print(timing.table(title, scaled, reference, 1, "1000 signals"), flush=True)


def images(length: int, many: int, few: int, rounds: int) -> None:
    """From samples to images, and what writing as many bytes takes."""
    signals = har(many, length)
    out, other = np.empty((many, 1, SIZE, SIZE), np.float32), np.zeros((many, 1, SIZE, SIZE), np.float32)
    sides: dict[str, Side] = {
        OURS: drawn(signals, out),
        "limbeck, again (A/A)": drawn(signals, out),
        "limbeck, exact bins": drawn(signals, out, EXACT),
        "limbeck, into new memory": drawn(signals, None),
        "floor: as many bytes filled": ((lambda: other.fill(1)), many),
        "floor: as many bytes copied": ((lambda: np.copyto(other, out)), many),
        PUBLISHED: each(published, signals[:few]),
        IMAGER: each(imager, signals[:few]),
        "gudhi cubical + PersistenceImage": each(sampled, signals[:few]),
    }
    compare(f"images {SIZE}x{SIZE} of signals of {length} samples", sides, rounds)


def diagrams(length: int, many: int, few: int, rounds: int) -> None:
    """From samples to pairs."""
    signals = har(many, length)
    sides: dict[str, Side] = {
        OURS: ((lambda: persistence(signals, threads=1)), many),
        "limbeck, again (A/A)": ((lambda: persistence(signals, threads=1)), many),
        "cripser.computePH": each(cripped, signals[:few]),
        "gudhi.CubicalComplex": each(cubical, signals[:few]),
        "ripser, sparse": each(rips, signals[:few]),
    }
    if find_spec("gtda"):
        from gtda.homology import CubicalPersistence

        giotto = CubicalPersistence(homology_dimensions=(0,), n_jobs=1)
        sides["giotto CubicalPersistence"] = ((lambda: giotto.fit_transform(signals[:few])), few)
    else:
        print("giotto: not installed")
    compare(f"diagrams of signals of {length} samples", sides, rounds)


def scaling(many: int, rounds: int) -> None:
    """One thread against all; what counts is the clock."""
    signals, out = har(many, 100), np.empty((many, 1, SIZE, SIZE), np.float32)
    all_ = len(os.sched_getaffinity(0)) if sys.platform == "linux" else cores()
    sides = {"1 thread": drawn(signals, out), f"{all_} threads": drawn(signals, out, threads=all_)}
    compare(f"images by threads, load of the machine {os.getloadavg()[0]:.1f}", sides, rounds, "1 thread")


def first(turns: tuple[str, ...]) -> None:
    """What the first call of a process takes, compiled code not kept and kept."""
    with tempfile.TemporaryDirectory() as folder:
        for what in turns:
            told = subprocess.run(
                [sys.executable, "-c", FIRST],
                env=os.environ | ({"NUMBA_CACHE_DIR": folder} if turns == FRESH else {}),
                check=True,
                capture_output=True,
                text=True,
            ).stdout
            print(f"first images of a process, {what}: {float(told):.2f} s")


def store(windows: int) -> None:
    """Bytes of the diagrams of a set like PAMAP2 (40 channels, 100 samples) by those of its images."""
    draw = np.random.default_rng(0)
    noise = draw.normal(size=(windows, 40, 104))
    smooth = np.lib.stride_tricks.sliding_window_view(noise, 5, axis=-1) @ np.hanning(7)[1:-1]
    low, high = smooth.min(), smooth.max()
    found: Diagrams = persistence(((smooth - low) / (high - low)).astype(np.float32))
    bytes_ = windows * 40 * SIZE * SIZE * 4
    for what, kept in (("all classes", found), (f"persistence above {LEAST}", found.cut(LEAST))):
        print(f"diagrams kept, {what}: {bytes_ / kept.nbytes:.0f} times smaller than float32 images", end=" ")
        print(f"({len(kept.pairs) / windows / 40:.1f} pairs each)", flush=True)


def main(quick: bool, rounds: int) -> None:
    """Proves that all sides do the same, then prints tables."""
    lengths = (20,) if quick else (100, 200, 500, 1000)
    for length in lengths:
        prove(har(3 if quick else 40, length))
    for length in lengths:
        images(length, *((20, 1) if quick else (2000, max(1, 400 // length))), rounds)
    for length in lengths:
        diagrams(length, *((20, 2) if quick else (2000, 40)), rounds)
    scaling(256 if quick else 8000, rounds)
    first(("in a process whose code is kept",) if quick else FRESH)
    store(5 if quick else 500)


if __name__ == "__main__":
    asked = timing.arguments(__doc__ or "", 15)
    main(asked.quick, 2 if asked.quick else asked.rounds)
