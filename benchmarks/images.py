"""Images per second of what feeds training: ours, packed and lazy, against torchvision's ImageFolder and a DataLoader
with two workers.

Images are those of a folder or zip (UTKFace's, where nothing is named and it is there), or else generated; each side
mirrors half of them, cuts them at random after padding by 4, and makes normalised floats of 64 x 64 in batches of 128.
"""

import io
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from PIL import Image

from benchmarks import timing
from limbeck.augment import ImageAugment
from limbeck.data.archive import Reader
from limbeck.data.order import Order
from limbeck.data.own_images import Images
from limbeck.data.source import Table
from limbeck.models.heads import Normalise

UTKFACE = (
    Path(os.environ.get("LIMBECK_DATA", Path(__file__).parents[2] / "shared" / "data"))
    / "faces"
    / "utkface-64px-half.zip"
)
BATCH, SIDE, PAD, WORKERS = 128, 64, 4, 2
MEAN, STD = 0.5, 0.25
OURS, THEIRS = "limbeck, later passes", "torchvision, 2 workers"
_LIBRARIES: list[torch.library.Library] = []


def torchvision() -> Any:
    """torchvision's parts that are used, or none where it is not installed.

    Its compiled part does not load beside a torch without CUDA, which nothing here needs but its import does.
    """
    if torch.version.cuda is None and not _LIBRARIES:
        _LIBRARIES.append(torch.library.Library("torchvision", "DEF"))
        for name in ("nms", "qnms"):
            _LIBRARIES[0].define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    try:
        from torchvision import datasets, transforms
    except ModuleNotFoundError:
        return None
    return SimpleNamespace(datasets=datasets, transforms=transforms)


def folder(source: str, to: Path, count: int) -> Path:
    """A folder with two folders of JPEGs: of a folder or zip, or generated."""
    if not source and UTKFACE.is_file():
        source = str(UTKFACE)
    if source:
        reader, entries = Reader(), Images(root=Path(source)).images()
        contents = (reader.read(entry) for entry in entries[: count or len(entries)])
    else:
        contents = _generated(count or 8000)
    for number, content in enumerate(contents):
        path = to / "ab"[number % 2] / f"{number:06d}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return to


def _generated(count: int) -> Iterator[bytes]:
    """JPEGs of smooth noise, about as large as faces are."""
    draw = np.random.default_rng(0)
    for _ in range(count):
        small, out = draw.integers(0, 256, (12, 12, 3), dtype=np.uint8), io.BytesIO()
        Image.fromarray(small).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(out, "JPEG", quality=90)
        yield out.getvalue()


def table(root: Path, store: Literal["packed", "lazy"] = "packed") -> Table:
    """The images as Limbeck loads them."""
    return Images(root=root, size=SIDE, classes_from="folders", store=store).load()


def normalise() -> Normalise:
    """The same constants as torchvision is given."""
    made = Normalise(3, dims=2)
    made.mean.fill_(255 * MEAN)
    made.std.fill_(255 * STD)
    return made


def batches(of: Table, seed: int) -> Iterator[torch.Tensor]:
    """The images of an epoch, as a model's trunk gets them."""
    order, augment, scale = Order(len(of), BATCH, seed), ImageAugment(flip=True, crop=PAD), normalise()
    for step in range(order.per_epoch):
        yield scale(augment(of.rows(order.at(step))).inputs["image"])


def loader(root: Path, workers: int) -> Any:
    """torchvision's usual pipeline."""
    tv = torchvision()
    t = tv.transforms
    changes = t.Compose(
        [
            t.Resize((SIDE, SIDE)),
            t.RandomHorizontalFlip(),
            t.RandomCrop(SIDE, padding=PAD, padding_mode="reflect"),
            t.ToTensor(),
            t.Normalize([MEAN] * 3, [STD] * 3),
        ]
    )
    data = tv.datasets.ImageFolder(str(root), changes)
    return torch.utils.data.DataLoader(data, BATCH, shuffle=True, num_workers=workers)


def ours(root: Path, cache: str) -> timing.Turn:
    """An epoch of images that were packed before."""
    torch.set_num_threads(1)
    os.environ["LIMBECK_CACHE"] = cache
    of, seeds = table(root), iter(range(1_000_000))
    return lambda: sum(len(x) for x in batches(of, next(seeds)))


def first(root: Path, store: Literal["packed", "lazy"]) -> timing.Turn:
    """Loading and an epoch, with nothing kept from before but the hashes of files."""
    torch.set_num_threads(1)

    def turn() -> int:
        with tempfile.TemporaryDirectory() as cache:
            os.environ["LIMBECK_CACHE"] = cache
            return sum(len(x) for x in batches(table(root, store), 0))

    return turn


