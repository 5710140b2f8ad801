"""Answers for a table, and what is told of them."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from limbeck import evaluate
from limbeck.batch import Batch, Outputs
from limbeck.errors import UserError
from limbeck.metrics import scores, tally
from limbeck.tasks import IGNORE
from limbeck.teachers import EMA, Frozen, Teacher, fingerprint
from tests.conftest import TASKS, table
from tests.toy_runs import student


def test_answers_are_those_of_every_row_in_order_whatever_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    model, rows = student(), table(50)
    monkeypatch.setattr(evaluate, "CHUNK", 7)
    found = evaluate.answers(model, rows)
    with torch.no_grad():
        whole = model.eval()(rows.rows(torch.arange(50))).logits
    for task in TASKS:
        assert found[task.name].shape == (50, task.classes)
        assert torch.allclose(found[task.name], whole[task.name], atol=1e-6)
        assert not found[task.name].requires_grad


def test_a_model_is_left_in_its_mode_with_its_weights_and_the_generator_untouched() -> None:
    for mode in (True, False):
        model = student().train(mode)
        before, state = fingerprint(model), torch.random.get_rng_state()
        evaluate.answers(model, table(20))
        assert [m.training for m in model.modules()] == [mode] * len(list(model.modules()))
        assert fingerprint(model) == before
        assert torch.equal(torch.random.get_rng_state(), state)


def test_the_mode_comes_back_after_an_error_too() -> None:
    class Breaks(nn.Module):
        def forward(self, batch: Batch) -> Outputs:
            raise RuntimeError("broken")

    model = Breaks().train()
    with pytest.raises(RuntimeError, match="broken"):
        evaluate.answers(model, table(5))
    assert model.training


def test_an_assessment_is_that_of_all_rows_and_of_each_subject() -> None:
    rows = table(60, missing=0.3)
    logits = evaluate.answers(student(), rows)
    assessed = evaluate.assess(logits, rows, TASKS)
    assert json.loads(json.dumps(assessed)) == assessed
    for task in TASKS:
        answer, target = logits[task.name].numpy(), rows.targets[task.name].numpy()
        found, reference = assessed[task.name], scores(tally(answer, target))
        for name, value in reference.items():
            assert found[name] == pytest.approx(value), name
        assert found["labels"] == list(task.labels)
        assert np.sum(found["confusion"]) == found["n"] == sum(s["n"] for s in found["subjects"].values())
        at = np.asarray(rows.meta["subject"]) == "s2"
        assert found["subjects"]["s2"]["accuracy"] == pytest.approx(scores(tally(answer[at], target[at]))["accuracy"])
        assert found["interval"]["accuracy"][0] <= found["accuracy"] <= found["interval"]["accuracy"][1]


def test_subjects_without_a_label_and_tasks_without_an_answer_are_left_out() -> None:
    rows = table(60)
    rows.targets["side"][torch.from_numpy(rows.meta["subject"] == "s1")] = IGNORE
    logits = evaluate.answers(student(), rows)
    assert "s1" not in evaluate.assess(logits, rows, TASKS)["side"]["subjects"]
    del logits["activity"]
    assert list(evaluate.assess(logits, rows, TASKS)) == ["side"] == list(evaluate.brief(logits, rows, TASKS))


def test_the_brief_scores_are_those_of_the_assessment() -> None:
    rows = table(60, missing=0.3)
    logits = evaluate.answers(student(), rows)
    brief, whole = evaluate.brief(logits, rows, TASKS), evaluate.assess(logits, rows, TASKS)
    for task in TASKS:
        assert set(brief[task.name]) == {"accuracy", "macro_f1", "loss"}
        for name, value in brief[task.name].items():
            assert value == pytest.approx(whole[task.name][name])


def test_agreement_is_by_task() -> None:
    rows = table(60)
    one, two = evaluate.answers(student(0), rows), evaluate.answers(student(1), rows)
    assert evaluate.agreement(one, one) == {"activity": 1.0, "side": 1.0}
    found = evaluate.agreement(one, two)
    assert found["side"] == (one["side"].argmax(1) == two["side"].argmax(1)).float().mean().item()
    assert evaluate.agreement(one, {"side": two["side"]}).keys() == {"side"}


class Varies(Teacher):
    """Answers that are no function of the row: by chance, by what else is in the batch, by mode, or not numbers."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.drop = how, nn.Dropout(0.5)

    def forward(self, batch: Batch) -> Outputs:
        x: Any = batch.inputs["imu"].mean(2)
        x = {
            "chance": lambda: x + torch.rand_like(x),
            "company": lambda: x - x.mean(0),
            "mode": lambda: self.drop(x),
            "not a number": lambda: x / 0 * 0,
        }[self.how]()
        return Outputs({"activity": x})


@pytest.mark.parametrize("how", ["chance", "company", "mode", "not a number"])
@pytest.mark.parametrize("rows", [20, 600])
def test_a_teacher_whose_answers_vary_may_not_be_cached(how: str, rows: int) -> None:
    with pytest.raises(UserError, match=r"cannot be cached"):
        evaluate.remember(Varies(how), table(rows))


def test_a_mean_teacher_may_be_cached_as_it_is_now() -> None:
    model = student()
    ema, rows = EMA(model, 0.5), table(20)
    first = evaluate.remember(ema, rows)
    with torch.no_grad():
        model.heads[0].weight.add_(1)  # type: ignore[operator, union-attr]
    ema.update(model, 0.0)
    assert evaluate.remember(ema, rows).fingerprint() != first.fingerprint()


def test_one_row_is_enough() -> None:
    assert (
        evaluate.remember(Frozen(student()), table(6, subjects=1).take(torch.tensor([2]))).logits["side"].shape[0] == 3
    )
