"""Labels that models generated in a run, as its `labels.json` tells of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from limbeck import checkpoint
from limbeck.errors import UserError
from limbeck.finished import Number
from limbeck.measures import Measure, Measures, share
from limbeck.statistics import Estimate, over_seeds

FILE = "labels.json"
MEASURES: Measures = (
    share("coverage", "coverage"), share("held.coverage", "coverage of hidden"),
    share("held.accuracy_kept", "accuracy of kept"), share("held.accuracy_all", "of all"),
    share("held.accuracy_plain", "of all without views"), share("agreement", "agreement with the round before"),
)  # fmt: skip
ABOUT = (
    "Coverage is the share of the cells asked for that were given a label. Hidden are labels of people that training "
    "did not see; by them, the accuracy of the generated labels that were kept, of all answers, and of all answers to "
    "the sample itself alone. Means over seeds with 95 % intervals by Student's t."
)


class BySet(BaseModel):
    """What was asked of one data set, and the labels that came out."""

    asked: int
    kept: int
    labels: dict[str, int] = {}


class Hidden(BaseModel):
    """How good labels are where those of people are hidden: `n` of them. Accuracies are None without any answer."""

    n: int
    kept: int
    coverage: Number
    accuracy_kept: Number
    accuracy_all: Number
    accuracy_plain: Number


class Told(BaseModel):
    """What was generated for a task in a round; `threshold` of confidence for all or by class, None where nothing was
    sure enough; `agreement` with the round before."""

    rule: str
    threshold: float | dict[str, float | None] | None
    asked: int
    kept: int
    coverage: Number
    by_set: dict[str, BySet] = {}
    held: Hidden | None = None
    agreement: Number = None

    def value(self, key: str) -> float | None:
        """What one of `MEASURES` is."""
        of, _, name = key.rpartition(".")
        found: float | None = getattr(self.held, name, None) if of else getattr(self, name)
        return found


class Round(BaseModel):
    """A round of data distillation; `teachers` by task, as digests of their weights."""

    round: int
    teachers: dict[str, str]
    views: list[str]
    tasks: dict[str, Told]


class Labels(BaseModel):
    """`labels.json`."""

    rounds: list[Round]


@dataclass(frozen=True)
class Summary:
    """What several runs (seeds) generated for a task in a round."""

    round: int
    task: str
    told: Sequence[Told]

    def estimate(self, measure: Measure) -> Estimate | None:
        """The mean over the runs that tell it, with an interval over them; None where none does."""
        values = [v for told in self.told if (v := told.value(measure.key)) is not None]
        return over_seeds(values) if values else None


def read(at: Path) -> Labels | None:
    """What was generated in a run; None where nothing was. Raises `UserError` for a file that cannot be read."""
    path = at / FILE
    try:
        found = Labels.model_validate(checkpoint.read_json(path)) if path.is_file() else None
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    return found if found and found.rounds else None


def summaries(runs: Sequence[Labels]) -> list[Summary]:
    """Of the runs of one method, by round and task."""
    each: dict[tuple[int, str], list[Told]] = {}
    for found in runs:
        for one in found.rounds:
            for task, told in one.tasks.items():
                each.setdefault((one.round, task), []).append(told)
    return [Summary(number, task, told) for (number, task), told in each.items()]


def tellable(found: Sequence[Summary]) -> Measures:
    """The measures that any of them tells."""
    return tuple(measure for measure in MEASURES if any(one.estimate(measure) for one in found))
