"""Data distillation: what is asked once and never again, what is kept of it, and how good that is."""

import math
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from limbeck import process, pseudo
from limbeck.batch import IMAGE, Batch, Outputs
from limbeck.checkpoint import load_sealed
from limbeck.data.concat import concat
from limbeck.data.source import Dense, Table
from limbeck.errors import UserError
from limbeck.models import VGG, BiLSTM, MultiTask
from limbeck.observers import Observer
from limbeck.pseudo import Answers, Fixed, Precision, Rate
from limbeck.tasks import IGNORE, Task
from limbeck.transforms import ImageViews, NoViews, SignalViews
from tests import children
from tests.conftest import TASKS, table

TASK = Task.of("a", ("x", "y", "z"))
VIEWS = SignalViews(count=2, jitter=0.5, shift=3)


class Watched(nn.Module):
    """A model that tells what it was asked, and fails once it was asked for more than so many rows."""

    def __init__(self, model: nn.Module, fails_after: float = math.inf) -> None:
        super().__init__()
        self.model, self.fails_after = model, fails_after
        self.sizes: list[int] = []
        self.modes: set[bool] = set()

    def forward(self, batch: Batch) -> Outputs:
        self.sizes.append(len(batch))
        self.modes.add(self.model.training)
        if sum(self.sizes) > self.fails_after:
            raise RuntimeError("no more")
        answer: Outputs = self.model(batch)
        return answer


def model(seed: int = 0) -> MultiTask:
    torch.manual_seed(seed)
    return BiLSTM(hidden=4).build(TASKS, (3, 40))


