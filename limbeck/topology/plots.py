"""Pictures of diagrams and of persistence images, alone or beside the window that they were made of."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from limbeck import checkpoint
from limbeck.errors import UserError
from limbeck.timeline import STYLE
from limbeck.topology.diagrams import Filtration, persistence
from limbeck.topology.images import PersistenceImage

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

Array = np.ndarray[Any, Any]
Found = Mapping[str, tuple[Array, float | None]]
"""By filtration: pairs `(p, 2)`, and the birth of the one that never dies where it is to be marked."""
SIDE, SIGNAL = 2.7, 1.7
"""Inches of a diagram or image, and how many times as wide a signal is."""
LOOKS = {"sublevel": ("C0", "o", "^"), "superlevel": ("C1", "s", "v")}
"""Colour, mark of a pair, and of the one that never dies."""


def window(
    signal: Array,
    path: Path | str,
    spec: PersistenceImage,
    filtration: Filtration = "sublevel",
    channels: Sequence[str] = (),
    unit: str = "",
    rate: float | None = None,
    title: str = "",
) -> None:
    """Writes a picture of one window `(M, L)` as `.png` or `.svg`: each channel beside its diagram and its images.

    Time is in seconds where a `rate` (Hz) is given, else in samples. Pairs that an image leaves out (persistence of
    at most `spec.least`) are grey.
    """
    found = persistence(signal[None], filtration, threads=1)
    drawn = spec.render(found, threads=1)[0]
    ways = [way for way in LOOKS if filtration in (way, "both")]
    shares = [SIGNAL, *[1.0] * (1 + len(ways))]
    seconds = np.arange(signal.shape[1]) / (rate or 1)
    with _picture(path, len(signal), shares) as figure:
        figure.suptitle(title, fontsize="medium")
        grid = figure.subplots(len(signal), len(shares), squeeze=False, gridspec_kw={"width_ratios": shares})
        for number, axes in enumerate(grid):
            axes[0].plot(seconds, signal[number], color="0.25", linewidth=0.9)
            axes[0].set_ylabel(_with(unit, channels[number] if channels else f"channel {number}"))
            places = {way: number + turn * len(signal) for turn, way in enumerate(ways)}
            _diagram(axes[1], {w: (found.of(0, p), float(found.essential[p])) for w, p in places.items()}, spec.least)
            for below, (way, place) in zip(axes[2:], places.items(), strict=True):
                _image(below, drawn[place], spec)
                below.set_title(_said(way if len(ways) > 1 else "", found.of(0, place), spec), fontsize="small")
        grid[-1][0].set_xlabel("seconds" if rate else "samples")
        for axes in grid[-1][1:]:
            axes.set_xlabel(_with(unit, "birth"))
        _legend(figure, grid[0][1])


def diagram(pairs: Array, path: Path | str, essential: float | None = None, unit: str = "") -> None:
    """Writes a picture of one diagram `(p, 2)`, birth against death, with the one that never dies on its edge."""
    way = "superlevel" if len(pairs) and pairs[0, 0] > pairs[0, 1] else "sublevel"
    with _picture(path, 1, [1.5]) as figure:
        axes = figure.subplots()
        _diagram(axes, {way: (pairs, essential)}, 0.0)
        axes.set(xlabel=_with(unit, "birth"), ylabel=_with(unit, "death"))
        _legend(figure, axes)


def image(values: Array, path: Path | str, spec: PersistenceImage, unit: str = "") -> None:
    """Writes a picture of one image `(R, R)`, with its axes in the signal's unit."""
    with _picture(path, 1, [1.6]) as figure:
        axes = figure.subplots()
        figure.colorbar(_image(axes, values, spec), ax=axes)
        axes.set(xlabel=_with(unit, "birth"), ylabel=_with(unit, "persistence"))


@contextmanager
def _picture(path: Path | str, rows: int, shares: Sequence[float]) -> "Iterator[Figure]":
    """A figure of so many rows and of columns of such widths, that is written when all is drawn."""
    target = Path(path)
    if target.suffix not in (".png", ".svg"):
        raise UserError(f"a plot is written as .png or .svg, not {target.name!r}")
    import matplotlib
    from matplotlib.figure import Figure

    drawn, kind = io.BytesIO(), target.suffix[1:]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(SIDE * sum(shares), SIDE * rows + 0.5), layout="constrained")
        yield figure
        figure.savefig(drawn, format=kind, dpi=120, metadata={"Date": None} if kind == "svg" else None)
    checkpoint.write(target, drawn.getvalue())


def _with(unit: str, what: str) -> str:
    return f"{what} ({unit})" if unit else what


def _said(way: str, pairs: Array, spec: PersistenceImage) -> str:
    beyond = spec.outside(pairs)
    return ": ".join(filter(None, [way, f"{beyond} pairs lie beyond" if beyond else ""]))


def _diagram(axes: "Axes", found: Found, least: float) -> None:
    values = np.concatenate([np.append(pairs, [] if e is None else [e]) for pairs, e in found.values()])
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    gap = 0.08 * (high - low) or 0.5
    low, high = low - gap, high + gap
    axes.plot([low, high], [low, high], color="0.6", linewidth=0.8)
    for way, (pairs, essential) in found.items():
        colour, mark, never = LOOKS[way]
        small = np.abs(pairs[:, 1] - pairs[:, 0]) <= least
        axes.plot(*pairs[small].T, mark, color="0.7", markersize=3, markeredgewidth=0)
        axes.plot(*pairs[~small].T, mark, color=colour, markersize=4, alpha=0.8, markeredgewidth=0, label=way)
        if essential is not None:
            edge = high if way == "sublevel" else low
            label = f"{way}, never dies"
            axes.plot([essential], [edge], never, color=colour, markersize=7, clip_on=False, zorder=3, label=label)
    axes.set(xlim=(low, high), ylim=(low, high), box_aspect=1, ylabel="death")


def _legend(figure: "Figure", axes: "Axes") -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower right", ncols=4, frameon=False, fontsize="small")


def _image(axes: "Axes", values: Array, spec: PersistenceImage) -> "AxesImage":
    low, high, top = spec.frame
    if spec.layout == "persim_legacy":  # bins begin at low ... high, so that the last one ends beyond
        step = 1 / max(1, spec.resolution - 1)
        high, top = high + (high - low) * step, top + top * step
    axes.set(box_aspect=1, ylabel="persistence")
    return axes.imshow(values, extent=(low, high, 0.0, top), aspect="auto", cmap="magma", interpolation="nearest")