def theirs(root: Path, workers: int) -> timing.Turn:
    """An epoch of torchvision's."""
    torch.set_num_threads(1)
    images = loader(root, workers)
    return lambda: sum(len(x) for x, _ in images)


def proof(root: Path) -> None:
    """Stops where a side's images are not the other's, or are changed in a way that the other's could not be."""
    tv, of = torchvision(), table(root)
    f = tv.transforms.functional
    files = [root / name for name in of.meta["file"][:8]]
    plain = [Image.open(path).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR) for path in files]
    pixels = of.rows(torch.arange(8)).inputs["image"]
    known = torch.stack([f.to_tensor(image) for image in plain])
    assert torch.equal(pixels, (known * 255).round().byte())
    assert (normalise()(pixels) - (known - MEAN) / STD).abs().max() < 1e-5
    changed = ImageAugment(flip=True, crop=PAD)(of.rows(torch.arange(8))).inputs["image"]
    for image, made in zip(plain, changed, strict=True):
        wide = f.pad(image, PAD, padding_mode="reflect")
        cuts = [f.crop(wide, top, left, SIDE, SIDE) for top in range(2 * PAD + 1) for left in range(2 * PAD + 1)]
        cuts += [f.hflip(cut) for cut in cuts]
        assert any(np.array_equal(np.asarray(cut).transpose(2, 0, 1), made) for cut in cuts)


def memory(turn: timing.Turn) -> tuple[float, float]:
    """MB of this process and its children at most while a turn lasts: all, and without the pages of files."""
    most, over = [0.0, 0.0], threading.Event()

    def watch() -> None:
        while not over.is_set():
            now = _held()
            most[:] = [max(pair) for pair in zip(most, now, strict=True)]
            time.sleep(0.05)

    thread = threading.Thread(target=watch)
    thread.start()
    turn()
    over.set()
    thread.join()
    return most[0], most[1]


def _held() -> tuple[float, float]:
    """MB now, pages that several processes share counted once."""
    own = os.getpid()
    children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
    total = anonymous = 0.0
    for process in (own, *children):
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:  # a worker that has just ended
            continue
        held = {name: float(value.split()[0]) / 1000 for name, _, value in (x.partition(":") for x in lines[1:])}
        total, anonymous = total + held["Pss"], anonymous + held["Pss_Anon"]
    return total, anonymous


def memories(make: Any) -> timing.Turn:
    """A turn that prints what memory the turn of a side takes."""
    turn = make()

    def told() -> None:
        whole, anonymous = memory(turn)
        print(f"  {whole:6.0f} MB at most, {anonymous:6.0f} without pages of files", end="")

    return told


def main(quick: bool, rounds: int, source: str) -> None:
    """Prints images per second and memory of each side."""
    with tempfile.TemporaryDirectory() as at:
        (root := Path(at, "images")).mkdir()
        folder(source, root, 160 if quick else 0)
        os.environ["LIMBECK_CACHE"] = str(Path(at, "cache"))
        count = len(table(root))
        sides: dict[str, Any] = {
            OURS: partial(ours, root, str(Path(at, "cache"))),
            "limbeck, later passes (A/A)": partial(ours, root, str(Path(at, "cache"))),
            "limbeck, first pass, packing": partial(first, root, "packed"),
            "limbeck, first pass, lazy": partial(first, root, "lazy"),
        }
        if torchvision() is None:
            print("torchvision is not installed, so Limbeck is compared with nothing: pip install torchvision")
        else:
            proof(root)
            sides |= {f"torchvision, {n} workers": partial(theirs, root, n) for n in (WORKERS, 0)}
        reference = THEIRS if THEIRS in sides else OURS
        together = nullcontext({name: make() for name, make in sides.items()}) if quick else timing.apart(sides)
        with together as turns:
            spent = timing.measure(turns, rounds)
        print(timing.table(f"{count} images of {SIDE} x {SIDE}", spent, reference, count / 1000, "1000 images"))
        for name, of in spent.items():
            faster = timing.Ratio.of([base.wall / one.wall for base, one in zip(spent[reference], of, strict=True)])
            speed = count / float(np.median([one.wall for one in of]))
            print(f"  {name:34} {speed:8.0f} images a second, {faster} times {reference}")
        for name, make in () if quick else sides.items():
            print(f"  {name:34}", end="", flush=True)
            with timing.apart({name: partial(memories, make)}) as turns:
                timing.once(turns[name])
            print()


if __name__ == "__main__":
    asked = timing.arguments(__doc__ or "", 5, "source")
    main(asked.quick, 2 if asked.quick else asked.rounds, asked.source)
