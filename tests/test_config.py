"""Specs: strict in names and types, and the same after any way to text and back."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from limbeck.config import Spec, arguments, choices, differences, digest, dump, override, parse
from limbeck.errors import UserError
from limbeck.plan import SGD, Adam, AdamW, Plan
from limbeck.schedule import Constant, Cosine, Steps


class Net(Spec):
    kind: ClassVar[str] = "net"
    width: int = 8
    root: Path = Path("here")


class Tree(Spec):
    kind: ClassVar[str] = "tree"
    depth: int = 3
    width: int = 5


class Whole(Spec):
    kind: ClassVar[str] = "whole"
    model: Net | Tree = Net(width=16)
    teacher: Net | Tree | None = None
    plan: Plan = Plan(epochs=3)
    names: tuple[str, ...] = ()
    on: bool = False


def test_a_union_is_the_registry() -> None:
    assert choices(Whole.model_fields["model"].annotation) == (Net, Tree)
    assert choices(Whole.model_fields["teacher"].annotation) == (Net, Tree)
    assert choices(Net) == (Net,)
    assert choices(int) == choices(tuple[str, ...]) == ()


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        ({"modle": "net"}, ["'modle'", "did you mean 'model'"]),
        ({"model": "nett"}, ["'nett'", "did you mean 'net'"]),
        ({"model.widht": "3"}, ["'model.widht'", "did you mean 'model.width'"]),
        ({"plan.optimiser.lrr": "3"}, ["'plan.optimiser.lrr'", "did you mean 'plan.optimiser.lr'"]),
        ({"plan.optimizer.lr": "3"}, ["'plan.optimizer'", "did you mean 'plan.optimiser'"]),
        ({"plan.epochs": "many"}, ["plan.epochs", "'many'"]),
        ({"plan.epochs": "-1"}, ["plan.epochs", "greater than 0"]),
        ({"plan.epochs": "nan"}, ["plan.epochs"]),
        ({"model.width": "3.5"}, ["model.width", "'3.5'"]),
        ({"plan.seed.x": "1"}, ["plan.seed"]),
        ({"plan.precision": "fp8"}, ["plan.precision", "'fp8'"]),
        ({"on": "perhaps"}, ["on", "'perhaps'"]),
        ({"model": 3}, ["model", "net, tree"]),
        ({"plan": None}, ["plan"]),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_one_line_with_the_users_own_word(paths: dict[str, Any], said: list[str]) -> None:
    with pytest.raises(UserError) as error:
        override(Whole(), paths)
    for part in said:
        assert part in str(error.value)
    assert "\n" not in str(error.value)


def test_switching_a_choice_drops_the_values_of_the_old_one() -> None:
    base = Whole(model=Net(width=99))
    assert override(base, {"model": "tree"}).model == Tree()
    assert override(base, {"model": "tree", "model.depth": "9"}).model == Tree(depth=9)
    assert override(base, {"model.depth": 9, "model": "tree"}).model == Tree(depth=9)
    assert override(base, {"plan.optimiser": "sgd"}).plan == Plan(epochs=3, optimiser=SGD())


def test_a_part_of_a_nested_spec_leaves_the_rest_as_it_was() -> None:
    base = Whole(plan=Plan(epochs=7, seed=5, optimiser=AdamW(lr=0.5)))
    changed = override(base, {"plan.optimiser.weight_decay": "0.25", "plan.batch": "8"})
    assert changed.plan == Plan(epochs=7, seed=5, batch=8, optimiser=AdamW(lr=0.5, weight_decay=0.25))
    assert override(Whole(), {"model.root": "there"}).model == Net(width=16, root=Path("there"))


def test_a_spec_may_be_given_as_a_value_and_parts_of_it_changed_beside() -> None:
    assert override(Whole(), {"plan": Plan(steps=5), "plan.seed": 1}).plan == Plan(steps=5, seed=1)
    assert override(Whole(), {"model": Tree(depth=1)}).model == Tree(depth=1)


def test_what_is_optional_can_be_chosen_and_dropped() -> None:
    chosen = override(Whole(), {"teacher": "tree", "teacher.depth": "1"})
    assert chosen.teacher == Tree(depth=1)
    assert override(chosen, {"teacher": "none"}).teacher is None
    assert override(Whole(), {"plan.steps": "4"}).plan.steps == 4
    assert override(Whole(plan=Plan(steps=4)), {"plan.steps": "none"}).plan.steps is None


def test_words_become_the_values_that_the_annotations_ask_for() -> None:
    got = override(Whole(), {"names": "a, b,,c", "on": "true", "plan.schedule": "steps", "plan.schedule.at": "0.5,0.9"})
    assert got.names == ("a", "b", "c")
    assert got.on is True
    assert got.plan.schedule == Steps(at=(0.5, 0.9))


def test_a_base_is_not_changed_by_overriding_it() -> None:
    base = Whole()
    before = json.dumps(dump(base))
    override(base, {"model.width": 3, "plan.seed": 4})
    assert json.dumps(dump(base)) == before


def test_a_spec_cannot_be_changed_but_copied_with_other_values() -> None:
    spec = Whole()
    for thing, name in ((spec, "on"), (spec.plan, "seed"), (spec.model, "width")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(thing, name, 1)
    with pytest.raises(ValidationError, match="no such"):
        Whole(**{"no such": 1})
    assert spec.changed(plan=Plan(seed=3), on=True) == Whole(plan=Plan(seed=3), on=True)
    assert spec.changed(model=Tree()).model == Tree()
    with pytest.raises(UserError, match="modle"):
        spec.changed(modle=Tree())
    assert hash(spec) == hash(Whole())


SPECS = st.builds(
    Whole,
    model=st.builds(Net, width=st.integers(), root=st.just(Path("a b/ü"))) | st.builds(Tree, depth=st.integers()),
    teacher=st.none() | st.builds(Tree),
    plan=st.builds(
        Plan,
        epochs=st.floats(1e-9, 1e9),
        steps=st.none() | st.integers(1, 10**12),
        optimiser=st.builds(Adam) | st.builds(AdamW) | st.builds(SGD, nesterov=st.booleans()),
        schedule=st.just(Constant()) | st.builds(Cosine, warmup=st.floats(0, 1)),
    ),
    names=st.lists(st.text()).map(tuple),
)


@given(SPECS)
def test_a_spec_is_the_same_after_json(spec: Whole) -> None:
    again = parse(Whole, json.loads(json.dumps(dump(spec))))
    assert again == spec
    assert type(again.plan.optimiser) is type(spec.plan.optimiser)
    assert digest(again) == digest(spec)
    assert differences(dump(spec), dump(again)) == []


@pytest.mark.parametrize(
    ("words", "paths"),
    [
        (["--data", "wisdm"], {"data": "wisdm"}),
        (["--plan.epochs=3"], {"plan.epochs": "3"}),
        (["--flag"], {"flag": "true"}),
        (["--flag", "--data-root", "a b"], {"flag": "true", "data_root": "a b"}),
        (["--shift", "-3"], {"shift": "-3"}),
        (["--name=a=b"], {"name": "a=b"}),
        (["--name="], {"name": ""}),
        (["--student", "mtl-net"], {"student": "mtl-net"}),
        ([], {}),
    ],
)
def test_command_line_words_become_paths(words: list[str], paths: dict[str, str]) -> None:
    assert arguments(words) == paths


@pytest.mark.parametrize(
    ("words", "said"),
    [(["data"], "'data'"), (["-d", "x"], "'-d'"), (["--a", "1", "2"], "'2'"), (["--a", "1", "--a=2"], "--a is given"),
     (["--a-b=1", "--a_b=2"], "twice"), (["--"], "'--'")],
)  # fmt: skip
def test_words_that_are_no_field_are_refused(words: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        arguments(words)


def test_differences_name_the_path_and_both_values() -> None:
    one, two = dump(Whole()), dump(Whole(plan=Plan(epochs=3, optimiser=Adam(lr=0.5)), names=("a",)))
    assert differences(one, one) == []
    assert differences(one, two) == ["plan.optimiser.lr was 0.001, now 0.5", "names was [], now ['a']"]
    assert differences({"a": 1}, {"b": 1}) == ["a was 1, now None", "b was None, now 1"]


def test_a_digest_depends_on_every_value_but_not_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest(Whole()) != digest(Whole(on=True))
    assert digest(Net(width=5)) != digest(Tree(width=5))
    assert len({digest(v) for v in ([1, 2], [2, 1], [[1], 2], "12", 12, b"ab", None)}) == 7
    assert len(digest("x")) == 16


def test_digests_are_the_same_in_every_process() -> None:
    code = "from limbeck.config import digest; print(digest({'b': [1.5, None], 'a': 'ü'}))"
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert digest({"a": "ü", "b": [1.5, None]}) == there == "8cfdfbe6cf853386"


class Placed(Spec):
    kind: ClassVar[str] = "placed"
    net: Net | Tree = Net()
    at: str = ""

    @classmethod
    def worded(cls, word: str) -> dict[str, Any]:
        kind, _, at = word.partition(":")
        return {"kind": word} if word == cls.kind else {"net": kind, "at": at}


class Places(Spec):
    kind: ClassVar[str] = "places"
    all: tuple[Placed, ...] = ()


def test_a_spec_may_know_how_to_be_said_in_a_word() -> None:
    made = override(Places(), arguments(["--all", "tree:here,net:there", "--all.1.net.width", "7"]))
    assert made == Places(all=(Placed(net=Tree(), at="here"), Placed(net=Net(width=7), at="there")))
    assert parse(Places, json.loads(json.dumps(dump(made)))) == made
    with pytest.raises(UserError, match="'trea'"):
        override(Places(), {"all": "trea:here"})


class Several(Spec):
    kind: ClassVar[str] = "several"
    models: tuple[Net | Tree, ...] = ()


def test_specs_of_a_tuple_are_named_by_their_places() -> None:
    made = override(Several(), arguments(["--models.0", "tree", "--models.0.depth", "7", "--models.1", "net"]))
    assert made == Several(models=(Tree(depth=7), Net()))
    assert override(made, {"models.1.width": "2"}) == Several(models=(Tree(depth=7), Net(width=2)))
    assert parse(Several, json.loads(json.dumps(dump(made)))) == made
    assert parse(Several, {"models": ["tree", {"width": 3}]}) == Several(models=(Tree(), Net(width=3)))
    assert override(made, {"models": []}) == Several()
    assert override(made, {"models": "net, tree", "models.1.depth": "7"}) == Several(models=(Net(), Tree(depth=7)))


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        ({"models.1": "net"}, "places are 0, 1 and so on, not 1"),
        ({"models.0": "nett"}, "'nett'"),
        ({"models.0.widht": "3"}, "'models.0.widht'"),
        ({"models": 3}, "expected models.0 and so on, not 3"),
    ],
)
def test_a_mistake_in_a_tuple_of_specs_is_told(paths: dict[str, str], said: str) -> None:
    with pytest.raises(UserError) as error:
        override(Several(), paths)
    assert said in str(error.value)
