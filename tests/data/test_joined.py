"""Several half-labelled sets as one: every label stays with its sample and keeps its meaning."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from limbeck.config import parse
from limbeck.data import labels
from limbeck.data.cells import counts, veiled
from limbeck.data.generated import Generated
from limbeck.data.image_sets import ImageSets
from limbeck.data.joined import Joined
from limbeck.data.sensor_sets import SensorSets
from limbeck.data.source import Table, Windows
from limbeck.data.split import BySubject
from limbeck.data.synthetic import GRAVITY, Wearable
from limbeck.errors import UserError
from limbeck.tasks import IGNORE, Task
from tests.conftest import table
from tests.data.fake_faces import encoded, picture

SMALL: dict[str, Any] = {"kind": "wearable", "subjects": 3, "seconds": 4, "activities": 4}
WINDOWS = {"length": 50, "stride": 50, "rate": 50}


def sensors(*sets: dict[str, Any], **fields: Any) -> SensorSets:
    """Simulated sets, the second of which is another domain."""
    made = [{"data": SMALL | ({"shift": 0.5, "seed": n} if n else {}) | each.pop("data", {})} | each
            for n, each in enumerate(map(dict, sets))]  # fmt: skip
    return parse(SensorSets, {"sets": made, "windows": WINDOWS, **fields})


def alone(spec: Joined, number: int) -> Table:
    """A set of several, read by itself."""
    return spec.members[number].data.load()


def names(rows: Table, task: str) -> list[str | None]:
    """The label of each row, in words."""
    words = next(t for t in rows.tasks if t.name == task).labels
    return [None if i == IGNORE else words[i] for i in rows.targets[task].tolist()]


def test_rows_are_those_of_the_sets_with_only_the_labels_that_are_used() -> None:
    spec = sensors({"tasks": ["activity"]}, {"tasks": ["position"]})
    both, one, two = spec.load(), alone(spec, 0), alone(spec, 1)
    count = len(one)
    assert [t.name for t in both.tasks] == ["activity", "position"]
    assert names(both, "activity") == names(one, "activity") + [None] * len(two)
    assert names(both, "position") == [None] * count + names(two, "position")
    index = torch.tensor([count + 7, 0, count - 1, count])
    batch = both.rows(index)
    wanted = [two.rows(torch.tensor([7])), one.rows(torch.tensor([0])), one.rows(torch.tensor([count - 1])),
              two.rows(torch.tensor([0]))]  # fmt: skip
    assert torch.equal(batch.inputs["sensor"], torch.cat([w.inputs["sensor"] for w in wanted]))
    assert batch.inputs["domain"].tolist() == [1, 0, 0, 1]
    assert both.meta["subject"][[0, count]].tolist() == ["wearable 1 1", "wearable 2 1"]


def test_the_card_tells_of_every_cell() -> None:
    spec = sensors({"tasks": ["activity"]}, {"hidden": ["activity"]})
    both, count = spec.load(), len(alone(spec, 0))
    told = both.card["cells"]
    nothing = {"labelled": 0, "generated": 0, "missing": count}
    assert told["wearable 1"] == {"activity": {**nothing, "labelled": count, "missing": 0}, "position": nothing}
    assert told["wearable 2"]["activity"]["labelled"] == len(alone(spec, 1))
    assert both.card["hidden"] == {"wearable 2": ["activity"]}
    assert both.card["subjects"] == 6
    assert both.card["tasks"]["position"]["missing"] == count
    assert [part["name"] for part in both.card["parts"]] == ["wearable", "wearable"]


def test_hidden_labels_are_there_to_judge_by_and_what_is_veiled_lacks_them() -> None:
    spec = sensors({"tasks": ["activity"]}, {"tasks": ["position"], "hidden": ["activity"]})
    both, count = spec.load(), len(alone(spec, 0))
    assert None not in names(both, "activity")
    seen = veiled(both, both.card["hidden"])
    assert names(seen, "activity") == names(both, "activity")[:count] + [None] * (len(both) - count)
    assert torch.equal(seen.targets["position"], both.targets["position"])
    assert "activity" in both.whole
    assert "activity" not in seen.whole, "what is whole is looked up anew"
    assert (seen.status("activity")[count:] == "missing").all()
    part = veiled(both.take(torch.tensor([count + 3, 2, count])), both.card["hidden"])
    assert names(part, "activity") == [None, names(both, "activity")[2], None]


def test_a_task_that_the_set_does_not_have_is_refused() -> None:
    for fields in ({"tasks": ["activty"]}, {"hidden": ["activty"]}):
        with pytest.raises(UserError, match=r"task of wearable: .*'activty'.*activity"):
            sensors(fields).load()


def test_renamed_classes_keep_their_samples() -> None:
    """Two become one, one is taken away, and ids follow the names."""
    plain = sensors({})
    spec = sensors({"rename": ["sitting=still", "standing = still", "lying=", "position/ankle=leg"]})
    one, new = alone(plain, 0), spec.load()
    assert new.tasks[0].labels == ("still", "walking")
    assert new.tasks[1].labels == ("wrist", "leg")
    words = {"sitting": "still", "standing": "still", "lying": None, "walking": "walking", "ankle": "leg"}
    for task in ("activity", "position"):
        assert names(new, task) == [words.get(str(label), label) for label in names(one, task)]


def test_a_class_is_renamed_to_one_that_there_is() -> None:
    spec = sensors({"rename": ["walking=lying"]})
    one, new = alone(spec, 0), spec.load()
    assert new.tasks[0].labels == ("lying", "sitting", "standing")
    assert names(new, "activity") == [{"walking": "lying"}.get(str(label), label) for label in names(one, "activity")]


def test_what_cannot_be_renamed_is_told() -> None:
    for entry, said in (
        ("siting=still", r"class of wearable: .*'siting'.*sitting"),
        ("sitting", r"rename: expected OLD=NEW, not 'sitting'"),
        ("position/sitting=still", r"class of wearable: .*'position/sitting'"),
    ):
        with pytest.raises(UserError, match=said):
            sensors({"rename": [entry]}).load()


def sources(*lists: tuple[str, ...]) -> list[dict[str, Any]]:
    """Sets whose classes are these, made of the first of lying, sitting, standing, walking by renaming."""
    known = ("lying", "sitting", "standing", "walking")
    return [
        {"tasks": ["activity"], "rename": [f"{old}={new}" for old, new in zip(known, each, strict=True)]}
        for each in lists
    ]


def test_sets_with_other_classes_are_refused_joined_by_what_they_share_or_by_all() -> None:
    """Ids differ from set to set, in number and in order; names decide."""
    given = sources(("a", "b", "c", "d"), ("x", "c", "b", ""))
    with pytest.raises(UserError, match=r"disagree on the classes of 'activity': only one of them has 'a', 'd', 'x'"):
        sensors(*given).load()
    one = names(sensors(given[0]).load(), "activity")
    two = names(sensors({"tasks": ["position"]}, given[1]).load(), "activity")[len(one) :]
    assert set(two) == {"x", "c", "b", None}
    apart = one + two
    shared, every = (sensors(*given, classes=how).load() for how in ("shared", "all"))
    assert shared.tasks[0].labels == ("b", "c")
    assert names(shared, "activity") == [label if label in ("b", "c") else None for label in apart]
    assert every.tasks[0].labels == ("a", "b", "c", "d", "x")
    assert names(every, "activity") == apart
    assert every.tasks[0].classes == 5
    assert shared.card["tasks"]["activity"]["missing"] == names(shared, "activity").count(None)


def test_sets_that_share_too_little_are_refused() -> None:
    given = sources(("a", "b", "c", "d"), ("x", "c", "y", "z"))
    with pytest.raises(UserError, match=r"the sets share 1 classes of 'activity': c"):
        sensors(*given, classes="shared").load()


def test_of_one_set_two_are_made_that_have_nobody_in_common() -> None:
    same = {"subjects": 11, "shift": 0, "seed": 0}
    spec = sensors(
        {"data": same, "subjects": "even", "tasks": ["activity"]},
        {"data": same, "subjects": "odd", "tasks": ["position"]},
    )
    both = spec.load()
    whole = alone(spec, 0)
    people = [set(both.meta["subject"][both.meta["domain"] == name].tolist()) for name in ("wearable 1", "wearable 2")]
    assert people[0] == {f"wearable 1 {n}" for n in (1, 3, 5, 7, 9, 11)}
    assert people[1] == {f"wearable 2 {n}" for n in (2, 4, 6, 8, 10)}
    even = np.isin(whole.meta["subject"], [str(n) for n in (1, 3, 5, 7, 9, 11)])
    first = torch.from_numpy(np.flatnonzero(even))
    second = torch.from_numpy(np.flatnonzero(~even))
    assert torch.equal(both.targets["activity"][: len(first)], whole.targets["activity"][first])
    assert torch.equal(both.targets["position"][len(first) :], whole.targets["position"][second])
    assert torch.equal(
        both.rows(torch.tensor([len(first) + 4])).inputs["sensor"], whole.rows(second[4:5]).inputs["sensor"]
    )


def test_one_set_twice_is_refused_unless_its_people_are_parted() -> None:
    same = {"data": {"shift": 0, "seed": 0}}
    for first, second in (({}, {}), ({"tasks": ["activity"]}, {"tasks": ["position"]}), ({"subjects": "even"},) * 2):
        with pytest.raises(UserError, match=r"two of the sets are the same wearable: a sample could be in training"):
            sensors({**same, **first}, {**same, **second}).load()


def test_a_task_that_nobody_labelled_for_training_is_refused() -> None:
    with pytest.raises(
        UserError, match=r"no set has a label of 'position' but wearable 2, where it is hidden; leave the task away"
    ):
        sensors({"tasks": ["activity"]}, {"tasks": ["activity"], "hidden": ["position"]}).load()


def test_sets_without_any_label_are_refused(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.new("RGB", (9, 9)).save(tmp_path / name / "x.png")
    words = ",".join(f"images:{tmp_path / name}" for name in "ab")
    with pytest.raises(UserError, match=r"no set has a label of anything; say where labels are, as --data.sets.0.data"):
        parse(ImageSets, {"sets": words}).load()


def test_a_set_of_another_kind_names_what_joins_it() -> None:
    with pytest.raises(
        UserError, match=r"no data for a sensor-set 'images'; known: .*Images are joined by --data image-sets"
    ):
        parse(SensorSets, {"sets": "images:here"})


def test_no_set_at_all_is_told() -> None:
    with pytest.raises(UserError, match=r"name the data sets, each with its folder, as --data.sets KIND:DIR"):
        SensorSets().load()


def test_acceleration_in_g_becomes_metres_and_other_units_are_refused() -> None:
    rows = table(5)
    sets = SensorSets()
    metres = replace(rows, card={**rows.card, "unit": "m/s2"})
    assert sets.fitted(metres) is metres
    made = sets.fitted(replace(rows, card={**rows.card, "unit": "g"}))
    at = torch.tensor([3, 1])
    assert torch.allclose(made.rows(at).inputs["sensor"], GRAVITY * rows.rows(at).inputs["sensor"], rtol=1e-6)
    assert made.rows(at).inputs["sensor"].dtype == torch.float32
    assert made.card["unit"] == "m/s2"
    assert isinstance(made.inputs["sensor"], Windows)
    for unit in ("deg/s", "m/s2, deg/s", ""):
        with pytest.raises(UserError, match=r"toy has the unit (deg/s|m/s2, deg/s|unknown)"):
            sets.fitted(replace(rows, card={**rows.card, "unit": unit}))


def test_each_set_is_split_by_itself_and_nobody_is_in_two_parts() -> None:
    both = sensors({"data": {"subjects": 7}}, {"data": {"subjects": 4}}).load()
    split = BySubject(test=0.3, valid=0.3).split(both)
    seen: list[set[str]] = []
    for part in split.parts.values():
        assert set(part.meta["domain"].tolist()) == {"wearable 1", "wearable 2"}
        people = set(part.meta["subject"].tolist())
        assert all(not people & others for others in seen)
        seen.append(people)
        assert torch.equal(part.targets["activity"], both.targets["activity"][part.ids])
        assert (part.meta["subject"] == both.meta["subject"][part.ids.numpy()]).all()
    assert sum(map(len, split.parts.values())) == len(both)
    assert not split.leaky


def test_a_joined_set_is_named_by_what_is_used_of_what() -> None:
    given = ({"tasks": ["activity"]}, {"tasks": ["position"]})
    specs = [
        sensors(*given),
        sensors(*given[::-1]),
        sensors({}, given[1]),
        sensors(given[0], {**given[1], "hidden": ["activity"]}),
        sensors(given[0], {**given[1], "subjects": "odd"}),
        sensors(given[0], {**given[1], "rename": ["ankle=leg"]}),
        sensors(*given, windows={**WINDOWS, "stride": 25}),
        sensors(given[0], {**given[1], "data": {"noise": 0.2}}),
    ]
    assert len({spec.digest() for spec in specs}) == len(specs)
    assert sensors(*given).digest() == specs[0].digest() == specs[0].load().digest


def test_labels_that_a_model_gave_join_and_are_counted(tmp_path: Path) -> None:
    """S5-05: of each cell it is told who labelled it, a person or which model, and how surely."""
    bare = Wearable(**{k: v for k, v in SMALL.items() if k != "kind"}, shift=0.5, seed=1).changed(windows=WINDOWS)
    held = bare.load()
    count = len(held)
    mood = Task.of("mood", ("good", "bad"))
    shares = torch.eye(2)[torch.arange(count) % 2]
    given = Generated(shares, torch.linspace(0.5, 1, count), torch.zeros(count).short(), ("0123",))
    given = replace(given, teacher=torch.where(torch.arange(count) < 3, -1, 0).short())
    pool = replace(held, tasks=(mood,), targets={"mood": torch.full((count,), IGNORE)})
    labels.write(tmp_path, pool, {"mood": given}, {})
    spec = sensors({"tasks": ["activity"]}, {"generated": str(tmp_path)})
    one = spec.members[1].table()
    assert {t.name for t in one.tasks} == {"activity", "position", "mood"}
    told = counts(replace(one, meta={**one.meta, "domain": np.full(count, "wearable")}))["wearable"]["mood"]
    assert told == {
        "labelled": 0, "generated": count - 3, "missing": 3, "teachers": ["0123"],
        "confidence": round(float(given.confidence[3:].mean()), 4),
    }  # fmt: skip
    with pytest.raises(UserError, match=r"labels that were generated have the classes of old; leave rename away"):
        sensors({}, {"generated": str(tmp_path), "rename": ["lying=flat"]}).load()


def faces(root: Path, ages: tuple[int, ...], seed: int) -> Path:
    """A folder in UTKFace's layout."""
    root.mkdir()
    for number, age in enumerate(ages):
        name = f"{age}_{number % 2}_{number % 5}_2017011{number:010d}.jpg.chip.jpg"
        (root / name).write_bytes(encoded(picture(seed + number)))
    return root


