"""Mixings drawn beforehand: what a teacher is asked once is what the student then meets."""

import pytest
import torch

from limbeck.data.source import Dense, Table
from limbeck.evaluate import remember
from limbeck.mixings import Mixings, Planned
from limbeck.mixup import SERIES, Mixup
from limbeck.teachers import Frozen
from tests.conftest import table
from tests.toy_runs import student


def part(rows: int = 40) -> Table:
    """The second half of a table, so that row numbers are not places."""
    return table(2 * rows).take(torch.arange(rows, 2 * rows))


def test_stored_answers_are_those_the_teacher_gives_to_what_the_student_sees() -> None:
    train = part()
    teacher = Frozen(student())
    mixings = Mixings(train, Mixup(alpha1=1.0, plans=3), seed=1)
    planned = Planned([remember(teacher, each) for each in mixings.tables(SERIES)])
    torch.manual_seed(0)
    batch = mixings(train.rows(torch.tensor([3, 0, 7, 39, 3])))
    assert batch.mixed is not None
    assert batch.mixed.plan is not None
    assert len(set(batch.mixed.plan.tolist())) > 1
    found, wanted = planned(batch), teacher(batch)
    for task, logits in wanted.logits.items():
        assert torch.allclose(found.logits[task], logits, atol=1e-5)
    assert (batch.inputs[SERIES] != train.rows(torch.tensor([3, 0, 7, 39, 3])).inputs[SERIES]).any()


def test_labels_are_those_of_the_partner_whose_window_it_is() -> None:
    train = part()
    train.inputs[SERIES]
    constant = train.ids.float().view(-1, 1, 1).expand(-1, 3, 40).contiguous()
    train = Table(
        train.tasks, {SERIES: Dense(constant)}, train.targets, train.meta, train.card, train.digest, train.ids
    )
    mixings = Mixings(train, Mixup(alpha1=1.0, plans=2), seed=1)
    torch.manual_seed(0)
    batch = mixings(train.rows(torch.arange(40)))
    assert batch.mixed is not None
    share, own = batch.mixed.share, train.ids.float()
    value = batch.inputs[SERIES][:, 0, 0]
    other = ((value - share * own) / (1 - share)).round().long()
    told = share < 0.99
    assert told.sum() > 20
    place = {int(i): n for n, i in enumerate(train.ids)}
    for task, target in train.targets.items():
        assert [int(target[place[int(i)]]) for i in other[told]] == batch.mixed.targets[task][told].tolist()


def test_partners_come_from_the_whole_table_and_mixings_differ() -> None:
    mixings = Mixings(part(), Mixup(plans=3), seed=1)
    assert mixings.partner.shape == (3, 40)
    assert not torch.equal(mixings.partner[0], mixings.partner[1])
    assert (mixings.partner != torch.arange(40)).all()


def test_what_one_modality_is_mixed_by_does_not_depend_on_the_alpha_of_another() -> None:
    train = part()
    train = Table(train.tasks, {**train.inputs, "pi": Dense(torch.randn(40, 1, 4, 4))}, train.targets, train.meta,
                  train.card, train.digest, train.ids)  # fmt: skip
    one, two = (Mixings(train, Mixup(alpha1=a, alpha2=0.3, plans=2), seed=1) for a in (0.1, 2.0))
    assert torch.equal(one.kept["pi"], two.kept["pi"])
    assert not torch.equal(one.kept[SERIES], two.kept[SERIES])
    names = [[t.digest for t in each.tables(m)] for each in (one, two) for m in ("pi", SERIES)]
    assert names[0] == names[2]
    assert not set(names[1]) & set(names[3])
    assert len(set(names[0])) == 2


def test_a_batch_that_was_mixed_in_another_way_is_refused() -> None:
    train = part()
    planned = Planned([remember(Frozen(student()), train)])
    with pytest.raises(ValueError, match="drawn beforehand"):
        planned(Mixup().apply(train.rows(torch.arange(4))))


def test_drawing_leaves_the_generator_where_it_was() -> None:
    torch.manual_seed(5)
    before = torch.rand(3)
    torch.manual_seed(5)
    Mixings(part(), Mixup(plans=2), seed=1)
    assert torch.equal(torch.rand(3), before)
