"""BibTeX of what a recipe stands on: its paper, and the papers of the parts that it uses."""

from collections.abc import Iterable, Mapping
from typing import Any

from limbeck.errors import unknown

PAPERS: dict[str, tuple[str, dict[str, str]]] = {
    "vu2025smooth": ("misc", {
        "title": "Smooth-Distill: A Self-distillation Framework for Multitask Learning with Wearable Sensor Data",
        "author": "Vu, Hoang-Dieu and Tran, Duc-Nghia and Pham, Quang-Tu and Pham, Hieu H. and "
                  "Vuillerme, Nicolas and Tran, Duc-Tan",
        "year": "2025", "eprint": "2507.00061", "archiveprefix": "arXiv"}),
    "jeon2025mixup": ("article", {
        "title": "Role of Mixup in Topological Persistence Based Knowledge Distillation for Wearable Sensor Data",
        "author": "Jeon, Eun Som and Choi, Hongjun and Buman, Matthew P. and Turaga, Pavan",
        "journal": "IEEE Sensors Journal", "year": "2025", "doi": "10.1109/JSEN.2024.3517653",
        "eprint": "2502.00779", "archiveprefix": "arXiv"}),
    "adams2017persistence": ("article", {
        "title": "Persistence Images: A Stable Vector Representation of Persistent Homology",
        "author": "Adams, Henry and Emerson, Tegan and Kirby, Michael and Neville, Rachel and Peterson, Chris and "
                  "Shipman, Patrick and Chepushtanova, Sofya and Hanson, Eric and Motta, Francis and Ziegelmeier, Lori",
        "journal": "Journal of Machine Learning Research", "volume": "18", "number": "8", "pages": "1--35",
        "year": "2017"}),
    "zagoruyko2016wide": ("inproceedings", {
        "title": "Wide Residual Networks",
        "author": "Zagoruyko, Sergey and Komodakis, Nikos",
        "booktitle": "BMVC", "year": "2016", "eprint": "1605.07146", "archiveprefix": "arXiv"}),
    "zhang2018mixup": ("inproceedings", {
        "title": "mixup: Beyond Empirical Risk Minimization",
        "author": "Zhang, Hongyi and Cisse, Moustapha and Dauphin, Yann N. and Lopez-Paz, David",
        "booktitle": "ICLR", "year": "2018", "eprint": "1710.09412", "archiveprefix": "arXiv"}),
    "yun2019cutmix": ("inproceedings", {
        "title": "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features",
        "author": "Yun, Sangdoo and Han, Dongyoon and Oh, Seong Joon and Chun, Sanghyuk and Choe, Junsuk and "
                  "Yoo, Youngjoon",
        "booktitle": "ICCV", "year": "2019", "eprint": "1905.04899", "archiveprefix": "arXiv"}),
    "devries2017cutout": ("misc", {
        "title": "Improved Regularization of Convolutional Neural Networks with Cutout",
        "author": "DeVries, Terrance and Taylor, Graham W.",
        "year": "2017", "eprint": "1708.04552", "archiveprefix": "arXiv"}),
    "szegedy2016rethinking": ("inproceedings", {
        "title": "Rethinking the Inception Architecture for Computer Vision",
        "author": "Szegedy, Christian and Vanhoucke, Vincent and Ioffe, Sergey and Shlens, Jonathon and "
                  "Wojna, Zbigniew",
        "booktitle": "CVPR", "year": "2016", "eprint": "1512.00567", "archiveprefix": "arXiv"}),
    "arora2025ppg": ("misc", {
        "title": "Towards Characterizing Knowledge Distillation of PPG Heart Rate Estimation Models",
        "author": "Arora, Kanav and Narayanswamy, Girish and Patel, Shwetak and Li, Richard",
        "year": "2025", "eprint": "2511.18829", "archiveprefix": "arXiv",
        "note": "NeurIPS 2025 workshop Learning from Time Series for Health"}),
    "cheng2025joint": ("misc", {
        "title": "JointDistill: Adaptive Multi-Task Distillation for Joint Depth Estimation and Scene Segmentation",
        "author": "Cheng, Tiancong and Zhang, Ying and Liang, Yuxuan and Zimmermann, Roger and Yu, Zhiwen and "
                  "Guo, Bin",
        "year": "2025", "eprint": "2505.10057", "archiveprefix": "arXiv"}),
    "hosseini2019distill": ("misc", {
        "title": "Distill-2MD-MTL: Data Distillation based on Multi-Dataset Multi-Domain Multi-Task Frame Work to "
                 "Solve Face Related Tasks",
        "author": "Hosseini and Shabani and Cho",
        "year": "2019", "eprint": "1907.03402", "archiveprefix": "arXiv"}),
    "radosavovic2018data": ("inproceedings", {
        "title": "Data Distillation: Towards Omni-Supervised Learning",
        "author": "Radosavovic, Ilija and Doll{\\'a}r, Piotr and Girshick, Ross and Gkioxari, Georgia and He, Kaiming",
        "booktitle": "CVPR", "year": "2018", "eprint": "1712.04440", "archiveprefix": "arXiv"}),
    "smith2017cyclical": ("inproceedings", {
        "title": "Cyclical Learning Rates for Training Neural Networks",
        "author": "Smith, Leslie N.",
        "booktitle": "WACV", "year": "2017", "eprint": "1506.01186", "archiveprefix": "arXiv"}),
    "kendall2018multi": ("inproceedings", {
        "title": "Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and Semantics",
        "author": "Kendall, Alex and Gal, Yarin and Cipolla, Roberto",
        "booktitle": "CVPR", "year": "2018", "eprint": "1705.07115", "archiveprefix": "arXiv"}),
    "liu2019end": ("inproceedings", {
        "title": "End-to-End Multi-Task Learning with Attention",
        "author": "Liu, Shikun and Johns, Edward and Davison, Andrew J.",
        "booktitle": "CVPR", "year": "2019", "eprint": "1803.10704", "archiveprefix": "arXiv"}),
    "li2020knowledge": ("inproceedings", {
        "title": "Knowledge Distillation for Multi-task Learning",
        "author": "Li, Wei-Hong and Bilen, Hakan",
        "booktitle": "ECCV Workshops", "year": "2020", "eprint": "2007.06889", "archiveprefix": "arXiv"}),
    "zagoruyko2017paying": ("inproceedings", {
        "title": "Paying More Attention to Attention: Improving the Performance of Convolutional Neural Networks via "
                 "Attention Transfer",
        "author": "Zagoruyko, Sergey and Komodakis, Nikos",
        "booktitle": "ICLR", "year": "2017", "eprint": "1612.03928", "archiveprefix": "arXiv"}),
    "chen2018gradnorm": ("inproceedings", {
        "title": "GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep Multitask Networks",
        "author": "Chen, Zhao and Badrinarayanan, Vijay and Lee, Chen-Yu and Rabinovich, Andrew",
        "booktitle": "ICML", "year": "2018", "eprint": "1711.02257", "archiveprefix": "arXiv"}),
    "hinton2015distilling": ("misc", {
        "title": "Distilling the Knowledge in a Neural Network",
        "author": "Hinton, Geoffrey and Vinyals, Oriol and Dean, Jeff",
        "year": "2015", "eprint": "1503.02531", "archiveprefix": "arXiv"}),
    "zhao2022decoupled": ("inproceedings", {
        "title": "Decoupled Knowledge Distillation",
        "author": "Zhao, Borui and Cui, Quan and Song, Renjie and Qiu, Yiyu and Liang, Jiajun",
        "booktitle": "CVPR", "year": "2022", "eprint": "2203.08679", "archiveprefix": "arXiv"}),
    "romero2015fitnets": ("inproceedings", {
        "title": "FitNets: Hints for Thin Deep Nets",
        "author": "Romero, Adriana and Ballas, Nicolas and Kahou, Samira Ebrahimi and Chassang, Antoine and "
                  "Gatta, Carlo and Bengio, Yoshua",
        "booktitle": "ICLR", "year": "2015", "eprint": "1412.6550", "archiveprefix": "arXiv"}),
    "tarvainen2017mean": ("inproceedings", {
        "title": "Mean teachers are better role models: Weight-averaged consistency targets improve semi-supervised "
                 "deep learning results",
        "author": "Tarvainen, Antti and Valpola, Harri",
        "booktitle": "NeurIPS", "year": "2017", "eprint": "1703.01780", "archiveprefix": "arXiv"}),
    "geurts2006extremely": ("article", {
        "title": "Extremely randomized trees",
        "author": "Geurts, Pierre and Ernst, Damien and Wehenkel, Louis",
        "journal": "Machine Learning", "volume": "63", "pages": "3--42", "year": "2006",
        "doi": "10.1007/s10994-006-6226-1"}),
}  # fmt: skip

