"""What this machine has: versions, devices, extras, and folders that can be written."""

import importlib
import os
import platform
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from limbeck.data import cache

CORE = (
    "torch",
    "numpy",
    "scipy",
    "pandas",
    "scikit-learn",
    "pydantic",
    "safetensors",
    "cyclopts",
    "rich",
    "jinja2",
    "matplotlib",
)
EXTRAS = {
    "watch": ("seglearn",),
    "onnx": ("onnx", "onnxruntime", "onnxscript"),
    "track": ("tensorboard",),
    "parquet": ("pyarrow",),
}


def examine(console: Console) -> bool:
    """Prints what was found; whether the core works."""
    import torch

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_row("python", platform.python_version(), platform.platform())
    sound = True
    for name in ("limbeck", *CORE):
        found = _version(name)
        sound = sound and found is not None
        table.add_row(name, found or "[red]missing[/]", "")
    table.add_row("cpu", f"{os.cpu_count()} cores", f"torch uses {torch.get_num_threads()} threads")
    for number in range(torch.cuda.device_count()):
        table.add_row(f"cuda:{number}", torch.cuda.get_device_name(number), "")
    if not torch.cuda.is_available():
        table.add_row("cuda", "no", "")
    for extra, needs in EXTRAS.items():
        lacking = [name for name in needs if not _works(name)]
        hint = f"lacks {', '.join(lacking)}: pip install 'limbeck\\[{extra}]'" if lacking else ""
        table.add_row(f"extra {extra}", "no" if lacking else "yes", hint)
    for what, folder in (("cache", cache.folder()), ("here", Path.cwd())):
        writable = _writable(folder)
        sound = sound and (writable or what != "cache")
        table.add_row(what, "can be written" if writable else "[red]cannot be written[/]", str(folder))
    console.print(table)
    return sound


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _works(name: str) -> bool:
    """Whether the package is installed; a data-only use of it does not import it, so neither does this, but for
    runtimes."""
    if _version(name) is None:
        return False
    if name in ("seglearn", "tensorboard"):
        return True
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
