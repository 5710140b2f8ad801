"""The cost of an epoch of two-teacher distillation with persistence images, against the form of its lineage's scripts.

A step is timed on a batch that is ready, and what hands out the batches of an epoch by itself; an epoch is put together
from the two, round by round.
"""

import math
import os
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from unittest import mock

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import timing
from benchmarks.mixup_setting import MIXED, MIXINGS, PLANNED, UNMIXED, Setting
from benchmarks.mixup_sides import (
    Limbeck,
    Published,
    advance,
    answered,
    blend,
    handed_out,
    image_teacher,
    limbeck,
    published,
    rendered,
)
from benchmarks.timing import Ratio, Spent
from limbeck import process
from limbeck.batch import Batch
from limbeck.mixup import SERIES
from limbeck.models.wide import PI

EPOCHS = (30, 200)
"""Of a run, over which the pass that fills a store is spread: the recipe's own, and the paper's."""
PAPER = 22.48 / 4.54
"""Seconds of an epoch with two teachers (WRN16-3), and with one; as published."""
PUBLISHED, LEAN = "published", "- and no workers"
ASKED, STORED = "limbeck, teachers asked each step", "limbeck, answers stored"
Spents = dict[str, list[Spent]]
Parts = dict[str, float]


def sides(setting: Setting) -> dict[str, Callable[[], timing.Turn]]:
    """What is timed, by name; each makes its turn."""
    alone, workers, short = {"series": 1.0}, 2 if setting.quick else 8, 1 if setting.quick else 4
    return {
        "mixed": partial(published, setting, 1, True, True),
        "mixed, again": partial(published, setting, 1, True, True),
        "mixed, free": partial(published, setting, 1, True, False),
        "unmixed": partial(published, setting, 1, False, True),
        "unmixed, free": partial(published, setting, 1, False, False),
        "mixed, series": partial(published, setting, 1, True, True, alone),
        "limbeck": partial(limbeck, setting, 1, MIXED),
        "limbeck, stored": partial(limbeck, setting, short, UNMIXED),
        "limbeck, planned": partial(limbeck, setting, short, PLANNED),
        "limbeck, series": partial(limbeck, setting, 1, MIXED, 1.0),
        "answers": partial(answered, setting),
        "image teacher": partial(image_teacher, setting),
        "images": partial(rendered, setting),
        "workers": partial(handed_out, setting, workers),
        "workers, series": partial(handed_out, setting, workers, False),
        "no workers": partial(handed_out, setting, 0),
    }


def with_mixup(steps: float) -> dict[str, Parts]:
    """What an epoch of so many steps is made of, by side."""
    made = {
        PUBLISHED: {"mixed": steps, "workers": 1},
        "published, again (A/A)": {"mixed, again": steps, "workers": 1},
        "teachers without gradient": {"mixed, free": steps, "workers": 1},
        LEAN: {"mixed, free": steps, "no workers": 1},
        ASKED: {"limbeck": steps},
    }
    return made | stored(f"limbeck, {MIXINGS} mixings, stored", "limbeck, planned", steps, MIXINGS)


def without_mixup(steps: float) -> dict[str, Parts]:
    """The same without mixup."""
    made = {
        PUBLISHED: {"unmixed": steps, "workers": 1},
        "teachers without gradient": {"unmixed, free": steps, "workers": 1},
        LEAN: {"unmixed, free": steps, "no workers": 1},
    }
    return made | stored(STORED, "limbeck, stored", steps, 1)


def stored(name: str, side: str, steps: float, passes: int) -> dict[str, Parts]:
    """An epoch that looks answers up, the passes that made them, and both."""
    made = {name: {side: steps}, "- the pass before, once": {"answers": passes * steps}}
    spread = {f"- with it, of {n} epochs": {side: steps, "answers": passes * steps / n} for n in EPOCHS}
    return made | spread


def put_together(spent: Spents, parts: Parts) -> list[Spent]:
    """So many times each of these, round by round."""
    every = zip(*(spent[name] for name in parts), strict=True)
    return [
        Spent(*(sum(n * s[by] for n, s in zip(parts.values(), each, strict=True)) for by in (0, 1))) for each in every
    ]


def against(spent: Spents, one: Parts, two: Parts) -> Ratio:
    """CPU time of one by that of the other."""
    made = {"one": put_together(spent, one), "two": put_together(spent, two)}
    return timing.ratios(made, "two")["one"]


