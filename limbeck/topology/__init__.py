"""Persistent homology of signals, from windows to images:

    import numpy as np
    from limbeck.topology import PersistenceImage, persistence

    windows = np.random.default_rng(0).normal(size=(1000, 3, 100)).cumsum(-1) / 10     # windows, channels, samples
    diagrams = persistence(windows)                   # who is born, who dies: exact
    diagrams.of(0, 2)                                 # (pairs, 2) of window 0, channel 2
    image = PersistenceImage(resolution=64, sigma=0.015, low=-1, high=1)
    images = image.render(diagrams, index=[3, 1, 4])  # (3, 3, 64, 64) float32, each in [0, 1]

or `PersistenceImages().fit_transform(windows)` in a scikit-learn pipeline.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from limbeck.topology.diagrams import Diagrams as Diagrams
    from limbeck.topology.diagrams import persistence as persistence
    from limbeck.topology.images import PersistenceImage as PersistenceImage
    from limbeck.topology.transformer import PersistenceImages as PersistenceImages

_HOMES = {
    "Diagrams": "diagrams",
    "persistence": "diagrams",
    "PersistenceImage": "images",
    "PersistenceImages": "transformer",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'limbeck.topology' has no attribute {name!r}")
    return getattr(import_module(f"limbeck.topology.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
