"""What this process holds in RAM, as the system tells it. Nothing here imports torch."""

import sys
from contextlib import suppress
from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def restarted() -> int | None:
    """What the process holds in RAM now, in bytes; its high-water mark is begun anew where the system allows it."""
    with suppress(OSError):
        CLEAR.write_text("5")  # Linux: VmHWM := VmRSS
    return _status("VmRSS") if STATUS.is_file() else peak()


def peak() -> int | None:
    """The high-water mark in bytes; None where the system does not tell (Windows)."""
    if STATUS.is_file():
        return _status("VmHWM")
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def _status(name: str) -> int | None:
    line = next((l for l in STATUS.read_text().splitlines() if l.startswith(f"{name}:")), "")
    return 1024 * int(line.split()[1]) if line else None
