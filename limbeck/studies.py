"""Studies by name."""

from collections.abc import Mapping
from typing import Any

TOPOLOGY: Mapping[str, Any] = {
    "recipe": "mixup-topology",
    "variants": {
        "labels": {"w": 0}, "labels annealed": {"w": 0, "annealed": True},
        "series teacher": {"eta": 1}, "image teacher": {"eta": 0}, "two teachers": {},
        "annealed": {"annealed": True},
        **{name: {"annealed": True, "mix": kind, **{f"mix.{k}": v for k, v in values.items()}}
           for name, kind, values in (
               ("mixup 0.1 0.1", "mixup", {}),
               ("mixup 0.15 0.2", "mixup", {"alpha1": 0.15, "alpha2": 0.2}),
               ("mixup of 10 %", "mixup", {"share": 0.1}),
               ("mixup of 50 %", "mixup", {"share": 0.5}),
               ("mixup in 4 plans", "mixup", {"plans": 4}),
               ("adaptive entropy", "adaptive", {"by": "entropy"}),
               ("adaptive gap", "adaptive", {"by": "gap"}),
               ("smoothing", "smoothing", {}), ("cutmix", "cutmix", {}),
               ("cutout", "cutout", {}), ("noise", "noise", {}),
           )},
    },
    "seeds": [0, 1, 2], "compare": "variant", "reference": "annealed",
}  # fmt: skip
"""What of the persistence paper is compared, on any split."""

TRANSFER: Mapping[str, Any] = {
    "base": {"hide": 0.25},
    "variants": {
        "single": {"method": "single-task"}, "MTL": {"method": "mtl"}, "MTL + domains": {"method": "mtl-domains"},
        "single + DD": {"method": "single-dd"}, "MTL + DD": {"method": "mtl-dd"},
        "MTL + domains, twice the steps": {"method": "mtl-domains", "longer": 2},
        "MTL + DD, twice the steps": {"method": "mtl-dd", "longer": 2},
        "MTL + domains + unrelated": {"method": "mtl-domains", "unrelated": 8},
    },
    "seeds": [0, 1, 2], "compare": "variant", "reference": "MTL + domains",
}  # fmt: skip
"""What of half-labelled data sets is compared: one task or all, one set or all, with generated labels and without."""

JOINT: Mapping[str, Any] = {
    "recipe": "joint-distill",
    "variants": {
        "single-task": {"method": "single-task"}, "naive": {"method": "naive"},
        "DWA": {"method": "dwa"}, "uncertainty": {"method": "uncertainty"},
        "static KD": {"method": "static-kd"}, "KD4MTL": {"method": "kd4mtl"},
        "adaptive": {"gamma": 0}, "trajectory": {"lam": 0}, "both": {},
    },
    "seeds": [0, 1, 2], "compare": "variant", "reference": "naive",
}  # fmt: skip
"""JointDistill, its two parts by themselves, and its rivals."""

JOINT_SENSITIVITY: Mapping[str, Any] = {
    "recipe": "joint-distill",
    "variants": {
        "both": {}, "fixed weights": {"feedback.rate": 0},
        **{f"k {k}": {"trajectory.k": k} for k in (3, 5, 20)},
        **{f"t {t}": {"trajectory.length": t} for t in (1, 3, 10, 20)},
        **{f"alpha {a:g}": {"feedback.alpha": a} for a in (0.5, 1, 2, 3)},
        **{f"gamma {g:g}": {"gamma": g} for g in (0.01, 1, 10)},
        **{f"step {s}": {"feedback.step": s} for s in ("abs", "squared")},
        "weights on logits": {"weight_on": "logit"}, "usual KL": {"how.reverse": False},
        "moves": {"trajectory.compare": "moves"}, "fading": {"trajectory.fade": 0.5},
    },
    "seeds": [0, 1, 2], "compare": "variant", "reference": "both",
}  # fmt: skip
"""One thing of JointDistill at a time."""

NAMED: dict[str, Mapping[str, Any]] = {
    "smooth-distill": {
        "recipe": "smooth-distill",
        "variants": {
            "as_released": {"student": "mtl-net", "student.variant": "as_released",
                            "data.windows.borders": "cross", "data.windows.label": "last"},
            "corrected": {"student": "mtl-net", "student.variant": "corrected",
                          "data.windows.borders": "cut", "data.windows.label": "majority"},
        },
        "grid": {
            "method": ["single-task", "hard-sharing", "cross-task", "sdd", "oracle", "smooth-distill"],
            "split": ["subject", "random-window"],
        },
        "seeds": [0, 1, 2], "compare": "method", "reference": "hard-sharing",
    },
    "smooth-distill-ablation": {
        "recipe": "smooth-distill",
        "variants": {
            "as published": {}, "hard sharing": {"method": "hard-sharing"}, "oracle teacher": {"method": "oracle"},
            **{f"beta {b}": {"beta": b} for b in (0.9, 0.99, 0.9999)},
            **{f"lambda {w}": {"lam": w} for w in (0.1, 0.3, 0.7, 0.9)},
            **{f"T {t}": {"how": "soft", "how.T": t} for t in (1, 2, 4, 6)},
            **{how: {"how": how} for how in ("hard", "decoupled", "feature")}, "BiLSTM": {"student": "bilstm"},
        },
        "seeds": [0, 1, 2], "compare": "variant", "reference": "as published",
    },
    "topology": TOPOLOGY,
    "topology-loso": {**TOPOLOGY, "base": {"split": "loso"}, "grid": {"split.fold": list(range(9))}},
    "face-transfer": {"recipe": "distill-2md-mtl", "preset": "faces", **TRANSFER},
    "joint-distill": JOINT,
    "joint-distill-sensitivity": JOINT_SENSITIVITY,
    "wearable-transfer": {"recipe": "distill-2md-mtl", "preset": "wearables", **TRANSFER},
    "ppg-scaling": {
        "recipe": "ppg-heart-rate",
        "variants": {
            "scratch": {"strategy": "scratch"},
            **{f"{how} from {t}": {"strategy": how, "teacher.blocks": t}
               for t in (2, 4, 6, 8, 10, 12) for how in ("hard", "soft", "dkd", "feature")},
            "MLP scratch": {"student": "mlp", "strategy": "scratch"},
            "MLP dkd from 6": {"student": "mlp", "strategy": "dkd", "teacher.blocks": 6},
        },
        "grid": {"student.blocks": [1, 2, 4, 6, 8, 10]},
        "seeds": [0, 1, 2], "compare": "variant", "reference": "scratch",
        "size": "student.blocks", "panel": "teacher.blocks",
    },
    "ppg-transfer": {
        "recipe": "ppg-heart-rate", "variants": {}, "seeds": [0, 1, 2], "compare": "variant", "across": "variant",
    },
}  # fmt: skip
"""Studies by name, as a study file has them. The data and the plan are given on the command line. The folds of
`topology-loso` are the nine subjects of PAMAP2; for another set name as many as it has, from 0 on."""
