"""Maps of answers as files that other programs read, and some of them as one picture.

Classes are 8-bit PNGs whose values are ids (16-bit where there are more than 256), in colours. Depths in metres are
16-bit PNGs in millimetres, where 0 is nothing; other real values `.npy` of float32. Directions are 8-bit RGB PNGs.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from limbeck import checkpoint
from limbeck.paint import COLOURS, MAP, rgb
from limbeck.tasks import Task
from limbeck.timeline import STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL.Image import Image

Array = np.ndarray[Any, Any]
OVERVIEW = "overview.png"
MILLIMETRES = 1000
FARTHEST = 2**16 - 1
"""The largest value of a 16-bit PNG."""
PALETTE = 256
"""Ids of classes that a PNG with colours has room for."""


class Shown(NamedTuple):
    """An image `(H, W, 3)` or `(H, W)` with its maps by task, for the overview."""

    name: str
    pixels: Array
    maps: Mapping[str, Array]


def resized(pixels: Array, size: Sequence[int]) -> Array:
    """An image or map at another size (H, W): integers other than 8-bit pixels by the nearest, all else linearly, with
    antialiasing where it gets smaller."""
    from PIL import Image

    how = Image.Resampling.NEAREST if pixels.dtype == np.int32 else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(pixels).resize((size[1], size[0]), how))


def suffix(task: Task) -> str:
    """What a map's file is called after its image."""
    return f".{task.name}.npy" if _plain(task) else f".{task.name}.png"


def save(task: Task, made: Array, folder: Path, name: str) -> None:
    """Writes a map: ids `(H, W)`, real values `(H, W)` or directions `(H, W, 3)`, of the image of that name."""
    written = io.BytesIO()
    if _plain(task):
        np.save(written, made.astype(np.float32), allow_pickle=False)
    else:
        _image(task, made).save(written, "PNG")
    checkpoint.write(folder / f"{name}{suffix(task)}", written.getvalue())


def explain(tasks: Sequence[Task], folder: Path) -> None:
    """Writes what the files hold, as `maps.json`."""
    about = {task.name: {"file": f"IMAGE{suffix(task)}", **_meaning(task)} for task in tasks}
    checkpoint.write_json(folder / "maps.json", about)


def overview(tasks: Sequence[Task], shown: Sequence[Shown], folder: Path) -> None:
    """Draws images in rows, with their maps beside them."""
    import matplotlib

    drawn = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        _figure(tasks, shown).savefig(drawn, format="png", dpi=110, bbox_inches="tight")
    checkpoint.write(folder / OVERVIEW, drawn.getvalue())


def _plain(task: Task) -> bool:
    """Whether maps are kept as numbers: 16 bits of thousandths would be too coarse, or say nothing."""
    return not task.classes and task.quantity != "direction" and not (task.quantity == "depth" and task.unit == "m")


def _meaning(task: Task) -> dict[str, Any]:
    if task.classes:
        return {"values": "ids of classes", "labels": list(task.labels)}
    if task.quantity == "direction":
        return {"values": "128 + 127 of each part of a unit vector: x red, y green, z blue"}
    if _plain(task):
        return {"values": "float32", "unit": task.unit}
    return {"values": f"millimetres, at most {FARTHEST}; 0 where there is no positive depth", "unit": "mm"}


def _image(task: Task, made: Array) -> "Image":
    from PIL import Image

    if task.quantity == "direction":
        return Image.fromarray(np.round(128 + 127 * made).astype(np.uint8))
    if task.quantity == "depth":
        # Rounded before it is cut: what is nearer than half a millimetre is nothing too.
        return Image.fromarray(np.clip(np.round(MILLIMETRES * made), 0, FARTHEST).astype(np.uint16))
    if (task.classes or 0) > PALETTE:
        return Image.fromarray(made.astype(np.uint16))
    image = Image.fromarray(made.astype(np.uint8))
    image.putpalette([part for number in range(PALETTE) for part in rgb(COLOURS[number % len(COLOURS)])])
    return image


def _figure(tasks: Sequence[Task], shown: Sequence[Shown]) -> "Figure":
    from matplotlib.figure import Figure

    high = sum(min(2.2, max(0.5, each.pixels.shape[0] / each.pixels.shape[1])) for each in shown)
    figure = Figure(figsize=(3.2 * (1 + len(tasks)), 3.0 * high + 1.4), layout="constrained")
    grid: Any = figure.subplots(len(shown), 1 + len(tasks), squeeze=False)
    for row, each in zip(grid, shown, strict=True):
        for axes in row:
            axes.set_xticks([])
            axes.set_yticks([])
        row[0].imshow(each.pixels, cmap="gray")
        row[0].set_xlabel(each.name, fontsize="small", wrap=True)
    for place, task in enumerate(tasks, start=1):
        grid[0, place].set_title(f"{task.name} ({task.unit})" if task.unit else task.name)
        _column(figure, grid[:, place], task, [each.maps[task.name] for each in shown])
    return figure


def _column(figure: "Figure", column: "Sequence[Axes]", task: Task, maps: Sequence[Array]) -> None:
    """The maps of one task, all to the same scale, which stands below."""
    from matplotlib.patches import Patch

    if task.classes:
        colours = np.array([rgb(colour) for colour in COLOURS], np.uint8)
        for axes, made in zip(column, maps, strict=True):
            axes.imshow(colours[made % len(colours)], interpolation="nearest")
        seen = np.unique(np.concatenate([np.unique(made) for made in maps])).tolist()
        names = [task.labels[number] if task.labels else str(number) for number in seen[: len(COLOURS)]]
        patches = [
            Patch(color=f"#{COLOURS[n % len(COLOURS)]}", label=name) for n, name in zip(seen, names, strict=False)
        ]
        column[-1].legend(
            handles=patches, loc="upper center", bbox_to_anchor=(0.5, -0.05), frameon=False, fontsize="small", ncols=3
        )
        return
    if task.quantity == "direction":
        for axes, made in zip(column, maps, strict=True):
            axes.imshow(np.clip((made + 1) / 2, 0, 1))
        column[-1].set_xlabel("x red, y green, z blue", fontsize="small")
        return
    low, high = np.quantile(np.concatenate([made.ravel() for made in maps]), (0.02, 0.98))
    for axes, made in zip(column, maps, strict=True):
        last = axes.imshow(made, cmap=MAP, vmin=low, vmax=high)
    figure.colorbar(last, ax=list(column), location="bottom", shrink=0.9, pad=0.02)