def same(setting: Setting) -> None:
    """Raises `AssertionError` where a side does other mathematics: networks, mixing, or the losses of two steps."""
    table = setting.split.train
    images, windows, _ = setting.dense(table)
    hand, every = Published(setting, True, True), table.rows(torch.arange(len(table)))
    for name, net in {"student": hand.student.eval(), **hand.teachers}.items():
        with torch.no_grad():
            ours = setting.models[name].eval()(every).logits[table.tasks[0].name]
            torch.testing.assert_close(net(images if name == "image" else windows), ours, rtol=1e-3, atol=1e-3)
    for mix, graph in ((MIXED, True), (UNMIXED, False), (PLANNED, True)):
        hand, limbecks = Published(setting, mix is not UNMIXED, graph), Limbeck(setting, mix)
        hand.student.train()
        before = 0.0
        for step in range(2):
            seed = partial(process.seed, process.fold(0, "step", step, 0), torch.device("cpu"))
            at = limbecks.loop.order.at(step)
            seed()
            seen = limbecks.transform(table.rows(at)) if limbecks.transform else table.rows(at)
            if mix is MIXED:
                seed()
                partner, kept = MIXED.drawn(len(at))
                for x, name in ((images, PI), (windows, SERIES)):
                    theirs = blend(x[at], x[at[partner]], kept(name).numpy())
                    torch.testing.assert_close(theirs, setting.scaled(seen)[name], rtol=1e-3, atol=1e-3)
            mixed = setting.scaled(seen)
            loss = float(hand.learn(mixed[PI], mixed[SERIES], labels(seen, hand.classes))[0].detach())
            advance(limbecks.loop, 1)
            before, now = limbecks.sum, limbecks.sum - before
            assert math.isclose(loss, now, rel_tol=1e-4), (mix, loss, now)


def labels(batch: Batch, classes: int) -> Tensor:
    """As their loop takes them: ids, or shares of classes where samples were mixed."""
    ((name, ids),) = batch.targets.items()
    if batch.mixed is None:
        return ids
    one, two = (F.one_hot(each, classes).float() for each in (ids, batch.mixed.targets[name]))
    return blend(one, two, batch.mixed.share.numpy())


def main(quick: bool, rounds: int) -> None:
    """Prints, for teachers WRN16-1 and WRN16-3, an epoch with and without mixup, and where it goes."""
    torch.set_num_threads(1)
    for width in (1,) if quick else (1, 3):
        with tempfile.TemporaryDirectory() as at, mock.patch.dict(os.environ, LIMBECK_CACHE=str(Path(at) / "cache")):
            setting = Setting(width, quick, Path(at))
            same(setting)
            print_all(setting, rounds if width == 1 else max(2, rounds // 2))


def print_all(setting: Setting, rounds: int) -> None:
    """The tables of one width."""
    windows = len(setting.whole.train)
    steps = windows / setting.batch
    makers = sides(setting)
    # All at once where it is only shown to work; else as they run in life, each with its own way to keep freed memory.
    made = nullcontext({name: make() for name, make in makers.items()}) if setting.quick else timing.apart(makers)
    with made as each:
        spent = timing.measure(each, rounds)
    about = f"WRN16-1 from a series' and an image's WRN16-{setting.width}, {windows} windows, an epoch"
    mixed, plain = with_mixup(steps), without_mixup(steps)
    for what, parts in (("with mixup", mixed), ("without mixup", plain)):
        found = {name: put_together(spent, each) for name, each in parts.items()}
        print(timing.table(f"{about} {what}", found, PUBLISHED, windows, "window"))
    print(timing.table("its parts; of workers, an epoch", spent, "mixed", 1, "step"))
    leaner = [str(against(spent, parts[name], parts[LEAN])) for parts, name in ((mixed, ASKED), (plain, STORED))]
    print(f"  limbeck by the form without gradient and workers: asked {leaner[0]}, stored {leaner[1]}")
    share = against(spent, {"images": 1}, {"image teacher": 1})
    print(f"  rendering, of a step of the image teacher's training: {100 * share.median:.2f} %")
    one = {"mixed, series": steps, "workers, series": 1.0}
    ours = against(spent, mixed[ASKED], {"limbeck, series": steps})
    print(
        f"  two teachers against the series' alone: published {against(spent, mixed[PUBLISHED], one)}, limbeck {ours}; "
        f"the paper tells {PAPER:.2f}, of another machine and other data",
        flush=True,
    )


if __name__ == "__main__":
    asked = timing.arguments(__doc__ or "", 6)
    main(asked.quick, 2 if asked.quick else asked.rounds)