def equal(one: Answers, two: Answers) -> bool:
    """Whether answers are the same bit for bit."""
    parts = ((a, b) for a, b in ((one.shares, two.shares), (one.plain, two.plain), (one.far, two.far)))
    return all(a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a) for a, b in parts)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of ten samples, and four at a time."""
    monkeypatch.setattr(pseudo, "SHARD", 10)
    monkeypatch.setattr(pseudo, "CHUNK", 4)


def test_an_answer_is_the_mean_over_the_views_and_plain_is_the_sample_itself(tmp_path: Path) -> None:
    asked, rows = model().eval(), table(25)
    found = pseudo.ask(asked, rows, TASKS, VIEWS, tmp_path)
    batch = rows.rows(torch.arange(25))
    with torch.no_grad():
        seen = [asked(look.apply(batch)).logits for look in VIEWS.views()]
    assert len(seen) == 3
    assert not torch.allclose(seen[0]["side"], seen[1]["side"], atol=1e-3), "a view that changes nothing tells nothing"
    for task in TASKS:
        wanted = sum(logits[task.name].softmax(dim=1) for logits in seen) / 3
        assert torch.allclose(found.shares[task.name], wanted, atol=1e-6)
        assert torch.equal(found.plain[task.name].long(), seen[0][task.name].argmax(dim=1))


def test_a_model_that_does_not_mind_mirroring_answers_over_both_views_as_without(tmp_path: Path) -> None:
    """S5-04: and probabilities sum to 1."""
    torch.manual_seed(0)
    blind = VGG(width=4, blocks=(1, 1)).build((TASK, Task("b", 4)), (3, 12, 12)).eval()

    class Blind(nn.Module):
        """Sees an image and its mirror image, in an order that it does not tell apart."""

        def __init__(self) -> None:
            super().__init__()
            self.model = blind

        def forward(self, batch: Batch) -> Outputs:
            x = batch.inputs[IMAGE]
            one, two = (self.model(batch.with_inputs({IMAGE: each})).logits for each in (x, x.flip(3)))
            return Outputs({name: one[name] + two[name] for name in one})

    pixels = torch.randint(0, 256, (9, 3, 12, 12), dtype=torch.uint8)
    assert blind.normalise is not None
    blind.normalise.fit(Dense(pixels))
    pool = Table(blind.tasks, {IMAGE: Dense(pixels)}, {t.name: torch.full((9,), IGNORE) for t in blind.tasks})
    mirrored = ImageViews(flip=True, scales=(), crops=0)
    assert [look.name for look in mirrored.views()] == ["identity", "flip"]
    plain, both, all_nine = (
        pseudo.ask(Blind(), pool, blind.tasks, views, tmp_path) for views in (NoViews(), mirrored, ImageViews())
    )
    for task in blind.tasks:
        assert torch.equal(plain.shares[task.name], both.shares[task.name])
        for found in (plain, both, all_nine):
            assert torch.allclose(found.shares[task.name].sum(dim=1), torch.ones(9), atol=1e-6)
    one, two = (pseudo.ask(blind, pool, blind.tasks, views, tmp_path).shares["a"] for views in (NoViews(), mirrored))
    assert not torch.allclose(one, two, atol=1e-4), "the model that is not blind does mind"


@pytest.mark.usefixtures("small")
def test_a_pool_of_several_files_is_asked_once_in_small_parts_and_then_read(tmp_path: Path) -> None:
    watched, rows = Watched(model()), table(25)
    found = pseudo.ask(watched, rows, TASKS, VIEWS, tmp_path)
    assert max(watched.sizes) == 4
    assert sum(watched.sizes) == 25 * 3
    assert len(list(tmp_path.rglob("*.safetensors"))) == 3
    assert found.shares["activity"].shape == (25, 3)
    again = Watched(model())
    assert equal(found, pseudo.ask(again, rows, TASKS, VIEWS, tmp_path))
    assert again.sizes == []
    whole = rows.rows(torch.arange(25))
    with torch.no_grad():
        alone = model().eval()(whole).logits["activity"].argmax(dim=1)
    assert torch.equal(found.plain["activity"].long(), alone), "in the order of the rows"


@pytest.mark.usefixtures("small")
def test_what_was_cut_goes_on_without_asking_again_and_comes_to_the_same(tmp_path: Path) -> None:
    rows = table(25)
    whole = pseudo.ask(model(), rows, TASKS, VIEWS, tmp_path / "whole")
    with pytest.raises(RuntimeError, match="no more"):
        pseudo.ask(Watched(model(), fails_after=35), rows, TASKS, VIEWS, tmp_path / "cut")
    assert len(list((tmp_path / "cut").rglob("*.safetensors"))) == 1
    after = Watched(model())
    assert equal(whole, pseudo.ask(after, rows, TASKS, VIEWS, tmp_path / "cut"))
    assert sum(after.sizes) == 15 * 3, "the first ten were not asked for again"
    one, two = (sorted((tmp_path / at).rglob("*.safetensors")) for at in ("whole", "cut"))
    assert [f.read_bytes() for f in one] == [f.read_bytes() for f in two]


@pytest.mark.usefixtures("small")
def test_it_may_be_killed_before_any_change_of_its_files(tmp_path: Path) -> None:
    wanted = children.asked(tmp_path / "whole")
    number, killed = 0, True
    while killed:
        at = tmp_path / str(number)
        child = children.server().Process(target=children.ask_to_change, args=(at, number))
        child.start()
        child.join(60)
        killed = child.exitcode == -signal.SIGKILL
        assert killed or child.exitcode == 0
        assert equal(wanted, children.asked(at)), number
        number += 1
    assert number > 6, "two folders, and two changes a file"


@pytest.mark.usefixtures("small")
def test_what_is_asked_otherwise_is_asked_anew(tmp_path: Path) -> None:
    rows = table(12)
    others: list[Callable[[Watched], Answers]] = [
        lambda m: pseudo.ask(m, rows, TASKS, VIEWS, tmp_path),
        lambda m: pseudo.ask(m, rows, TASKS, VIEWS.changed(jitter=0.4), tmp_path),
        lambda m: pseudo.ask(m, rows, TASKS[:1], VIEWS, tmp_path),
        lambda m: pseudo.ask(m, rows.take(torch.arange(1, 12)), TASKS, VIEWS, tmp_path),
        lambda m: pseudo.ask(m, replace(rows, digest="other files"), TASKS, VIEWS, tmp_path),
        lambda m: pseudo.ask(m, rows, TASKS, VIEWS, tmp_path, usual=pseudo.usual(model(), rows, TASKS)),
    ]
    for way in others:
        fresh, known = Watched(model()), Watched(model())
        assert equal(way(fresh), way(known))
        assert fresh.sizes
        assert not known.sizes
    trained = Watched(model(seed=1))
    pseudo.ask(trained, rows, TASKS, VIEWS, tmp_path)
    assert trained.sizes, "other weights answer for themselves"


def test_a_row_is_answered_alike_whatever_is_asked_beside_it(tmp_path: Path) -> None:
    rows = table(30)
    whole = pseudo.ask(model(), rows, TASKS, VIEWS, tmp_path)
    part = pseudo.ask(model(), rows.take(torch.tensor([17, 3])), TASKS, VIEWS, tmp_path)
    assert torch.allclose(part.shares["activity"], whole.shares["activity"][[17, 3]], atol=1e-6)


def test_damage_is_told_and_mended_by_deleting_the_file(tmp_path: Path) -> None:
    rows = table(12)
    found = pseudo.ask(model(), rows, TASKS, VIEWS, tmp_path)
    (path,) = tmp_path.rglob("*.safetensors")
    changed = bytearray(path.read_bytes())
    changed[-3] ^= 1
    path.write_bytes(changed)
    with pytest.raises(UserError, match=r"is damaged .*; delete it, and it is made again"):
        pseudo.ask(model(), rows, TASKS, VIEWS, tmp_path)
    path.unlink()
    assert equal(found, pseudo.ask(model(), rows, TASKS, VIEWS, tmp_path))


def test_a_model_is_asked_in_evaluation_mode_and_left_as_it_was(tmp_path: Path) -> None:
    for training in (True, False):
        watched = Watched(model().train(training)).train(training)
        pseudo.ask(watched, table(6, seed=int(training)), TASKS, VIEWS, tmp_path)
        assert watched.modes == {False}
        assert watched.training == watched.model.training == training


class Steps(Observer):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def begins(self, at: Path, step: int, steps: int) -> None:
        self.told.append((step, steps))

    def stepped(self, step: int) -> None:
        self.told.append(step)

    def ends(self) -> None:
        self.told.append("end")


@pytest.mark.usefixtures("small")
def test_those_who_watch_see_samples_go_by_from_where_it_was_cut(tmp_path: Path) -> None:
    whole, rest, nothing = Steps(), Steps(), Steps()
    pseudo.ask(model(), table(25), TASKS, VIEWS, tmp_path, [whole])
    assert whole.told == [(0, 25), 4, 8, 10, 14, 18, 20, 24, 25, "end"]
    sorted(tmp_path.rglob("*.safetensors"))[2].unlink()
    pseudo.ask(model(), table(25), TASKS, VIEWS, tmp_path, [rest])
    assert rest.told == [(20, 25), 24, 25, "end"]
    pseudo.ask(model(), table(25), TASKS, VIEWS, tmp_path, [nothing])
    assert nothing.told == []


def asked_together(where: Path) -> dict[str, Any]:
    """What one of several processes hears, and whether it asked."""
    watched = Watched(model())
    found = pseudo.ask(watched, table(12), TASKS, VIEWS, where / "answers")
    return {"asked": len(watched.sizes), "shares": found.shares["activity"].tolist(), "rank": process.rank()}


def test_of_two_processes_the_first_asks_and_both_know(tmp_path: Path) -> None:
    one, two = children.together(tmp_path, asked_together)
    assert one["shares"] == two["shares"]
    assert (one["asked"], two["asked"]) == (3, 0)


# What is kept.


def probabilities(count: int, seed: int = 0, classes: int = 3) -> Tensor:
    draw = np.random.default_rng(seed)
    return torch.from_numpy(draw.dirichlet(np.ones(classes) * 0.7, count)).float()


NOTHING = (torch.zeros(0, 3), torch.zeros(0, dtype=torch.long))


def test_a_threshold_keeps_what_is_as_sure_where_nobody_gave_a_label() -> None:
    shares = torch.tensor([[0.9, 0.1, 0.0], [0.5, 0.3, 0.2], [0.05, 0.0, 0.95], [0.1, 0.9, 0.0]])
    free = torch.tensor([True, True, True, False])
    kept = pseudo.keep(Fixed(threshold=0.9), TASK, shares, free, torch.ones(3), NOTHING)
    assert kept.mask.tolist() == [True, False, True, False]
    assert kept.threshold == 0.9
    none = pseudo.keep(Fixed(threshold=1.01), TASK, torch.eye(3), torch.ones(3, dtype=torch.bool), free, NOTHING)
    assert not none.mask.any()


def test_the_rate_rule_keeps_of_each_class_the_surest_and_as_many_as_people_labelled() -> None:
    """Of 30 labels and 90 cells without one, a quarter is kept, by class as 15 : 10 : 5."""
    counts, shares, free = torch.tensor([15, 10, 5]), probabilities(120), torch.arange(120) >= 30
    kept = pseudo.keep(Rate(), TASK, shares, free, counts, NOTHING)
    label, confidence = shares.argmax(dim=1), shares.max(dim=1).values
    wanted = [round(0.75 * 15), round(0.75 * 10), round(0.75 * 5)]
    assert label[kept.mask].bincount(minlength=3).tolist() == wanted == [11, 8, 4]
    assert not kept.mask[~free].any()
    assert isinstance(kept.threshold, dict)
    for number, name in enumerate(TASK.labels):
        own = free & (label == number)
        assert confidence[kept.mask & own].min() >= confidence[~kept.mask & own].max()
        assert kept.threshold[name] == pytest.approx(float(confidence[kept.mask & own].min()), abs=1e-4)
    half = pseudo.keep(Rate(share=0.5), TASK, shares, free, counts, NOTHING)
    assert label[half.mask].bincount(minlength=3).tolist()[2] == round(0.5 * 90 * 5 / 30)


def test_the_rate_rule_keeps_no_more_of_a_class_than_there_are_answers() -> None:
    shares = torch.eye(3)[[0, 0, 0, 0, 1, 0, 0, 0]]
    kept = pseudo.keep(Rate(share=1), TASK, shares, torch.ones(8, dtype=torch.bool), torch.tensor([1, 4, 3]), NOTHING)
    assert kept.mask.tolist() == [True, False, False, False, True, False, False, False]
    assert kept.threshold == {"x": 1.0, "y": 1.0, "z": 1.0}
    nobody = pseudo.keep(Rate(), TASK, shares, torch.ones(8, dtype=torch.bool), torch.zeros(3).long(), NOTHING)
    assert not nobody.mask.any()


def searched(shares: Tensor, target: Tensor, rule: Precision) -> float | None:
    """The lowest confidence among the answers from which on enough of at least so many are right: by trying each."""
    known = target != IGNORE
    confidence, label = (v[known].numpy() for v in shares.max(dim=1))
    right = label == target[known].numpy()
    good = [
        t for t in set(confidence.tolist())
        if (confidence >= t).sum() >= rule.least and right[confidence >= t].mean() >= rule.target
    ]  # fmt: skip
    return min(good, default=None)


@given(st.integers(0, 60), st.integers(0, 999), st.sampled_from([0.4, 0.5, 0.75, 0.9, 1.0]), st.integers(1, 12))
def test_the_precision_rule_finds_what_trying_every_threshold_finds(
    count: int, seed: int, target: float, least: int
) -> None:
    """Confidences are rounded, so that some are the same, and have to be taken together."""
    draw = np.random.default_rng(seed)
    held = probabilities(count, seed).mul(8).round().div(8) if count else torch.zeros(0, 3)
    labels = torch.where(
        torch.from_numpy(draw.random(count) < 0.6), held.argmax(dim=1), torch.from_numpy(draw.integers(0, 3, count))
    )
    labels[torch.from_numpy(draw.random(count) < 0.2)] = IGNORE
    rule = Precision(target=target, least=least)
    shares, free = probabilities(40, seed + 1), torch.from_numpy(draw.random(40) < 0.7)
    kept = pseudo.keep(rule, TASK, shares, free, torch.ones(3), (held, labels))
    wanted = searched(held, labels, rule)
    assert kept.threshold == wanted
    assert torch.equal(kept.mask, free & (shares.max(dim=1).values >= (math.inf if wanted is None else wanted)))


def test_only_what_is_no_further_from_its_class_than_most_labelled_samples_is_close() -> None:
    known = torch.tensor([1.0, 2.0, 3.0, 4.0, math.inf])
    assert pseudo.close(torch.tensor([0.5, 2.5, 2.6, math.inf]), known, 0.5).tolist() == [True, True, False, False]
    assert pseudo.close(torch.tensor([0.5, 9.0]), torch.tensor([]), 0.5).all(), "nothing is known of what is usual"


def test_far_is_in_deviations_from_the_mean_of_the_likeliest_class(tmp_path: Path) -> None:
    asked, rows = model().eval(), table(40)
    rows.targets["activity"][rows.targets["activity"] == 2] = IGNORE
    rows.targets["side"][:5] = IGNORE
    known = pseudo.usual(asked, rows, TASKS)
    found = pseudo.ask(asked, rows, TASKS, NoViews(), tmp_path, usual=known)
    with torch.no_grad():
        answer = asked(rows.rows(torch.arange(40)))
    feature = answer.features["shared"].double().numpy()
    for task in TASKS:
        label, target = answer.logits[task.name].argmax(dim=1).numpy(), rows.targets[task.name].numpy()
        for row in range(40):
            own = feature[target == label[row]]
            if not len(own):
                assert found.far[task.name][row] == math.inf, "nobody labelled that class"
                continue
            apart = (feature[row] - own.mean(axis=0)) / feature.std(axis=0, ddof=1)
            assert float(found.far[task.name][row]) == pytest.approx(np.sqrt((apart**2).mean()), rel=1e-4)


def test_labels_are_given_where_they_were_kept_with_who_gave_them_and_how_sure_it_was() -> None:
    """S5-05: provenance of each cell."""
    shares, kept = (
        torch.tensor([[0.7, 0.2, 0.1], [0.4, 0.35, 0.25], [0.1, 0.1, 0.8]]),
        torch.tensor([True, False, True]),
    )
    hard, soft = (pseudo.labels(TASK, shares, kept, how, "abc") for how in (True, False))
    assert hard.shares.tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 1]]
    assert torch.equal(soft.shares, torch.where(kept.unsqueeze(1), shares, 0.0))
    for made in (hard, soft):
        assert made.confidence.tolist() == pytest.approx([0.7, 0.4, 0.8])
        assert made.given.tolist() == [True, False, True]
        assert [made.teachers[i] if i >= 0 else None for i in made.teacher.tolist()] == ["abc", None, "abc"]


def test_a_generated_label_never_stands_where_a_person_gave_one() -> None:
    """S5-05: by every rule, and also once data sets are joined and rows taken."""
    rows = table(60, missing=0.5)
    target, shares = rows.targets["activity"], probabilities(60)
    held = (shares, shares.argmax(dim=1))
    for rule in (Fixed(threshold=0.1), Rate(share=1), Precision(target=0.1, least=1)):
        free = ~TASKS[0].present(target)
        kept = pseudo.keep(rule, TASKS[0], shares, free, target[~free].bincount(minlength=3), held)
        assert kept.mask.any()
        made = pseudo.labels(TASKS[0], shares, kept.mask, True, "t")
        told = concat([table(5), replace(rows, generated={"activity": made})]).take(torch.arange(64, 3, -1))
        here = told.rows(torch.arange(61))
        given = here.generated["activity"].sum(dim=1) > 0
        assert given.any()
        assert not (given & (here.targets["activity"] != IGNORE)).any()
        assert (told.status("activity") == "generated").tolist() == given.tolist()


def test_quality_is_counted_where_the_truth_is_known() -> None:
    shares = torch.tensor([[0.8, 0.2, 0], [0.3, 0.7, 0], [0.4, 0.6, 0], [0.5, 0.1, 0.4], [0.2, 0.2, 0.6]])
    plain = torch.tensor([0, 0, 1, 0, 2], dtype=torch.int16)
    kept = torch.tensor([True, True, False, True, True])
    truth = torch.tensor([0, 1, 0, 2, IGNORE])
    assert pseudo.quality(TASK, shares, plain, kept, truth) == {
        "n": 4, "kept": 3, "coverage": 0.75, "accuracy_kept": 0.666667, "accuracy_all": 0.5, "accuracy_plain": 0.25,
    }  # fmt: skip
    none = pseudo.quality(TASK, shares, plain, torch.zeros(5, dtype=torch.bool), truth)
    assert none is not None
    assert (none["coverage"], none["accuracy_kept"]) == (0, None)
    assert pseudo.quality(TASK, shares, plain, kept, torch.full((5,), IGNORE)) is None


def test_a_file_holds_classes_and_shares_and_nothing_of_the_samples(tmp_path: Path) -> None:
    pseudo.ask(model(), table(12), TASKS, VIEWS, tmp_path)
    (path,) = tmp_path.rglob("*.safetensors")
    assert sorted(load_sealed(path)) == ["plain/activity", "plain/side", "shares/activity", "shares/side"]
    assert path.stat().st_size < 12 * 40 * 3 * 4
