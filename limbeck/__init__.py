"""Limbeck: one small multi-task model from labelled recordings, teachers and half-labelled data sets.

What is named here is public. Each name is imported when it is first used, so `import limbeck` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from limbeck.augment import Augment as Augment
    from limbeck.augment import ImageAugment as ImageAugment
    from limbeck.balance import DWA as DWA
    from limbeck.balance import Equal as Equal
    from limbeck.balance import GradNorm as GradNorm
    from limbeck.balance import Uncertainty as Uncertainty
    from limbeck.batch import Batch as Batch
    from limbeck.batch import Outputs as Outputs
    from limbeck.connector import Connector as Connector
    from limbeck.connector import Fusion as Fusion
    from limbeck.data.adience import Adience as Adience
    from limbeck.data.cityscapes import Cityscapes as Cityscapes
    from limbeck.data.concat import concat as concat
    from limbeck.data.dalia import DaLiA as DaLiA
    from limbeck.data.fairface import FairFace as FairFace
    from limbeck.data.fer2013 import FER2013 as FER2013
    from limbeck.data.folder import Recordings as Recordings
    from limbeck.data.galaxy import GalaxyPPG as GalaxyPPG
    from limbeck.data.geneactiv import GENEActiv as GENEActiv
    from limbeck.data.har import WISDM as WISDM
    from limbeck.data.har import MHealth as MHealth
    from limbeck.data.har import Sleep as Sleep
    from limbeck.data.image_sets import ImageSet as ImageSet
    from limbeck.data.image_sets import ImageSets as ImageSets
    from limbeck.data.morph import MORPH as MORPH
    from limbeck.data.nyuv2 import NYUv2 as NYUv2
    from limbeck.data.own_images import Images as Images
    from limbeck.data.own_pulse import PulseRecordings as PulseRecordings
    from limbeck.data.pamap2 import PAMAP2 as PAMAP2
    from limbeck.data.pulse import Pulse as Pulse
    from limbeck.data.scenes import Scenes as Scenes
    from limbeck.data.sensor_sets import SensorSet as SensorSet
    from limbeck.data.sensor_sets import SensorSets as SensorSets
    from limbeck.data.source import Table as Table
    from limbeck.data.spc import IEEESPC as IEEESPC
    from limbeck.data.split import BySubject as BySubject
    from limbeck.data.split import KFoldSubjects as KFoldSubjects
    from limbeck.data.split import LeaveOneSubjectOut as LeaveOneSubjectOut
    from limbeck.data.split import Official as Official
    from limbeck.data.split import RandomWindow as RandomWindow
    from limbeck.data.synthetic import Wearable as Wearable
    from limbeck.data.usc_had import USCHAD as USCHAD
    from limbeck.data.utkface import UTKFace as UTKFace
    from limbeck.data.watch import Watch as Watch
    from limbeck.data.wildppg import WildPPG as WildPPG
    from limbeck.distiller import Distiller as Distiller
    from limbeck.distiller import View as View
    from limbeck.errors import Interrupted as Interrupted
    from limbeck.errors import UserError as UserError
    from limbeck.feedback import Feedback as Feedback
    from limbeck.likeness import Absolute as Absolute
    from limbeck.likeness import Spatial as Spatial
    from limbeck.likeness import aligned as aligned
    from limbeck.likeness import valued as valued
    from limbeck.mixup import Mixup as Mixup
    from limbeck.models import MLP as MLP
    from limbeck.models import VGG as VGG
    from limbeck.models import BiLSTM as BiLSTM
    from limbeck.models import DeepLab as DeepLab
    from limbeck.models import Hybrid as Hybrid
    from limbeck.models import ImageWideResNet as ImageWideResNet
    from limbeck.models import MTLNet as MTLNet
    from limbeck.models import PPGResNet as PPGResNet
    from limbeck.models import ResNet1D as ResNet1D
    from limbeck.models import ResNet18 as ResNet18
    from limbeck.models import SegNet as SegNet
    from limbeck.models import WideResNet as WideResNet
    from limbeck.objective import Objective as Objective
    from limbeck.objective import Term as Term
    from limbeck.plan import SGD as SGD
    from limbeck.plan import Adam as Adam
    from limbeck.plan import AdamW as AdamW
    from limbeck.plan import Plan as Plan
    from limbeck.recipes import Distill2MDMTL as Distill2MDMTL
    from limbeck.recipes import JointDistill as JointDistill
    from limbeck.recipes import MixupTopology as MixupTopology
    from limbeck.recipes import PPGHeartRate as PPGHeartRate
    from limbeck.recipes import SmoothDistill as SmoothDistill
    from limbeck.run import Run as Run
    from limbeck.schedule import AdaptiveCLR as AdaptiveCLR
    from limbeck.tasks import Task as Task
    from limbeck.teachers import EMA as EMA
    from limbeck.teachers import Cached as Cached
    from limbeck.teachers import Ensemble as Ensemble
    from limbeck.teachers import Frozen as Frozen
    from limbeck.teachers import Teacher as Teacher
    from limbeck.terms import Decoupled as Decoupled
    from limbeck.terms import Feature as Feature
    from limbeck.terms import Hard as Hard
    from limbeck.terms import Soft as Soft
    from limbeck.terms import generated as generated
    from limbeck.terms import kd as kd
    from limbeck.terms import supervised as supervised
    from limbeck.trajectory import Trajectory as Trajectory
    from limbeck.transforms import ImageViews as ImageViews
    from limbeck.transforms import SignalViews as SignalViews

_PLACES = {
    "augment": ("Augment", "ImageAugment"),
    "balance": ("DWA", "Equal", "GradNorm", "Uncertainty"),
    "batch": ("Batch", "Outputs"),
    "connector": ("Connector", "Fusion"),
    "data.adience": ("Adience",),
    "data.cityscapes": ("Cityscapes",),
    "data.concat": ("concat",),
    "data.dalia": ("DaLiA",),
    "data.fairface": ("FairFace",),
    "data.fer2013": ("FER2013",),
    "data.folder": ("Recordings",),
    "data.galaxy": ("GalaxyPPG",),
    "data.geneactiv": ("GENEActiv",),
    "data.har": ("MHealth", "Sleep", "WISDM"),
    "data.image_sets": ("ImageSet", "ImageSets"),
    "data.morph": ("MORPH",),
    "data.nyuv2": ("NYUv2",),
    "data.own_images": ("Images",),
    "data.own_pulse": ("PulseRecordings",),
    "data.pamap2": ("PAMAP2",),
    "data.pulse": ("Pulse",),
    "data.scenes": ("Scenes",),
    "data.sensor_sets": ("SensorSet", "SensorSets"),
    "data.source": ("Table",),
    "data.spc": ("IEEESPC",),
    "data.split": ("BySubject", "KFoldSubjects", "LeaveOneSubjectOut", "Official", "RandomWindow"),
    "data.synthetic": ("Wearable",),
    "data.usc_had": ("USCHAD",),
    "data.utkface": ("UTKFace",),
    "data.watch": ("Watch",),
    "data.wildppg": ("WildPPG",),
    "distiller": ("Distiller", "View"),
    "errors": ("Interrupted", "UserError"),
    "feedback": ("Feedback",),
    "likeness": ("Absolute", "Spatial", "aligned", "valued"),
    "mixup": ("Mixup",),
    "models": (
        "BiLSTM",
        "DeepLab",
        "Hybrid",
        "ImageWideResNet",
        "MLP",
        "MTLNet",
        "PPGResNet",
        "ResNet18",
        "ResNet1D",
        "SegNet",
        "VGG",
        "WideResNet",
    ),
    "objective": ("Objective", "Term"),
    "plan": ("Adam", "AdamW", "Plan", "SGD"),
    "recipes": ("Distill2MDMTL", "JointDistill", "MixupTopology", "PPGHeartRate", "SmoothDistill"),
    "run": ("Run",),
    "schedule": ("AdaptiveCLR",),
    "tasks": ("Task",),
    "teachers": ("Cached", "EMA", "Ensemble", "Frozen", "Teacher"),
    "terms": ("Decoupled", "Feature", "Hard", "Soft", "generated", "kd", "supervised"),
    "trajectory": ("Trajectory",),
    "transforms": ("ImageViews", "SignalViews"),
}
_HOMES = {name: place for place, names in _PLACES.items() for name in names}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'limbeck' has no attribute {name!r}")
    return getattr(import_module(f"limbeck.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
