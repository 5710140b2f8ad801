"""Trajectories of some training samples, as a run left them, for its report."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from limbeck import checkpoint, process
from limbeck.batch import IMAGE, MODALITY
from limbeck.objective import STUDENT, Scene
from limbeck.run import Run, kept
from limbeck.trajectory import Follow, middles

FILE = "trajectories.npz"
COUNT = 6
"""Samples that are kept."""


def keep(run: Run, at: Path) -> None:
    """Writes the trajectories of samples spread over the training part, from the newest checkpoint of a finished run.

    Arrays of n samples: `image` uint8 `(n, H, W, 3)` or `signal` float32 `(n, M, L)`; `connector` and `student` float32
    `(n, t, k, D)`, where each looked most, by its own map, on visits from the oldest to the latest: the middles of
    cells, row and column in [0, 1] (time alone of windows), NaN where there was no visit; and `maps/connector` and
    `maps/student` float32 `(n, h, w)` or `(n, l)`, where they look in the end. Nothing where they are there already, or
    the run has no trajectories.
    """
    terms = [t for view in run.distiller.views for _, t in view.objective.parts if isinstance(t, Follow)]
    if process.rank() != 0 or (at / FILE).is_file() or not terms:
        return
    found = checkpoint.newest(at / "last")
    if found is None:
        return
    state = {k.removeprefix("distiller."): v for k, v in found[1].items() if k.startswith("distiller.")}
    run.distiller.load_state_dict(state)
    checkpoint.write_arrays(at / FILE, _arrays(run, terms[0]))
    kept(run, at)  # the student as it was at its best, again


def _arrays(run: Run, term: Follow) -> dict[str, np.ndarray[Any, Any]]:
    rows = torch.linspace(0, len(run.train) - 1, min(COUNT, len(run.train))).long()
    device = next(run.distiller.student.parameters()).device
    batch = run.train.rows(rows.to(run.train.ids.device)).to(device)
    run.distiller.eval()
    with torch.no_grad():
        models = {STUDENT: run.distiller.student, term.who: run.distiller.teachers[term.who]}
        ours, theirs = term.maps(Scene(batch, {name: model(batch) for name, model in models.items()}, models, 1.0))
    visits, known = term.memory.visits(batch.ids, term.spec.length)
    flat = ours.shape[1] == 1
    return {
        **_shown(batch.inputs[IMAGE if IMAGE in batch.inputs else MODALITY]),
        "connector": _places(middles(visits.at, theirs), known, flat),
        "student": _places(middles(visits.own, ours), known, flat),
        "maps/connector": _array(theirs.squeeze(1) if flat else theirs),
        "maps/student": _array(ours.squeeze(1) if flat else ours),
    }


def _shown(samples: Tensor) -> dict[str, np.ndarray[Any, Any]]:
    if samples.ndim == 3:
        return {"signal": _array(samples)}
    return {"image": samples.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).contiguous().cpu().numpy()}


def _places(places: Tensor, known: Tensor, flat: bool) -> np.ndarray[Any, Any]:
    """`(n, t, k, 2)`, the latest visit first, to the latest last."""
    made = torch.where(known[:, :, None, None], places, torch.nan).flip(1)
    return _array(made[..., 1:] if flat else made)


def _array(values: Tensor) -> np.ndarray[Any, Any]:
    found: np.ndarray[Any, Any] = values.detach().float().cpu().numpy()
    return found