def expressions(root: Path, codes: tuple[int, ...], seed: int) -> Path:
    """A folder in FER2013's layout, of images of 48 pixels a side."""
    root.mkdir()
    with (root / "fer2013.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["emotion", "pixels", "Usage"])
        for number, code in enumerate(codes):
            grey = np.asarray(picture(seed + number, 48, 48, "L"))
            writer.writerow([code, " ".join(map(str, grey.flatten())), "Training"])
    return root


def test_images_of_two_layouts_are_one_set_of_one_size_and_colour(tmp_path: Path) -> None:
    one = faces(tmp_path / "utk", (1, 30, 70), 0)
    two = expressions(tmp_path / "fer", (6, 0, 3, 3), 50)
    spec = parse(ImageSets, {"sets": [f"utkface:{one}", f"fer2013:{two}"], "size": 16, "colour": "grey"})
    both = spec.load()
    assert both.shape("image") == (1, 16, 16)
    assert both.card["images"] == 7
    assert names(both, "age") == ["0-2", "25-32", "60+", None, None, None, None]
    assert names(both, "expression") == [None, None, None, "neutral", "angry", "happy", "happy"]
    assert next(t for t in both.tasks if t.name == "age").middles, "ages in order stay so"
    batch = both.rows(torch.tensor([5, 1]))
    for got, number, row in zip(batch.inputs["image"], (1, 0), (2, 1), strict=True):
        assert got.dtype == torch.uint8
        assert torch.equal(got, alone(spec, number).rows(torch.tensor([row])).inputs["image"][0])


def test_where_data_lie_is_not_what_they_are(tmp_path: Path) -> None:
    one = faces(tmp_path / "utk", (1, 30, 70), 0)
    two = expressions(tmp_path / "fer", (6, 0, 3, 3), 50)
    before = parse(ImageSets, {"sets": [f"utkface:{one}", f"fer2013:{two}"]}).load().digest
    (tmp_path / "moved").mkdir()
    for folder in (one, two):
        folder.rename(tmp_path / "moved" / folder.name)
    moved = {"sets": [f"utkface:{tmp_path}/moved/utk", f"fer2013:{tmp_path}/moved/fer"]}
    assert parse(ImageSets, moved).digest() == before
    faces(tmp_path / "more", (5,), 9)
    (tmp_path / "more" / "5_0_0_20170110000000000.jpg.chip.jpg").rename(
        tmp_path / "moved" / "utk" / "5_0_0_20170110000000077.jpg.chip.jpg"
    )
    assert parse(ImageSets, moved).digest() != before


def test_ages_that_are_renamed_are_no_longer_a_scale(tmp_path: Path) -> None:
    one = faces(tmp_path / "utk", (1, 30, 70, 40), 0)
    renamed = [f"{group}=grown" for group in ("25-32", "38-43", "48-53", "60+")]
    spec = parse(ImageSets, {"sets": [{"data": {"kind": "utkface", "root": str(one)}, "rename": renamed}]})
    both = spec.load()
    task = next(t for t in both.tasks if t.name == "age")
    assert task.labels == ("0-2", "4-6", "8-13", "15-20", "grown")
    assert not task.middles
    assert names(both, "age") == ["0-2", "grown", "grown", "grown"]


def test_sets_of_different_rates_are_not_joined_in_silence() -> None:
    spec = sensors({"data": {"rate": 50}}, {"data": {"rate": 25}})
    mixed = spec.changed(windows={"length": 25, "stride": 25, "rate": None})
    with pytest.raises(UserError, match="the sets have rates of 25 and 50 Hz; say which one all are to have"):
        mixed.load()
    assert spec.load().card["rate"] == 50
