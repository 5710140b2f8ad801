"""What fields say of themselves on the terminal."""

from typing import ClassVar

from limbeck.config import Spec
from limbeck.fields import lines
from limbeck.recipes import RECIPES


class Lamp(Spec):
    """A lamp."""

    kind: ClassVar[str] = "lamp"
    watts: float = 9.0
    """What it
    takes."""
    colour: str = "warm"


class Lantern(Lamp):
    """One to carry."""

    kind: ClassVar[str] = "lantern"
    watts: float = 3.0
    hours: int = 8
    """How long it lasts."""


def test_a_field_says_what_stands_below_it_in_its_class_or_in_the_one_that_it_is_from() -> None:
    assert list(lines(Lantern)) == [
        ("--watts", "3.0", "What it takes."), ("--colour", "warm", ""), ("--hours", "8", "How long it lasts."),
    ]  # fmt: skip


def test_a_class_without_source_has_fields_without_words() -> None:
    made: dict[str, type[Spec]] = {}
    exec("class Typed(Spec):\n    kind = 'typed'\n    size: int = 1\n    '''How large.'''", {"Spec": Spec}, made)
    assert list(lines(made["Typed"])) == [("--size", "1", "")]


def test_the_fields_of_the_plan_and_of_what_recipes_share_are_told() -> None:
    for recipe in RECIPES.values():
        told = {path: said for path, _, said in lines(recipe)}
        assert "Passes over the training windows" in told["--plan.epochs"]
        assert "chooses the step that is kept" in told["--select"]
