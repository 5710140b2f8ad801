"""Several tables as one: what each does not label is marked, and what does not belong together is refused."""

import dataclasses

import pytest
import torch

from limbeck.batch import DOMAIN
from limbeck.data.concat import concat
from limbeck.data.generated import Generated
from limbeck.errors import UserError
from limbeck.tasks import IGNORE, Task
from tests.conftest import TASKS, table


def test_data_sets_join_with_the_labels_that_each_lacks_marked() -> None:
    other = Task("speed")
    one = table(20)
    two = table(30, seed=1)
    two = dataclasses.replace(
        two, tasks=(TASKS[1], other), targets={"side": two.targets["side"], "speed": torch.arange(30.0)},
        card={"name": "two"},
    )  # fmt: skip
    both = concat([one, two.take(torch.arange(4, 30))])
    assert both.tasks == (*TASKS, other)
    assert len(both) == 46
    assert (both.targets["activity"][20:] == IGNORE).all()
    assert both.targets["speed"][:20].isnan().all()
    assert both.targets["speed"][20:].tolist() == list(range(4, 30))
    assert both.ids.tolist() == list(range(46))
    assert both.meta["domain"].tolist() == ["toy"] * 20 + ["two"] * 26
    crossing = both.rows(torch.tensor([45, 0, 20])).inputs["sensor"]
    for got, (source, row) in zip(crossing, ((two, 29), (one, 0), (two, 4)), strict=True):
        assert torch.equal(got, source.rows(torch.tensor([row])).inputs["sensor"][0])


def test_a_joined_set_is_named_by_its_sets_and_by_which_rows_of_them() -> None:
    one, two = table(20), table(20, seed=1)
    joined = [concat([one, two]), concat([two, one]), concat([one.take(torch.arange(9)), two]),
              concat([one.take(torch.arange(1, 10)), two])]  # fmt: skip
    assert len({t.digest for t in joined}) == 4
    assert concat([one, two]).digest == joined[0].digest


def test_sets_that_mean_different_things_do_not_join() -> None:
    one = table(5)
    order = dataclasses.replace(one, tasks=(Task.of("activity", ("still", "run", "walk")), TASKS[1]))
    with pytest.raises(UserError, match=r"toy 1 and toy 2 disagree on the classes of 'activity': \('still', 'walk'"):
        concat([one, order])
    names = dataclasses.replace(one, tasks=(Task.of("activity", ("still", "walk", "jump")), TASKS[1]))
    with pytest.raises(UserError, match=r"disagree on the classes of 'activity': only one of them has 'jump', 'run'"):
        concat([one, names])
    with pytest.raises(UserError, match=r"toy 1 has samples of .* \(sensor\), toy 2 has .* \(ppg\)"):
        concat([one, dataclasses.replace(one, inputs={"ppg": one.inputs["sensor"]})])


def test_the_set_of_a_row_is_an_input_and_sets_of_one_name_are_told_apart() -> None:
    both = concat([table(3), table(2, seed=1)])
    assert both.rows(torch.tensor([4, 0, 2])).inputs[DOMAIN].tolist() == [1, 0, 0]
    assert both.meta["domain"].tolist() == ["toy 1"] * 3 + ["toy 2"] * 2


def test_generated_labels_join_with_their_teachers() -> None:
    one, two = (dataclasses.replace(table(3, seed=s), targets={t.name: torch.full((3,), IGNORE) for t in TASKS})
                for s in (0, 1))  # fmt: skip

    def made(teacher: str) -> Generated:
        return Generated(torch.eye(3), torch.tensor([0.9, 0.8, 0.4]), torch.tensor([0, 0, -1]).short(), (teacher,))

    one, two = (dataclasses.replace(t, generated={"activity": made(name)}) for t, name in ((one, "a"), (two, "b")))
    both = concat([one, two, dataclasses.replace(two, generated={})])
    assert both.generated["activity"].teacher.tolist() == [0, 0, -1, 1, 1, -1, -1, -1, -1]
    assert both.generated["activity"].teachers == ("a", "b")
    assert both.status("activity").tolist() == [*["generated", "generated", "missing"] * 2, *["missing"] * 3]
    assert both.rows(torch.tensor([4, 8])).generated["activity"].tolist() == [[0, 1, 0], [0, 0, 0]]
    assert both.take(torch.tensor([5, 3])).status("activity").tolist() == ["missing", "generated"]
