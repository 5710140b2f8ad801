"""Fresh processes: `import limbeck` with all its public names against `import torch`, and `limbeck --help`."""

import os
import statistics
import subprocess
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

from benchmarks import timing

NAMES = "import limbeck; [getattr(limbeck, name) for name in limbeck.__all__]"
HELP = """
import contextlib, sys
sys.argv = ["limbeck", "--help"]
from limbeck.cli import main
with contextlib.suppress(SystemExit):
    main()
assert "torch" not in sys.modules
"""


def process(code: str) -> timing.Turn:
    """A new interpreter that runs some code. Raises `CalledProcessError` where that fails."""

    def run() -> None:
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)

    return run


def main(quick: bool, rounds: int) -> None:
    """Prints the ratios to `import torch`, and the seconds of `--help`."""
    sides = {
        "import torch": process("import torch"),
        "import torch, again (A/A)": process("import torch"),
        "import limbeck": process("import limbeck"),
        "limbeck, all public names": process(NAMES),
        "limbeck --help (without torch)": process(HELP),
    }
    spent = timing.measure(sides, rounds, warm=0 if quick else 1)
    print(timing.table("starts of a fresh process", spent, "import torch", 1, "process"))
    seconds = statistics.median(s.wall for s in spent["limbeck --help (without torch)"])
    print(f"  limbeck --help: {seconds:.2f} s by the clock")


if __name__ == "__main__":
    asked = timing.arguments(__doc__ or "", 10)
    main(asked.quick, 2 if asked.quick else asked.rounds)
