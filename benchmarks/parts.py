"""Where the time of Limbeck's own step goes, for the 1k-parameter student; under a profiler, whose cost is in it."""

import cProfile
import pstats
import tempfile
from pathlib import Path

import torch

from benchmarks import step, timing

PARTS = {
    "student and teacher, forward": ("models/heads.py", "forward"),
    "backward": ("torch/_tensor.py", "backward"),
    "optimiser": ("torch/optim/optimizer.py", "wrapper"),
    "distillation term": ("losses.py", "soft"),
    "cross-entropy term": ("losses.py", "cross_entropy"),
    "masked means": ("losses.py", "masked_mean"),
    "batch by index": ("data/source.py", "rows"),
    "order": ("data/source.py", "at"),
    "seeding": ("process.py", "seed"),
    "teacher's update": ("distiller.py", "after_step"),
}


def shares(profile: cProfile.Profile) -> dict[str, float]:
    """The share of the profiled time that each part took, with all that it called."""
    stats = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    whole = max(cumulative for *_, cumulative, _ in stats.values())
    found = {
        label: sum(v[3] for (file, _, name), v in stats.items() if file.endswith(where) and name == what) / whole
        for label, (where, what) in PARTS.items()
    }
    return found | {"the rest: modules' calls, log, finiteness, rate": 1 - sum(found.values())}


def main(quick: bool, steps: int) -> None:
    """Prints a table for a frozen and for an EMA teacher."""
    torch.set_num_threads(1)
    setting = step.settings(quick)[0]
    for kind in ("frozen", "ema"):
        with tempfile.TemporaryDirectory() as at:
            side = step.Limbeck(setting, kind, True, Path(at))
            step.turn(side, 20)()
            profile = cProfile.Profile()
            profile.runcall(step.turn(side, steps))
        print(f"{setting.name}, {kind} teacher: share of {steps} steps")
        for label, share in shares(profile).items():
            print(f"  {label:50} {share:6.1%}")


if __name__ == "__main__":
    asked = timing.arguments(__doc__ or "", 500)
    main(asked.quick, 20 if asked.quick else asked.rounds)
