"""A round of data distillation: labels laid over others, and what is told of them."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from limbeck import pseudo
from limbeck.data.cells import veiled
from limbeck.data.concat import concat
from limbeck.data.generated import Generated
from limbeck.data.split import Split
from limbeck.models import BiLSTM, MultiTask
from limbeck.rounds import Round, asked, generate, over, same
from limbeck.tasks import IGNORE
from limbeck.teachers import fingerprint
from limbeck.transforms import NoViews, SignalViews
from tests.conftest import TASKS, table

FREE = slice(30, 50)
"""Rows of the second set, whose activity is hidden."""


def model(seed: int = 0) -> MultiTask:
    """One that is surer than an untrained one is, of classes that depend on the sample."""
    torch.manual_seed(seed)
    made = BiLSTM(hidden=4).build(TASKS, (3, 40)).eval()
    with torch.no_grad():
        for p in made.parameters():
            p.mul_(4)
    return made


def split() -> tuple[Split, Split]:
    """Two sets in three parts, the second of which has no activity that may be seen; and what may be."""
    parts = [concat([table(n, seed=s), table(m, seed=s + 1)]) for n, m, s in ((30, 20, 0), (20, 10, 5), (9, 9, 8))]
    parts = [replace(part, digest=str(n)) for n, part in enumerate(parts)]
    whole = Split(parts[0], parts[1], parts[2], False, {})
    hidden = {"toy 2": ["activity"]}
    return whole, replace(whole, train=veiled(parts[0], hidden), valid=veiled(parts[1], hidden))


def how(at: Path, rule: pseudo.Rule, **others: Any) -> Round:
    values: dict[str, Any] = {"views": SignalViews(count=1, jitter=0.5), "hard": True, "near": None, **others}
    return Round(rule=rule, at=at, **values)


def said(at: Path, rule: pseudo.Rule, **others: Any) -> tuple[Mapping[str, Generated], dict[str, Any]]:
    """The labels of a model that was not trained, and what is told of them."""
    whole, known = split()
    made, told, _ = generate(how(at, rule, **others), model(), TASKS, known, whole.train, {})
    return made, told


def test_what_training_lacks_is_labelled_and_judged_by_what_was_taken_away(tmp_path: Path) -> None:
    made, told = said(tmp_path, pseudo.Fixed(threshold=0.01))
    whole, _ = split()
    answers = pseudo.ask(model(), split()[1].train, TASKS, SignalViews(count=1, jitter=0.5), tmp_path)
    assert made["activity"].given.nonzero().squeeze(1).tolist() == list(range(50))[FREE]
    assert made["activity"].teachers == (fingerprint(model()),)
    label = answers.shares["activity"].argmax(dim=1)
    assert torch.equal(made["activity"].shares[FREE].argmax(dim=1), label[FREE])
    right = (label == whole.train.targets["activity"])[FREE].double().mean()
    assert told["activity"]["held"]["n"] == 20
    assert told["activity"]["held"]["accuracy_all"] == pytest.approx(float(right), abs=1e-6)
    assert told["activity"]["by_set"].keys() == {"toy 2"}
    assert (told["activity"]["asked"], told["activity"]["kept"], told["activity"]["coverage"]) == (20, 20, 1.0)
    assert sum(told["activity"]["by_set"]["toy 2"]["labels"].values()) == 20
    nothing = told["side"]
    assert (nothing["asked"], nothing["kept"], nothing["coverage"], nothing["held"]) == (0, 0, None, None)
    assert nothing["by_set"] == {}
    assert not made["side"].given.any()


def test_soft_labels_are_the_answers_and_hard_ones_their_likeliest_class(tmp_path: Path) -> None:
    hard, _ = said(tmp_path, pseudo.Fixed(threshold=0.01))
    soft, _ = said(tmp_path, pseudo.Fixed(threshold=0.01), hard=False)
    assert set(hard["activity"].shares.unique().tolist()) == {0, 1}
    assert torch.allclose(soft["activity"].shares[FREE].sum(dim=1), torch.ones(20))
    assert torch.equal(hard["activity"].shares.argmax(dim=1), soft["activity"].shares.argmax(dim=1))


def test_precision_rests_on_validation_labels_that_may_be_seen(tmp_path: Path) -> None:
    """Of validation every label is what the model says, but for those that are hidden, of which none is."""
    whole, known = split()
    held = pseudo.ask(model(), known.valid, TASKS, SignalViews(count=1, jitter=0.5), tmp_path)
    confidence, label = held.shares["activity"].max(dim=1)
    seen = torch.where(known.valid.targets["activity"] == IGNORE, IGNORE, label)
    valid = replace(known.valid, targets={**known.valid.targets, "activity": seen})
    rule = how(tmp_path, pseudo.Precision(target=1, least=2))
    _, told, _ = generate(rule, model(), TASKS, replace(known, valid=valid), whole.train, {})
    assert told["activity"]["threshold"] == float(confidence[:20].min())
    assert float(confidence[20:].max()) > float(confidence[:20].min()), "with the hidden ones it would be higher"


def test_what_is_far_from_its_class_is_not_kept(tmp_path: Path) -> None:
    made, _ = said(tmp_path, pseudo.Fixed(threshold=0.01), near=0.5)
    _, known = split()
    usual = pseudo.usual(model(), known.train, TASKS)
    views = SignalViews(count=1, jitter=0.5)
    far = pseudo.ask(model(), known.train, TASKS, views, tmp_path, usual=usual).far["activity"]
    held = pseudo.ask(model(), known.valid, TASKS, views, tmp_path, usual=usual).far["activity"][:20]
    wanted = (far <= held.quantile(0.5)) & (torch.arange(50) >= 30)
    assert torch.equal(made["activity"].given, wanted)
    assert 0 < int(wanted.sum()) < 20


def test_labels_that_a_set_brought_stay_where_none_is_given_in_their_place(tmp_path: Path) -> None:
    whole, known = split()
    brought = Generated(torch.zeros(50, 3), torch.full((50,), 0.99), torch.full((50,), -1, dtype=torch.int16), ("old",))
    brought.shares[30:34, 2], brought.teacher[30:34] = 1, 0
    known = replace(known, train=replace(known.train, generated={"activity": brought}))
    for threshold, new in ((1.01, 0), (0.01, 20)):
        rule = pseudo.Fixed(threshold=threshold)
        made, _, _ = generate(how(tmp_path, rule), model(), TASKS, known, whole.train, {})
        names = [None if i < 0 else made["activity"].teachers[i] for i in made["activity"].teacher.tolist()]
        assert names.count(fingerprint(model())) == new
        assert names.count("old") == (0 if new else 4)
        if not new:
            assert torch.equal(made["activity"].shares, brought.shares)


def test_labels_are_laid_over_others() -> None:
    def labels(shares: list[list[float]], confidence: list[float], teacher: list[int], *names: str) -> Generated:
        return Generated(torch.tensor(shares), torch.tensor(confidence), torch.tensor(teacher).short(), names)

    new = labels([[1.0, 0], [0, 0], [0, 0]], [0.9, 0.3, 0.2], [0, -1, -1], "n")
    old = labels([[0, 1.0], [0, 1.0], [0, 0]], [0.8, 0.7, math.nan], [1, 0, -1], "a", "b")
    both = over(new, old)
    assert both.shares.tolist() == [[1, 0], [0, 1], [0, 0]]
    assert both.confidence.tolist() == pytest.approx([0.9, 0.7, 0.2])
    assert [None if i < 0 else both.teachers[i] for i in both.teacher.tolist()] == ["n", "a", None]
    assert over(new, None) is new


def test_rounds_agree_on_the_share_of_the_cells_of_which_they_say_the_same() -> None:
    one, two = torch.eye(3)[[0, 1, 2, 0]], torch.eye(3)[[0, 1, 1, 1]]
    free = torch.tensor([True, True, True, False])
    assert same(one, None, free) is None
    assert same(one, two, free) == pytest.approx(2 / 3, abs=1e-6)
    assert same(one, two, ~free) == 0
    assert same(one, two, torch.zeros(4, dtype=torch.bool)) is None


def test_the_second_round_tells_how_far_it_agrees_with_the_first(tmp_path: Path) -> None:
    whole, known = split()
    rule = pseudo.Fixed(threshold=0.01)
    before: Mapping[str, Tensor] = {}
    found = []
    for seed in (0, 0, 1):
        given = how(tmp_path, rule, views=NoViews())
        _, told, before = generate(given, model(seed), TASKS, known, whole.train, before)
        found.append(told["activity"]["agreement"])
    assert found[:2] == [None, 1.0]
    assert 0 <= found[2] < 1


def test_cells_are_counted_by_the_labels_that_came_out() -> None:
    _, known = split()
    shares, kept = torch.eye(3)[torch.arange(50) % 3], torch.arange(50) >= 40
    free = known.train.targets["activity"] == IGNORE
    told = asked(TASKS[0], known.train, shares, free, kept)
    assert told == {
        "asked": 20, "kept": 10, "coverage": 0.5,
        "by_set": {"toy 2": {"asked": 20, "kept": 10, "labels": {"still": 3, "walk": 4, "run": 3}}},
    }  # fmt: skip
