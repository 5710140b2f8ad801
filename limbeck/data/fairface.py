"""FairFace: faces balanced over seven races, with brackets of age, gender and race."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from limbeck.data import faces, lists
from limbeck.data.archive import Entry, find
from limbeck.data.images import ImageData, Listing
from limbeck.data.photos import Photo
from limbeck.data.recordings import Findings
from limbeck.errors import UserError
from limbeck.tasks import Task

BRACKETS = ((0, 2), (3, 9), (10, 19), (20, 29), (30, 39), (40, 49), (50, 59), (60, 69), (70, faces.OLDEST))
"""First and last years of its brackets."""
BRACKET = Task(
    "age_bracket",
    classes=9,
    labels=("0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "more than 70"),
    unit="years",
    middles=(1, 6, 14.5, 24.5, 34.5, 44.5, 54.5, 64.5, 75),
)
_GENDERS = {"male": 0, "female": 1}
_RACES = {
    "white": "White",
    "black": "Black",
    "indian": "Indian",
    "east asian": "Asian",
    "southeast asian": "Asian",
    "latino hispanic": "Others",
    "middle eastern": "Others",
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


class FairFace(ImageData):
    """FairFace: 97,698 faces, balanced over seven races.

    [Kärkkäinen 2021]. Its races become UTKFace's five: those of East and of Southeast Asia are Asian; Latino and Middle
    Eastern are among the others. A session is `train` or `val`. Who a face is of is not known: each is a subject of its
    own.
    """

    kind: ClassVar[str] = "fairface"
    licence: ClassVar[str] = "CC BY 4.0"
    citation: ClassVar[str] = (
        "K. Kärkkäinen, J. Joo: FairFace: Face Attribute Dataset for Balanced Race, Gender, and Age for Bias "
        "Measurement and Mitigation. IEEE Winter Conference on Applications of Computer Vision (WACV), 2021"
    )
    expected: ClassVar[str] = "root holds images train/<number>.jpg and val/<number>.jpg and fairface_label_train.csv"
    ages: Literal["adience", "own"] = "adience"
    """adience: the task `age`, with the brackets that lie in one of its groups (0-2 and all from 60 on); others are
    missing. own: the task `age_bracket`, with all nine."""

    def images(self) -> list[Entry]:
        """The images. Raises `UserError` where there are none."""
        return find(self.root, r"(?:train|val)/[^/]+\.jpe?g", self.expected, folders=1)

    def tables(self) -> list[Entry]:
        """The tables. Raises `UserError` where there are none."""
        return find(self.root, r"[^/]+\.csv", self.expected)

    def entries(self) -> list[Entry]:
        return [*self.tables(), *self.images()]

    def listing(self, findings: Findings) -> Listing:
        """The images that a table names."""
        images = {entry.name: entry for entry in self.images()}
        named: dict[str, Photo] = {}
        for entry in self.tables():
            table = lists.read(entry, findings)
            if not {"file", "age", "gender", "race"} <= set(table.columns):
                findings.note("tables without file, age, gender and race, not read", entry.name)
                continue
            for number, row in table.lines:
                self._add(row, f"{entry.name}:{number}", images, named, findings)
        if not named:
            raise UserError(f"{self.root}: no table here names an image by file, age, gender and race; {self.expected}")
        extra = [name for name in images if name not in named]
        findings.add("images that no table names, left out", extra[0] if extra else "", len(extra))
        task = faces.AGE if self.ages == "adience" else BRACKET
        return Listing([named[name] for name in images if name in named], (task, faces.GENDER, faces.RACE))

    def _add(
        self,
        row: Mapping[str, str],
        where: str,
        images: Mapping[str, Entry],
        named: dict[str, Photo],
        findings: Findings,
    ) -> None:
        """Adds the image of a line; what is odd is counted."""
        name = "/".join(row["file"].replace("\\", "/").split("/")[-2:])
        if name not in images:
            findings.add("lines whose image is not there, left out", f"{where}: {name}")
            return
        labels = self._age(row["age"], where, findings)
        for task, known in (
            (faces.GENDER, _GENDERS),
            (faces.RACE, {k: faces.RACE.labels.index(v) for k, v in _RACES.items()}),
        ):
            text = row[task.name].lower().replace("_", " ")
            findings.add(f"texts that are no {task.name}, missing", f"{where}: {text}", text not in known)
            labels |= {task.name: known[text]} if text in known else {}
        made = Photo(name, images[name], labels, session=name.partition("/")[0])
        findings.add("lines that tell otherwise of an image, first taken", where, named.get(name, made) != made)
        named.setdefault(name, made)

    def _age(self, text: str, where: str, findings: Findings) -> dict[str, int]:
        """The label of a bracket, by task."""
        bracket, repaired = _bracket(text)
        findings.add("ages that a spreadsheet made a date, read as the bracket they were", f"{where}: {text}", repaired)
        findings.add("texts that are no bracket of age, missing", f"{where}: {text}", bracket is None)
        if bracket is None or self.ages == "own":
            return {} if bracket is None else {BRACKET.name: bracket}
        made = faces.nearest(*BRACKETS[bracket])
        findings.note("ages of a bracket in several groups, missing", f"{where}: {text}", made is None)
        return {} if made is None else {faces.AGE.name: made}


def _bracket(text: str) -> tuple[int | None, bool]:
    """Which bracket a text is, and whether it had become a date: `03-Sep` or `9-Mar` of 3-9, `Oct-19` of 10-19."""
    if text in BRACKET.labels:
        return BRACKET.labels.index(text), False
    parts = [part.lower() for part in text.split("-")]
    numbers = sorted(_MONTHS.index(p) + 1 if p in _MONTHS else int(p) if p.isdecimal() else -1 for p in parts)
    plain = "-".join(map(str, numbers))
    return (BRACKET.labels.index(plain), True) if plain in BRACKET.labels else (None, False)
