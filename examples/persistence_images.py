"""Persistence images of windows, and a picture of the first: python examples/persistence_images.py [WINDOWS.npy]."""

import sys

import numpy as np

from limbeck.topology import PersistenceImage, persistence, plots

draw = np.random.default_rng(0)  # windows, channels, samples: your own, or walks that wander by about 1
windows = np.load(sys.argv[1]) if len(sys.argv) > 1 else draw.normal(0, 0.1, (1000, 3, 200)).cumsum(axis=2)

diagrams = persistence(windows)  # who is born and who dies, exactly
low, high = float(diagrams.pairs.min()), float(diagrams.pairs.max())
image = PersistenceImage(layout="exact", low=low, high=high, top=high - low, sigma=(high - low) / 64)
images = image.render(diagrams)  # (N, M, 64, 64) float32, each from 0 to 1

print(f"{len(diagrams.pairs)} pairs: {diagrams.nbytes / 1e6:.1f} MB, as images {images.nbytes / 1e6:.0f} MB")
plots.window(windows[0], "persistence.png", image)