USES: dict[str, tuple[str, ...]] = {
    "smooth-distill": ("vu2025smooth", "tarvainen2017mean", "hinton2015distilling"),
    "mixup-topology": ("jeon2025mixup", "adams2017persistence", "zagoruyko2016wide", "hinton2015distilling"),
    "mixup": ("zhang2018mixup",),
    "adaptive": ("zhang2018mixup",),
    "cutmix": ("yun2019cutmix",),
    "cutout": ("devries2017cutout",),
    "smoothing": ("szegedy2016rethinking",),
    "ppg-heart-rate": ("arora2025ppg", "hinton2015distilling"),
    "joint-distill": ("cheng2025joint", "hinton2015distilling", "zagoruyko2017paying"),
    "kd4mtl": ("li2020knowledge",),
    "distill-2md-mtl": ("hosseini2019distill",),
    "mtl-dd": ("radosavovic2018data",),
    "single-dd": ("radosavovic2018data",),
    "uncertainty": ("kendall2018multi",),
    "dwa": ("liu2019end",),
    "gradnorm": ("chen2018gradnorm",),
    "adaptive-clr": ("smith2017cyclical",),
    "soft": ("hinton2015distilling",),
    "decoupled": ("zhao2022decoupled",),
    "dkd": ("zhao2022decoupled",),
    "feature": ("romero2015fitnets",),
    "ema": ("tarvainen2017mean",),
    "trees": ("geurts2006extremely",),
}
"""Papers by the name of a recipe or a method of it, a kind of distillation, mixing, weighing or schedule, a teacher, or
the classical baseline."""


