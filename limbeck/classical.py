"""The row that every report carries: simple window features and a forest of extremely randomised trees."""

from typing import Any

import numpy as np
import torch

from limbeck.data.source import Column, Table
from limbeck.data.split import Split

Array = np.ndarray[Any, Any]
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
BANDS = 8


def features(column: Column, chunk: int = 4096) -> Array:
    """Features of windows `(N, M, L)`, `(N, F)`: moments, quantiles, changes, crossings and spectrum of each channel
    and of the length of each triple of channels, and the correlations of the channels."""
    parts = [_features(column[at].numpy()) for at in torch.arange(len(column)).split(chunk)]
    return np.concatenate(parts)


def _features(x: Array) -> Array:
    count, channels, length = x.shape
    if channels % 3 == 0:
        norms = np.sqrt(np.square(x.reshape(count, channels // 3, 3, length)).sum(axis=2))
        series = np.concatenate([x, norms], axis=1)
    else:
        series = x
    centred = series - series.mean(axis=2, keepdims=True)
    std = centred.std(axis=2)
    unit = centred / np.maximum(std, 1e-9)[..., None]
    power = np.abs(np.fft.rfft(centred, axis=2)[..., 1:]) ** 2
    share = power / np.maximum(power.sum(axis=2, keepdims=True), 1e-12)
    bands = np.stack([part.sum(axis=2) for part in np.array_split(share, min(BANDS, share.shape[2]), axis=2)], axis=2)
    columns = [
        series.mean(axis=2), std, series.min(axis=2), series.max(axis=2),
        *np.quantile(series, QUANTILES, axis=2),
        (unit**3).mean(axis=2), (unit**4).mean(axis=2), np.abs(np.diff(series, axis=2)).mean(axis=2),
        (np.diff(np.signbit(centred), axis=2)).mean(axis=2), power.argmax(axis=2), np.log(power.sum(axis=2) + 1e-9),
        -(share * np.log(share + 1e-12)).sum(axis=2), *np.moveaxis(bands, 2, 0),
    ]  # fmt: skip
    pairs = [(a, b) for a in range(channels) for b in range(a)]
    correlations = [(unit[:, a] * unit[:, b]).mean(axis=1, keepdims=True) for a, b in pairs]
    clean: Array = np.nan_to_num(np.concatenate([*columns, *correlations], axis=1)).astype(np.float32)
    return clean


def trees(split: Split, seed: int = 0, count: int = 300) -> tuple[dict[str, dict[str, torch.Tensor]], int]:
    """ExtraTrees [Geurts 2006] a task, trained on the training part: log-probabilities `(N, C)` by part and task, and
    the number of nodes of all trees together."""
    from sklearn.ensemble import ExtraTreesClassifier

    tables: dict[str, Table] = {"train": split.train, "valid": split.valid, "test": split.test}
    known = {name: features(table.inputs["sensor"]) for name, table in tables.items()}
    logits: dict[str, dict[str, torch.Tensor]] = {name: {} for name in tables}
    nodes = 0
    for task in split.train.tasks:
        target = split.train.targets[task.name]
        labelled = task.present(target).numpy()
        if not labelled.any():
            continue
        forest = ExtraTreesClassifier(count, min_samples_leaf=2, random_state=seed, n_jobs=torch.get_num_threads())
        forest.fit(known["train"][labelled], target.numpy()[labelled])
        nodes += sum(tree.tree_.node_count for tree in forest.estimators_)
        for name, x in known.items():
            full = np.full((len(x), task.classes or 0), 1e-6)
            full[:, forest.classes_] = forest.predict_proba(x)
            logits[name][task.name] = torch.from_numpy(np.log(np.maximum(full, 1e-6))).float()
    return logits, nodes
