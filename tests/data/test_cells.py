"""Cells: which there are, and taking labels away from some of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from limbeck.data import cells
from limbeck.data.concat import concat
from limbeck.data.generated import Generated
from limbeck.data.source import Table
from limbeck.tasks import IGNORE, Task
from tests.conftest import TASKS, table


def given(rows: int, *at: int, teacher: str = "t") -> Generated:
    """A label of a model at some rows, of the second of three classes."""
    has = torch.isin(torch.arange(rows), torch.tensor(at))
    shares = torch.zeros(rows, 3)
    shares[has, 1] = 1
    return Generated(shares, torch.linspace(0.4, 0.9, rows), torch.where(has, 0, -1).short(), (teacher,))


def two() -> Table:
    """Two sets of ten, the second of which lacks activities; three of these are generated."""
    one, other = table(10, subjects=5), table(10, subjects=5, seed=1)
    other = replace(other, tasks=TASKS[1:], targets={"side": other.targets["side"]}, card={"name": "other"})
    both = concat([one, other])
    people = np.char.add(np.char.add(both.meta["domain"], " "), both.meta["subject"])
    both = replace(both, meta={**both.meta, "subject": people})
    return replace(both, generated={"activity": given(20, 11, 12, 19)})


def test_cells_are_counted_by_set_and_task_with_who_filled_them() -> None:
    nothing = {"labelled": 0, "generated": 0, "missing": 0}
    sure = torch.linspace(0.4, 0.9, 20)[[11, 12, 19]].mean()
    assert cells.counts(two()) == {
        "toy": {task: {**nothing, "labelled": 10} for task in ("activity", "side")},
        "other": {
            "activity": {
                **nothing,
                "generated": 3,
                "missing": 7,
                "confidence": round(float(sure), 4),
                "teachers": ["t"],
            },
            "side": {**nothing, "labelled": 10},
        },
    }


def test_rows_count_as_labelled_by_people_and_models_alike() -> None:
    both = two()
    assert cells.some(both, TASKS[:1]).nonzero().squeeze(1).tolist() == [*range(10), 11, 12, 19]
    assert cells.labelled(both, TASKS[:1]).ids.tolist() == [*range(10), 11, 12, 19]
    assert cells.labelled(both, TASKS) is both
    assert not cells.some(both, ()).any()


def test_labels_are_taken_away_by_task_and_row() -> None:
    rows = replace(table(4), tasks=(*TASKS, Task("speed")), targets={**table(4).targets, "speed": torch.arange(4.0)})
    at = torch.tensor([True, False, False, True])
    left = cells.relabelled(rows, {"speed": at, "side": ~at})
    assert left.targets["speed"].isnan().tolist() == at.tolist()
    assert (left.targets["side"] == IGNORE).tolist() == (~at).tolist()
    assert torch.equal(left.targets["activity"], rows.targets["activity"])
    assert not (rows.targets["side"] == IGNORE).any(), "the table itself is as it was"


def test_what_is_hidden_is_hidden_in_its_set_alone() -> None:
    seen = cells.veiled(two(), {"toy": ["side"], "other": ["side", "activity"]})
    assert (seen.targets["side"] == IGNORE).all()
    assert torch.equal(seen.targets["activity"], two().targets["activity"])
    seen = cells.veiled(two(), {"toy": ["activity"]})
    assert (seen.targets["activity"] == IGNORE).all()
    assert torch.equal(seen.targets["side"], two().targets["side"])
    assert seen.whole == {"side"}


@pytest.mark.parametrize(("share", "lost"), [(0.0, 0), (0.2, 1), (0.5, 2), (0.7, 4)])
def test_a_share_of_the_people_of_each_set_loses_every_label(share: float, lost: int) -> None:
    both = two()
    left = cells.without_share(both, share)
    for name in ("toy", "other"):
        own = both.meta["domain"] == name
        gone = (left.targets["side"] == IGNORE).numpy() & own
        people = set(both.meta["subject"][gone].tolist())
        assert len(people) == lost
        assert not people & set(both.meta["subject"][own & ~gone].tolist())
    part = both.take(torch.arange(19, -1, -1))
    assert torch.equal(cells.without_share(part, share).targets["side"].flip(0), left.targets["side"])


def test_lots_are_a_function_of_the_row_and_stand_beside_other_labels_only() -> None:
    both = cells.relabelled(two(), {"side": torch.arange(20) > 14})
    drawn = cells.with_lots(both, "lots", 3, drawn=True)
    bare = torch.tensor([15, 16, 17, 18])
    assert (drawn.targets["lots"] == IGNORE).nonzero().squeeze(1).tolist() == bare.tolist()
    assert set(drawn.targets["lots"].tolist()) == {0, 1, 2, IGNORE}
    assert drawn.tasks == (*TASKS, Task.of("lots", ("0", "1", "2")))
    part = cells.with_lots(both.take(torch.tensor([7, 2, 19])), "lots", 3, drawn=True)
    assert torch.equal(part.targets["lots"], drawn.targets["lots"][[7, 2, 19]])
    none = cells.with_lots(both, "lots", 3, drawn=False)
    assert (none.targets["lots"] == IGNORE).all()
    assert none.tasks == drawn.tasks


def test_generated_labels_are_named_by_where_they_are_what_they_are_and_by_whom() -> None:
    rows = table(6)
    made = [
        given(6, 1, 2),
        given(6, 1, 3),
        given(6, 1, 2, teacher="u"),
        replace(given(6, 1, 2), shares=torch.eye(6, 3)),
    ]
    named = {cells.generated_digest(replace(rows, generated={"activity": each})) for each in made}
    assert len(named) == 4
    assert cells.generated_digest(replace(rows, generated={"side": given(6, 1, 2)})) not in named
    unsure = replace(given(6), confidence=torch.rand(6))
    assert cells.generated_digest(rows) == cells.generated_digest(replace(rows, generated={"activity": unsure}))
    less = replace(given(6, 1, 2), confidence=torch.zeros(6))
    assert cells.generated_digest(replace(rows, generated={"activity": less})) in named
