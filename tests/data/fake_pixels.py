"""Simulated scenes in the files of the official layouts: of MTAN, of Cityscapes, and of NYU Depth v2."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from limbeck.data.scenes import Scenes

Array = np.ndarray[Any, Any]


def scene(number: int, size: tuple[int, int] = (24, 32)) -> tuple[Array, Array, Array, Array]:
    """Colours uint8 `(H, W, 3)`, classes 0 to 7 `(H, W)`, depth (m, NaN where unknown), normals `(H, W, 3)`."""
    made = Scenes(size=size).simulated(f"fake {number}")
    turn = (1, 2, 0)
    return made["image"].transpose(turn), made["segmentation"], made["depth"], made["normals"].transpose(turn)


def save(path: Path, values: Array) -> Path:
    """A .npy file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, values)
    return path


def mtan(root: Path, counts: tuple[int, int] = (4, 2), labels: str = "label", normals: bool = True) -> Path:
    """MTAN's layout, with stray files of its makers. Depth is in metres, or the disparity where labels are several."""
    for part, count in zip(("train", "val"), counts, strict=True):
        for i in range(count):
            image, classes, depth, direction = scene(10 * len(part) + i)
            save(root / part / "image" / f"{i}.npy", image / 255)
            save(root / part / labels / f"{i}.npy", np.where(classes == 7, -1, classes).astype(np.float32))
            known = np.nan_to_num(depth if labels == "label" else 1 / depth)[..., None].astype(np.float32)
            save(root / part / "depth" / f"{i}.npy", known)
            if normals:
                save(root / part / "normal" / f"{i}.npy", np.nan_to_num(direction))
        save(root / part / "noise" / "0.npy", np.zeros((2, 2)))
    (root / "train" / "image" / ".DS_Store").write_bytes(b"x")
    return root


IDS = np.array([7, 11, 23, 26, 24, 21, 25, 17])
"""Label ids of Cityscapes that the scenes' classes are given."""


def street(root: Path, part: str, name: str, number: int, flat: bool = False) -> dict[str, Path]:
    """One frame in Cityscapes' official files; `flat` puts all kinds into one folder. Gives the files by kind."""
    image, classes, depth, _ = scene(number, (32, 64))
    disparity = np.nan_to_num(256 * (0.209313 * 2262.52 / depth) + 1).clip(0, 65535).astype(np.uint16)
    ids = IDS[classes].astype(np.uint8)
    ids[-2:] = 1  # the car itself
    made = {"leftImg8bit": image, "gtFine_labelIds": ids, "disparity": disparity}
    paths = {}
    for kind, values in made.items():
        top = root if flat else root / kind.split("_")[0]
        paths[kind] = top / part / name.split("_")[0] / f"{name}_{kind}.png"
        paths[kind].parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.ascontiguousarray(values)).save(paths[kind])
    return paths


def streets(root: Path, flat: bool = False) -> Path:
    """Five frames in Cityscapes' official layout, two of them of one sequence, and what nobody reads."""
    names = {
        "train": ("ulm_000001_000019", "ulm_000001_000029", "bonn_000002_000019"),
        "val": ("munster_000003_000019",),
    }
    for part, of in names.items():
        for i, name in enumerate(of):
            street(root, part, name, 7 * len(part) + i, flat)
    street(root, "test", "berlin_000000_000019", 99, flat)
    some = next(root.rglob("ulm_000001_000019_gtFine_labelIds.png"))
    some.with_name(some.name.replace("labelIds", "color")).write_bytes(b"not read")
    return root


def rooms(root: Path, count: int = 6) -> Path:
    """The official file of NYU Depth v2 with its splits and mappings, in MATLAB's order of axes."""
    import h5py
    from scipy.io import savemat

    root.mkdir(parents=True, exist_ok=True)
    made = [scene(50 + i, (24, 32)) for i in range(count)]
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "w", userblock_size=512) as held:
        held["images"] = np.stack([image.transpose(2, 1, 0) for image, *_ in made])
        # Raw label 100 c + 1 of class c; class 7 has none.
        held["labels"] = np.stack([np.where(c == 7, 0, 100 * c + 1).T for _, c, *_ in made]).astype(np.uint16)
        held["rawDepths"] = np.stack([np.nan_to_num(d).T for *_, d, _ in made]).astype(np.float32)
        held["depths"] = np.stack([np.where(np.isnan(d), 5, d).T for *_, d, _ in made]).astype(np.float32)
        for name, texts in {
            "scenes": [f"room_{i // 2:04d}" for i in range(count)],
            "names": [f"name {i}" for i in range(894)],
        }.items():
            places = np.empty((1, len(texts)), h5py.ref_dtype)
            for i, text in enumerate(texts):
                cell = held.create_dataset(f"#refs#/{name}{i}", data=np.array([[ord(c)] for c in text], np.uint16))
                places[0, i] = cell.ref
            held[name] = places
    numbers = np.arange(1, count + 1)
    savemat(root / "splits.mat", {"trainNdxs": numbers[: count - 2, None], "testNdxs": numbers[count - 2 :, None]})
    forty = np.array([[i // 100 + 5 for i in range(894)]], np.uint8)
    savemat(root / "classMapping40.mat", {"mapClass": forty, "className": np.array(["x"] * 40, object)})
    thirteen = {"labels13": np.array([(i % 13) + 1 for i in range(40)], np.uint8), "names": np.array(["x"], object)}
    savemat(root / "class13Mapping.mat", {"classMapping13": thirteen})
    return root
