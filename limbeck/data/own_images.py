"""Your own images: a folder or zip of them, with labels from a table, from their folders, or none at all."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from limbeck.config import digest
from limbeck.data import faces, lists
from limbeck.data.archive import Entry, find, search
from limbeck.data.decoding import SUFFIXES
from limbeck.data.discover import natural
from limbeck.data.folder import MOST
from limbeck.data.images import ImageData, Listing
from limbeck.data.layout import MISSING
from limbeck.data.photos import Photo
from limbeck.data.recordings import Findings
from limbeck.errors import UserError
from limbeck.tasks import Task

_UNREAD = r"\.(?:heic|heif|avif|jxl|jp2|dng|cr2|nef|arw)"
"""The end of the name of an image in a format that is not read."""


class Images(ImageData):
    """A folder or zip of images, nested or not: JPEG, PNG, PPM, BMP, GIF, TIFF or WebP.

    Tasks are columns of a table, the folders that images lie in, both or none: then the images are only to be labelled
    by a model. Classes are what is found, sorted; of a task that sets of faces have (age, gender, race, expression),
    theirs. An image that the table does not name, or an empty cell, has no label. A session is a folder.
    """

    kind: ClassVar[str] = "images"
    expected: ClassVar[str] = "root is a folder or zip of images, such as JPEG or PNG"
    labels: Path | None = None
    """CSV file (with commas, semicolons or tabs) that says of each image what it is: beside or inside the root, or
    anywhere."""
    file: str = "file"
    """Its column of file names, with as many of the folders they lie in as it takes to tell them apart."""
    subject: str = "subject"
    """Its column of the person (or thing) an image is of; where there is none, each image is a subject of its own."""
    columns: tuple[str, ...] = ()
    """Its columns that are tasks; where none is named, all others."""
    classes_from: Literal["none", "folders"] = "none"
    """folders: the folder that an image lies in is its class of the task `label`."""

    def images(self) -> list[Entry]:
        """The images, named by their path below the root. Raises `UserError` where there are none."""
        return find(self.root, rf".+{SUFFIXES}", self.expected, folders=None)

    def table(self) -> Entry | None:
        """The table of labels, if one was named. Raises `UserError` where it is not there."""
        if self.labels is None:
            return None
        for path in (self.labels, self.root / self.labels, self.root.parent / self.labels):
            if path.expanduser().is_file():
                return Entry(path.name, path.expanduser())
        tables = find(self.root, r".+\.[ct]sv", f"data.labels: there is no file {str(self.labels)!r}", folders=None)
        for entry in tables:
            if entry.name == self.labels.as_posix():
                return entry
        raise UserError(
            f"data.labels: there is no file {str(self.labels)!r}; {self.root} has {', '.join(e.name for e in tables)}"
        )

    def entries(self) -> list[Entry]:
        table = self.table()
        return [*([table] if table else []), *self.images()]

    def digest(self) -> str:
        """Names the contents of the files and this spec, and whether a table is read, but not where they lie."""
        return digest([super().digest(), self.labels.name if self.labels else ""])

    def listing(self, findings: Findings) -> Listing:
        """The images, with what table and folders tell. Raises `UserError` where to go on would be to guess."""
        images, entry = self.images(), self.table()
        rows = self._rows(lists.read(entry, findings), images, findings) if entry else {}
        unread = search(self.root, rf".+{_UNREAD}", folders=None)
        findings.add("images of formats that are not read, left out", *_first([e.name for e in unread]))
        texts: dict[str, dict[str, str]] = {}
        for column in dict.fromkeys(column for row in rows.values() for column in row if column != self.subject):
            texts[column] = {name: row[column] for name, row in rows.items() if row[column] not in MISSING}
        if self.classes_from == "folders":
            if "label" in texts:
                raise UserError(f"data.classes_from: {self.labels} has a column 'label' as well; use one of them")
            held = {image.name: _folder(image.name).rpartition("/")[2] for image in images}
            texts["label"] = {name: folder for name, folder in held.items() if folder}
            findings.add("images in no folder, unlabelled", *_first([n for n, folder in held.items() if not folder]))
        named = [*self.columns, *(["label"] if self.classes_from == "folders" else [])]
        tasks = [task for name, given in texts.items() if (task := _task(name, given, name in named, findings))]
        photos = [
            Photo(
                image.name,
                image,
                {t.name: t.labels.index(texts[t.name][image.name]) for t in tasks if image.name in texts[t.name]},
                rows.get(image.name, {}).get(self.subject, ""),
                _folder(image.name),
            )
            for image in images
        ]
        return Listing(photos, tuple(tasks), unlabelled=True)

    def _rows(self, table: lists.List, images: Sequence[Entry], findings: Findings) -> dict[str, dict[str, str]]:
        """The cells of each image that a line names: its tasks, and its subject."""
        table.need(self.file, *self.columns)
        tasks = self.columns or tuple(c for c in table.columns if c not in (self.file, self.subject))
        columns = [*tasks, *([self.subject] if self.subject in table.columns else [])]
        places, rows = _places(images), dict[str, dict[str, str]]()
        for number, cells in table.lines:
            where, name = f"{table.name}:{number}", cells[self.file].replace("\\", "/").removeprefix("./")
            known = places.get(name, ())
            if len(known) > 1:
                raise UserError(f"{where}: {name!r} is {' and '.join(known[:3])}; write the folder of the one meant")
            findings.add("lines without an image", f"{where}: {name}", not known)
            for image in known:
                findings.add("images with several lines, of which the first is taken", where, image in rows)
                rows.setdefault(image, {column: cells[column] for column in columns})
        findings.note("images without a line, unlabelled", *_first([e.name for e in images if e.name not in rows]))
        return rows


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _first(names: Sequence[str]) -> tuple[str, int]:
    """The first of some names, and how many they are."""
    return (names[0] if names else ""), len(names)


def _places(images: Sequence[Entry]) -> Mapping[str, Sequence[str]]:
    """The images that a name may mean, which is the end of their path; the whole path means one alone."""
    places: dict[str, list[str]] = {}
    for image in images:
        parts = image.name.split("/")
        for at in range(1, len(parts)):
            places.setdefault("/".join(parts[at:]), []).append(image.name)
    return places | {image.name: [image.name] for image in images}


def _task(name: str, given: Mapping[str, str], asked: bool, findings: Findings) -> Task | None:
    """The task of a column; none where nobody asked for it and it has one class only."""
    classes = Counter(given.values())
    if len(classes) > MOST:
        raise UserError(
            f"the column {name!r} has {len(classes)} different texts, more than a label has; name the columns that are "
            "labels with --data.columns"
        )
    if "." in name:  # tasks name modules, and those may not have one
        raise UserError(f"the column {name!r} has a point in its name, which a task may not; rename it")
    for task in (faces.AGE, faces.GENDER, faces.RACE, faces.EXPRESSION):
        if classes and name == task.name and classes.keys() <= set(task.labels):
            return task
    if len(classes) > 1:
        return Task.of(name, tuple(sorted(classes, key=natural)))
    if asked:
        told = f"one class only, {min(classes)!r}" if classes else "no label at all"
        raise UserError(f"{name!r} has {told}, so there is nothing to learn")
    findings.add(f"column with less than two classes, no task: {name}", min(given, default=""))
    return None
