"""The verbs `limbeck topology ...`: diagrams and images of windows into files, and pictures of single windows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from cyclopts import App, Parameter

from limbeck.errors import UserError

if TYPE_CHECKING:
    from limbeck.topology.images import PersistenceImage
    from limbeck.topology.shards import Signals

app = App(
    name="topology",
    help="Persistence diagrams and images of windows.\n\nExample: limbeck topology plot wearable --out window.png",
)
Given = Annotated[
    str,
    Parameter(allow_leading_hyphen=True, help="Fields of that kind, --root DIR, and --image.sigma 0.1."),
]
Filtration = Literal["sublevel", "superlevel", "both"]


class Source(NamedTuple):
    """Windows, and what is known of them."""

    signals: "Signals"
    card: Mapping[str, Any]


@app.command
def extract(
    source: str,
    /,
    *fields: Given,
    out: Path,
    images: bool = False,
    filtration: Filtration = "sublevel",
    shard: int = 4096,
    threads: int | None = None,
) -> None:
    """Writes diagrams of all windows, and images, into a folder.

    Example: limbeck topology extract usc-had --root DIR --out persistence/usc-had

    What is there and sound is kept. limbeck.topology.shards.opened(FOLDER) reads it.

    Parameters
    ----------
    source
        A kind of limbeck data list, or .npy: (N, M, L).
    out
        The folder.
    images
        Draw images too, as --image.resolution and its like say.
    filtration
        Minima (sublevel), maxima, or channels of each.
    shard
        Windows in a file.
    threads
        One for each core if not given.
    """
    from rich.console import Console

    from limbeck.topology.shards import extract as write

    own, image = _parted(fields)
    if image and not images:
        raise UserError(f"--image.{next(iter(image))} says how images are drawn: say --images too")
    spec = _spec(image) if images else None
    windows = _opened(source, own)
    made = write(windows.signals, out, spec, shard, filtration, threads, Console(stderr=True))
    _tell(out, made.manifest, made.made, made.others, spec)


@app.command
def plot(source: str, /, *fields: Given, out: Path, window: int = 0, filtration: Filtration = "sublevel") -> None:
    """Draws one window: each channel beside its diagram and its persistence image.

    Example: limbeck topology plot usc-had --root DIR --window 3 --out picture.png

    Parameters
    ----------
    source
        A kind of limbeck data list, or .npy: (N, M, L).
    out
        .png or .svg.
    window
        Its number, from 0.
    filtration
        Minima (sublevel), maxima (superlevel), or both.
    """
    import numpy as np
    import torch
    from rich.console import Console

    from limbeck.topology import plots

    own, image = _parted(fields)
    signals, card = _opened(source, own)
    if not 0 <= window < len(signals):
        raise UserError(f"--window {window}: {source} has windows 0 to {len(signals) - 1}")
    one = signals[[window]] if isinstance(signals, np.ndarray) else np.asarray(signals[torch.tensor([window])])
    signal = np.atleast_2d(one[0])
    bad = np.flatnonzero(~np.isfinite(signal).all(axis=1))
    if len(bad):
        raise UserError(f"window {window}, channel {bad[0]} of {source} has a value that is not finite")
    plots.window(
        signal, out, _spec(image), filtration, card.get("channels", ()), card.get("unit", ""),
        card.get("rate"), f"{source}, window {window}",
    )  # fmt: skip
    Console().print(f"{out}", highlight=False, markup=False, soft_wrap=True)


def _parted(fields: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The words for the recordings, and the fields of the image by name."""
    from limbeck.config import arguments

    paths = arguments(fields)
    image = {name.removeprefix("image."): value for name, value in paths.items() if name.startswith("image.")}
    return [f"--{name}={value}" for name, value in paths.items() if not name.startswith("image.")], image


def _spec(image: Mapping[str, str]) -> "PersistenceImage":
    from limbeck.config import parse
    from limbeck.topology import PersistenceImage

    return parse(PersistenceImage, image, "image.")


def _opened(source: str, fields: Sequence[str]) -> Source:
    """The windows of a kind of recordings, or of a .npy file, which stays on disk."""
    if Path(source).suffix != ".npy":
        from limbeck.fields import data_spec

        table = data_spec(source, fields).load()
        return Source(next(iter(table.inputs.values())), table.card)
    import numpy as np

    if fields:
        raise UserError(f"{source} is a file of windows, which has no {fields[0].partition('=')[0]}")
    try:
        array = np.load(source, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise UserError(f"no file {source}; name a .npy file of windows, or a kind of recordings") from None
    except (ValueError, EOFError) as error:
        raise UserError(f"{source} is no .npy file of numbers, or is damaged ({error})") from None
    if array.ndim not in (2, 3):
        raise UserError(f"{source} is of shape {array.shape}; expected windows (N, M, L), or (N, L) for one channel")
    return Source(array, {})


def _tell(out: Path, manifest: Mapping[str, Any], made: int, others: int, spec: "PersistenceImage | None") -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False, soft_wrap=True)
    shards = manifest["shards"]
    pairs = sum(shard["pairs"] for shard in shards)
    console.print(
        f"{manifest['windows']} windows of {manifest['channels']} channels: {pairs} pairs, "
        f"{pairs / manifest['windows'] / manifest['channels']:.3g} a diagram"
    )
    if spec:
        beyond = sum(shard["outside"] for shard in shards)
        console.print(f"images {spec.resolution} x {spec.resolution}, stored as {manifest['stored']}")
        if beyond > 0.01 * pairs:
            console.print(_advice(out, beyond / pairs, spec), style="yellow")
    if others:
        console.print(f"{others} other files there are of other windows or values, and are left alone")
    files = len(shards) * (2 if spec else 1)
    console.print(f"{files} files, {made} of them made now: {out}")


def _advice(out: Path, share: float, spec: "PersistenceImage") -> str:
    from limbeck.topology.column import FittedImage
    from limbeck.topology.shards import opened

    fit = FittedImage(resolution=spec.resolution, layout=spec.layout).fit(opened(out))
    words = {name: getattr(fit, name) for name in ("low", "high", "top", "sigma", "least")}
    better = " ".join(f"--image.{name} {value:.3g}" for name, value in words.items() if value is not None)
    low, high, top = spec.frame
    beyond = f"{share:.1%} of the pairs lie beyond births {low:g} to {high:g} or persistence {top:g}"
    return f"warning: {beyond}; {better} holds nearly all"
