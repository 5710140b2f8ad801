"""Objectives: closed under + and weight *, named, printable, and only as wide as what they read."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from limbeck.batch import Batch, Outputs
from limbeck.objective import Balancing, Objective, Scene, Term
from limbeck.schedule import Cosine, Linear

SCENE = Scene(Batch({}, {}, torch.arange(1)), {}, {}, 0.25)


class Value(Term):
    """A parameter as a loss."""

    def __init__(self, name: str, value: float, *reads: str) -> None:
        super().__init__(name, reads or ("student",))
        self.value = nn.Parameter(torch.tensor(float(value)))

    def forward(self, scene: Scene) -> Tensor:
        return 1.0 * self.value


class Adaptive(nn.Module):
    """A weight with a state."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("now", torch.tensor(3.0))

    def forward(self, progress: float) -> Tensor:
        return self.now + progress  # type: ignore[no-any-return, operator]


def worth(objective: Objective) -> float:
    return objective(SCENE)[0].item()


def test_plus_weights_and_sum_are_those_of_numbers() -> None:
    a, b, c = Value("a", 2.0), Value("b", 3.0), Value("c", 5.0)
    assert worth(a + b) == 5
    assert worth(0.5 * a + 2 * b) == 7
    assert worth(0.5 * (a + 2 * (b + c))) == 9
    assert worth(sum([a, b, c])) == 10  # type: ignore[arg-type]
    assert worth(sum([0.5 * a, 2.0 * b])) == 7  # type: ignore[arg-type]
    assert worth(a + (b + c)) == worth((a + b) + c) == 10
    assert worth(0 * a + b) == 3
    objective = Objective.of(a)
    objective += 2 * b
    assert worth(objective) == 8


def test_only_objectives_and_numbers_make_objectives() -> None:
    with pytest.raises(TypeError, match="cannot add 3"):
        sum([Objective.of(Value("a", 1))], start=3)  # type: ignore[call-overload]


def test_values_are_logged_by_name_unweighted_and_without_gradient() -> None:
    total, values = (0.5 * Value("a", 2.0) + 4 * Value("b", 3.0))(SCENE)
    assert {k: v.item() for k, v in values.items()} == {"a": 2.0, "b": 3.0}
    assert total.requires_grad
    assert not any(v.requires_grad for v in values.values())


def test_the_gradient_of_each_term_is_its_weight() -> None:
    a, b = Value("a", 2.0), Value("b", 3.0)
    (0.5 * (a + 3 * b))(SCENE)[0].backward()
    assert (a.value.grad, b.value.grad) == (torch.tensor(0.5), torch.tensor(1.5))


def test_schedules_and_modules_are_weights_too() -> None:
    assert worth(Linear(start=0, end=2) * Value("a", 4.0)) == 2.0
    assert worth(0.5 * (Linear(start=0, end=2) * Value("a", 4.0))) == 1.0
    weight = Adaptive()
    objective: Objective = weight * (Value("a", 1.0) + 2 * Value("b", 1.0))  # type: ignore[assignment, operator]
    assert worth(objective) == 3.25 * 3
    assert list(objective.weights) == [weight]
    assert [n for n in objective.state_dict() if "now" in n] == ["weights.0.now"]


def test_parameters_of_terms_are_those_of_the_objective() -> None:
    assert len(list((Value("a", 1.0) + 2 * Value("b", 2.0)).parameters())) == 2


def test_two_terms_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two terms are named 'a'"):
        Value("a", 1.0) + 0.5 * Value("a", 2.0)


def test_what_is_read_is_known_once_each_in_the_order_of_first_use() -> None:
    objective = Value("a", 1, "student", "ema") + 0.5 * Value("b", 1, "oracle") + Value("c", 1, "ema", "student")
    assert objective.reads == ("student", "ema", "oracle")


def test_an_objective_prints_as_its_equation() -> None:
    objective = 0.5 * (Value("a", 1) + 0.1 * Value("b", 1)) + Linear(end=0.5) * Value("c", 1)
    assert str(objective) == "0.5 a + 0.05 b + linear[start=1.0 end=0.5] c"
    assert str((1 - 0.9) * Value("a", 1)) == "0.1 a"


@pytest.mark.parametrize(
    ("one", "two"), [(0.1234567, 0.1234568), (Linear(end=0.5), Linear(end=0.6)), (Cosine(), Cosine(warmup=0.1)),
                     (Linear(start=0), Adaptive())],
)  # fmt: skip
def test_objectives_of_other_weights_print_otherwise(one: Any, two: Any) -> None:
    assert str(one * Value("a", 1)) != str(two * Value("a", 1))


def test_a_scene_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        SCENE.progress = 1.0  # type: ignore[misc]
    assert Outputs({}).features == {}


class Halved(Balancing):
    """Half of the sum."""

    def weights(self) -> Tensor:
        return torch.full((len(self.names),), 0.5)

    def forward(self, losses: Sequence[Tensor], scene: Scene) -> Tensor:
        return 0.5 * sum(losses[1:], start=losses[0])


def test_what_is_balanced_becomes_one_loss_beside_the_rest() -> None:
    halves = Halved("halved", ["one", "two"])
    a, b, c, d = (Value(n, v) for n, v in zip("abcd", (2.0, 3.0, 5.0, 7.0), strict=True))
    objective = halves["one"] * (a + Linear(end=2) * b) + 10 * (halves["two"] * c) + d
    total, values = objective(SCENE)
    assert total.item() == 0.5 * (2 + 1.25 * 3 + 10 * 5) + 7
    assert {k: v.item() for k, v in values.items()} == {
        "a": 2, "b": 3, "c": 5, "d": 7, "weight(one)": 0.5, "weight(two)": 0.5
    }  # fmt: skip
    assert objective.names == list(values)
    assert list(objective.weights) == objective.balancings == [halves]
    assert str(objective) == "halved(one) a + halved(one) linear[start=1.0 end=2.0] b + 10 halved(two) c + d"
    assert set(objective.parameters()) == {t.value for t in (a, b, c, d)}


def test_a_term_is_balanced_once_and_no_two_balance_one_name() -> None:
    one, two = Halved("one", ["a"]), Halved("two", ["a"])
    with pytest.raises(ValueError, match=r"balanced once, not by two\(a\) and one\(a\)"):
        two["a"] * (one["a"] * Value("a", 1.0))
    with pytest.raises(ValueError, match=r"two terms are named 'weight\(a\)'"):
        one["a"] * Value("a", 1.0) + two["a"] * Value("b", 1.0)