def citation(kind: str) -> str:
    """The BibTeX entries of all that `kind` stands on, its own paper first. Raises `UserError` for an unknown name."""
    if kind not in USES:
        raise unknown("paper for", kind, USES)
    return bibtex(USES[kind])


def keys_of(recipe: Mapping[str, Any], models: Iterable[str] = ()) -> list[str]:
    """The papers that a run stands on, for `bibtex`: of its recipe, its kind of distillation, and the models scored.

    A recipe that has no paper adds none.
    """
    parts = [recipe.get(name) for name in ("method", "how", "strategy", "mix", "balance")]
    parts.append(recipe.get("plan", {}).get("schedule"))
    kinds = [recipe["kind"], *(part.get("kind") if isinstance(part, Mapping) else part for part in parts), *models]
    return list(dict.fromkeys(key for kind in kinds if kind in USES for key in USES[kind]))


def bibtex(keys: Iterable[str]) -> str:
    """The entries of those keys, each once, in order of first mention."""
    entries = []
    for key in dict.fromkeys(keys):
        form, fields = PAPERS[key]
        lines = (f"  {name} = {{{value}}}" for name, value in fields.items())
        entries.append(f"@{form}{{{key},\n" + ",\n".join(lines) + "\n}\n")
    return "\n".join(entries)
