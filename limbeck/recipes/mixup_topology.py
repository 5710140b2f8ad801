"""A time series' own shape as a second teacher: a network on windows and one on their persistence images teach a small
one that reads windows alone, with mixup [Jeon 2025, arXiv:2502.00779].

    L = (1 - w) CE(s, y) + w T^2 (eta KL(t_series || s) + (1 - eta) KL(t_image || s))
    mixup    x <- l x_i + (1 - l) x_j,  CE <- l CE(y_i) + (1 - l) CE(y_j),  l ~ Beta(alpha, alpha) a sample
             windows and labels by alpha1, persistence images by alpha2; the teachers see what is mixed
    annealing: the student starts from the weights of one that has learnt from labels alone

    limbeck train mixup-topology --data usc-had --data.root DIR --annealed --mix mixup --mix.alpha2 0.2 --out runs/a
    limbeck study topology --data usc-had --data.root DIR --out runs/topology

What the paper leaves open, and what is done here: eta belongs to the series' teacher (its scripts agree only so); KL is
summed over classes and averaged over samples (its lineage averages over classes as well: `--reduction mean`), of plain
softmaxes at T (its lineage divides logits by their deviation: `--scaling std`); both modalities of a sample have one
partner and are mixed together or not at all, by shares that are drawn apart; a persistence image is mixed as an image;
teachers are trained without mixup unless `--teachers-mix` asks for it; one set of validation subjects chooses the step
that is kept, for every method alike (its lineage chooses by the test). eta 1 is the series' teacher alone, eta 0 the
image's, w 0 labels alone. With several tasks each weighs the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

from pydantic import Field, model_validator

from limbeck import checkpoint, evaluate, losses, process
from limbeck.config import Spec, digest, dump, parse
from limbeck.data.folder import Recordings
from limbeck.data.geneactiv import GENEActiv
from limbeck.data.har import WISDM, MHealth
from limbeck.data.pamap2 import PAMAP2
from limbeck.data.source import Table
from limbeck.data.split import Split
from limbeck.data.synthetic import Wearable
from limbeck.data.usc_had import USCHAD
from limbeck.data.watch import Watch
from limbeck.distiller import Distiller, Transform, View
from limbeck.mixings import Mixings, Planned
from limbeck.mixup import SERIES, CutMix, Cutout, Mixup, Noise, Plain, Smoothing
from limbeck.models import BiLSTM, Hybrid, ImageWideResNet, MTLNet, MultiTask, ResNet1D, WideResNet
from limbeck.models.heads import Model
from limbeck.models.wide import PI
from limbeck.objective import STUDENT, Objective
from limbeck.plan import SGD, Plan
from limbeck.recipe import Models, Place, Recipe
from limbeck.run import Run
from limbeck.schedule import Cosine
from limbeck.steering import AdaptiveMixup, Steering
from limbeck.tasks import Task
from limbeck.teachers import Frozen, Teacher, fingerprint
from limbeck.terms import Soft, kd, supervised
from limbeck.topology.column import FittedImage, Images, code, diagrams_of
from limbeck.topology.images import PersistenceImage

SCRATCH, IMAGES, TEACHING = "scratch", "images.json", "teaching.json"
PUBLISHED = {
    "plan.epochs": 200,
    "plan.schedule": "stairs",
    "plan.schedule.at": [0.055, 0.33, 0.665],
    "plan.schedule.values": [0.2, 0.02, 0.002],
    "series.width": 3,
    "image.width": 3,
    "series.normalise": "within",
    "image.normalise": "within",
    "student.normalise": "within",
    "annealed": True,
    "mix": "mixup",
}
"""What is the same in the paper for both of its data sets."""


class Another(Spec):
    """One more teacher."""

    kind: ClassVar[str] = "another"
    model: WideResNet | ImageWideResNet | ResNet1D | MTLNet | BiLSTM | Hybrid = ResNet1D()
    weight: float = Field(0.2, gt=0, lt=1)
    """Of the distillation; the first two teachers have the rest, by eta."""


class Taught(NamedTuple):
    """A teacher of the objective: its model, and its weight in the distillation."""

    model: Model
    weight: float


class MixupTopology(Recipe):
    """A student of windows, taught by a network on windows and one on their persistence images, with mixup."""

    kind: ClassVar[str] = "mixup-topology"
    untrained: ClassVar[frozenset[str]] = frozenset({IMAGES, TEACHING})
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "published-pamap2": {**PUBLISHED, "eta": 0.3, "split": "loso", "images": "persistence-image"},
        "published-geneactiv": {
            **PUBLISHED, "eta": 0.7, "mix.alpha1": 0.15, "mix.alpha2": 0.2, "images": "persistence-image",
            "images.sigma": 0.25, "images.low": -10, "images.high": 10,
        },
    }  # fmt: skip
    data: Watch | USCHAD | PAMAP2 | GENEActiv | WISDM | MHealth | Recordings | Wearable = Watch()
    plan: Plan = Plan(epochs=30, optimiser=SGD(lr=0.05, weight_decay=1e-4), schedule=Cosine())
    student: WideResNet | ResNet1D | MTLNet | BiLSTM | Hybrid = WideResNet()
    series: WideResNet | ResNet1D | MTLNet | BiLSTM | Hybrid = WideResNet()
    """The teacher that reads windows."""
    image: ImageWideResNet = ImageWideResNet()
    """The teacher that reads persistence images."""
    others: tuple[Another, ...] = ()
    """More teachers, as --others.0.model resnet1d --others.0.weight 0.2."""
    images: FittedImage | PersistenceImage = FittedImage()
    """How diagrams become images."""
    eta: float = Field(0.7, ge=0, le=1)
    """Weight of the series' teacher against the image's; one of weight 0 is not trained at all."""
    w: float = Field(0.7, ge=0, le=1)
    """Weight of distillation against the labels."""
    T: float = Field(4.0, gt=0)
    """Temperature."""
    reduction: losses.Reduction = "sum"
    """Of the KL over classes."""
    scaling: losses.Scaling = "none"
    """std: logits over their standard deviation, in the labels' part too."""
    annealed: bool = False
    """Whether the student starts from the weights of one that has learnt from labels alone, by the same plan."""
    mix: Plain | Mixup | AdaptiveMixup | CutMix | Cutout | Noise | Smoothing = Plain()
    """What becomes of a batch before it is judged."""
    teachers_mix: bool = False
    """Whether teachers are trained so too."""

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        others = sum(other.weight for other in self.others)
        if others > 1 - 1e-9:
            raise ValueError(f"the weights of --others come to {others:g}: nothing is left for the first two teachers")
        if isinstance(self.mix, AdaptiveMixup) and (self.teachers_mix or not self.w):
            which = "--teachers-mix asks for it where there is none" if self.teachers_mix else "at --w 0 there is none"
            raise ValueError(f"adaptive mixup follows a teacher, and {which}; use --mix mixup")
        return self

    def taught(self) -> dict[str, Taught]:
        """The teachers that the student learns from, by name."""
        rest = 1 - sum(other.weight for other in self.others)
        named = {"series": Taught(self.series, rest * self.eta), "image": Taught(self.image, rest * (1 - self.eta))}
        named |= {f"other{i}": Taught(other.model, other.weight) for i, other in enumerate(self.others)}
        return {name: each for name, each in named.items() if self.w and each.weight}

    def objective(self, tasks: tuple[Task, ...]) -> Objective:
        """The mean over tasks of the labels' part and the teachers'."""
        how, smoothing = Soft(T=self.T, reduction=self.reduction, scaling=self.scaling), self.mix.labels
        parts = []
        for task in tasks:
            part = supervised(task, smoothing=smoothing, scaling=self.scaling)
            soft = [each.weight * kd(task, name, how) for name, each in self.taught().items()]
            if soft:
                part = (1 - self.w) * part + self.w * sum(soft[1:], start=soft[0])
            parts.append(part)
        return mean(parts)

    def learn(self, split: Split, place: Place) -> Models:
        """The student, and the teachers it learns from."""
        tasks, taught = split.train.tasks, self.taught()
        self._describe_images(split, place.at)
        seen = self.seen(split, place.at)
        runs = {
            name: self.alone(each.model, tasks, seen if each.model.modality == PI else split, name)
            for name, each in taught.items()
        }
        models = {name: place.share(run, name)[STUDENT] for name, run in runs.items()}
        student, start = self.fresh(self.student, tasks, split), ""
        if self.annealed:
            scratch = place.share(self.alone(self.student, tasks, split, SCRATCH), SCRATCH)[STUDENT]
            student.load_state_dict(scratch.state_dict())
            start = fingerprint(scratch)
        frozen = {name: (Frozen(model), place.folder(runs[name], name)) for name, model in models.items()}
        teachers, transform = self.teaching(frozen, seen.train, place)
        distiller = Distiller(student, teachers, [View(self.objective(tasks), transform)])
        about = {"role": STUDENT, "mix": dump(self.mix), "start": start}
        return {**place.fit(self.prepare(self.student, tasks, seen, distiller, about)), **models}

    def alone(self, spec: Model, tasks: tuple[Task, ...], split: Split, role: str) -> Run:
        """The training of a network by labels alone: on mixed batches, where it is a teacher and that is asked for."""
        mix = self.mix if self.teachers_mix and role != SCRATCH else Plain()
        assert not isinstance(mix, AdaptiveMixup)
        objective = mean([supervised(task, smoothing=mix.labels, scaling=self.scaling) for task in tasks])
        view = View(objective, None if mix.pure else partial(mix.apply, whose=spec.modality))
        # Not the student's own beginning: one who is to be taught by it would start as a copy of its teacher.
        model = self.fresh(spec, tasks, split, "" if role == SCRATCH else role)
        distiller = Distiller(model, {}, [view])
        return self.prepare(spec, tasks, split, distiller, {"role": role, "mix": dump(mix)})

    def teaching(
        self, frozen: Mapping[str, tuple[Frozen, Path]], train: Table, place: Place
    ) -> tuple[dict[str, Teacher], Transform | None]:
        """How the teachers answer (their answers are stored in a folder each, where they can be), and what becomes of
        batches. Says what that costs."""
        mix, made = self.mix, dict[str, Teacher]({name: teacher for name, (teacher, _) in frozen.items()})
        transform: Transform | None
        cost = "teachers answer in every step, for each batch is another"
        if isinstance(mix, AdaptiveMixup):
            transform = Steering(mix, {name: modality_of(teacher) for name, (teacher, _) in frozen.items()})
        elif mix.pure:
            made = {name: evaluate.remember(teacher, train, at=at) for name, (teacher, at) in frozen.items()}
            transform, cost = None, f"teachers answered once for each of {len(train)} windows"
        elif isinstance(mix, Mixup) and mix.plans and frozen:
            mixings = Mixings(train, mix, self.plan.seed)
            made = {
                name: Planned(
                    [evaluate.remember(teacher, each, at=at) for each in mixings.tables(modality_of(teacher))]
                )
                for name, (teacher, at) in frozen.items()
            }
            cost = (
                f"teachers answered {mix.plans} times for each of {len(train)} windows, which are mixed in no other way"
            )
            transform = mixings
        else:
            transform = mix.apply
        if frozen and process.rank() == 0:
            checkpoint.write_json(place.at / TEACHING, {"teachers": list(frozen), "cost": cost})
            place.say(cost)
        return made, transform

    def _describe_images(self, split: Split, at: Path) -> None:
        """Keeps how images are made, where a teacher reads them: for `extended`, and for whoever reads the run."""
        if any(each.model.modality == PI for each in self.taught().values()):
            images = self.images
            if isinstance(images, FittedImage):
                images = images.fit(diagrams_of(split.train.inputs[SERIES]), split.train.card.get("unit", ""))
            if process.rank() == 0:
                checkpoint.write_json(at / IMAGES, dump(images))
            process.from_leader(None)

    def extended(self, table: Table, at: Path) -> Table:
        if not (at / IMAGES).is_file():
            return table
        spec = parse(PersistenceImage, checkpoint.read_json(at / IMAGES))
        images = Images(diagrams_of(table.inputs[SERIES]), spec)
        return replace(table, inputs={**table.inputs, PI: images}, digest=digest([table.digest, dump(spec), code()]))


def mean(parts: Sequence[Objective]) -> Objective:
    """Of several objectives."""
    return 1 / len(parts) * sum(parts[1:], start=parts[0])


def modality_of(teacher: Frozen) -> str:
    """The input that a teacher reads."""
    assert isinstance(teacher.model, MultiTask)
    return teacher.model.modality
