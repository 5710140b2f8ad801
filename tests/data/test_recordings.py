import json
import threading
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from limbeck.data import cache
from limbeck.data.recordings import Findings, Reading, Recording, SensorData, Windowing, windowed
from limbeck.data.source import Windows
from limbeck.errors import UserError
from limbeck.tasks import IGNORE, Task

ACTIVITY, SIDE = Task.of("activity", ("still", "walk", "run")), Task.of("side", ("left", "right"))
HEART = Task("heart", unit="bpm")


def recording(
    count: int, labels: Mapping[str, Any], subject: str = "1", rate: float = 20, offset: int = 0
) -> Recording:
    """Channel 0 counts the samples, so that a window tells where it was cut."""
    signal = np.stack([np.arange(count) + offset, np.full(count, offset)], axis=1).astype(np.float32)
    spread = {k: np.broadcast_to(np.asarray(v), count) for k, v in labels.items()}
    return Recording(signal, rate, spread, subject, f"session {subject}")


def reading(*recordings: Recording, tasks: tuple[Task, ...] = (ACTIVITY, SIDE)) -> Reading:
    return Reading(list(recordings), tasks, ("x", "y"), "g", Findings(), 20.0)


def test_no_window_crosses_a_recording_or_a_change_of_label_of_any_task() -> None:
    rng = np.random.default_rng(0)
    parts = [
        recording(
            700,
            {"activity": np.repeat(rng.integers(0, 3, 10), 70), "side": np.repeat(rng.integers(0, 2, 14), 50)},
            subject=str(i),
            offset=10_000 * i,
        )
        for i in range(4)
    ]
    made = windowed(reading(*parts), Windowing(length=20, stride=7), "toy")
    windows = made.rows(torch.arange(len(made))).inputs["sensor"][:, 0].long().numpy()
    expected = 0
    for i, part in enumerate(parts):
        whole = np.stack([part.labels["activity"], part.labels["side"]])
        edges = [0, *(np.flatnonzero((whole[:, 1:] != whole[:, :-1]).any(axis=0)) + 1), 700]
        expected += sum(max(0, (b - a - 20) // 7 + 1) for a, b in pairwise(edges))
        for row in np.flatnonzero(made.meta["subject"] == str(i)):
            inside = windows[row] - 10_000 * i
            assert (np.diff(inside) == 1).all()
            for task in ("activity", "side"):
                assert set(part.labels[task][inside]) == {int(made.targets[task][row])}
            assert made.meta["start"][row] == inside[0] / 20
    assert len(made) == expected
    assert isinstance(made.inputs["sensor"], Windows)


def test_crossing_windows_are_cut_from_one_array_and_labelled_by_their_last_sample() -> None:
    first = recording(450, {"activity": 0, "side": 1}, subject="1")
    second = recording(550, {"activity": 2, "side": 0}, subject="2")
    made = windowed(reading(first, second), Windowing(length=100, stride=60, borders="cross", label="last"), "toy")
    assert len(made) == (1000 - 100) // 60 + 1 == 16
    last = np.arange(16) * 60 + 99
    assert made.targets["activity"].tolist() == [2 if i >= 450 else 0 for i in last]
    assert made.meta["subject"].tolist() == ["2" if i >= 450 else "1" for i in last]
    by_votes = windowed(reading(first, second), Windowing(length=100, stride=60, borders="cross"), "toy")
    assert by_votes.targets["activity"].tolist() == [2 if i - 49 > 450 else 0 for i in last]


def test_windows_of_equal_ends_may_cross_a_change_of_label_but_no_recording() -> None:
    """First samples, one by one, as a loop over a list would find them."""
    rng = np.random.default_rng(1)
    labels = [np.repeat(rng.integers(0, 3, 40), 25), np.repeat(rng.integers(0, 2, 20), 41)]
    parts = [recording(len(v), {"activity": v, "side": 0}, str(i), offset=10_000 * i) for i, v in enumerate(labels)]
    how = Windowing(length=60, stride=13, first=7, borders="ends", label="last")
    made = windowed(reading(*parts), how, "toy")
    expected = []
    for i, values in enumerate(labels):
        for start in range(7, len(values) - 60 + 1, 13):
            if values[start] == values[start + 59]:
                expected.append((10_000 * i + start, int(values[start])))
    windows = made.rows(torch.arange(len(made))).inputs["sensor"][:, 0]
    assert list(zip(windows[:, 0].tolist(), made.targets["activity"].tolist(), strict=True)) == expected
    assert (windows[:, -1] - windows[:, 0] == 59).all()
    tried = sum(len(range(7, len(v) - 59, 13)) for v in labels)
    assert made.card["dropped"] == {"windows whose first and last label differ": tried - len(expected)}
    assert 0 < len(expected) < tried
    voted = windowed(reading(*parts), how.changed(label="majority"), "toy").targets["activity"]
    assert (voted != made.targets["activity"]).any()


def test_the_first_samples_of_each_stretch_can_be_passed_over() -> None:
    part = recording(250, {"activity": np.repeat([0, 1], [150, 100])})
    made = windowed(reading(part), Windowing(length=50, stride=50, first=20), "toy")
    assert (made.meta["start"] * 20).tolist() == [20, 70, 170]
    with pytest.raises(UserError, match=r"behind the first 120, is longer than every stretch .* has 150 samples"):
        windowed(reading(part), Windowing(length=50, first=120), "toy")
    with pytest.raises(UserError, match="the first and last label of all 1 windows differ"):
        windowed(reading(part), Windowing(length=200, stride=60, borders="ends"), "toy")


def test_a_label_missing_for_one_task_is_kept_and_a_window_without_any_is_dropped_and_counted() -> None:
    parts = (
        recording(100, {"activity": 1, "side": IGNORE}),
        recording(100, {"side": 1}),
        recording(100, {"activity": IGNORE, "side": IGNORE}),
    )
    made = windowed(reading(*parts), Windowing(length=50, stride=50), "toy")
    assert made.targets["activity"].tolist() == [1, 1, IGNORE, IGNORE]
    assert made.targets["side"].tolist() == [IGNORE, IGNORE, 1, 1]
    assert made.card["dropped"] == {"windows without a label": 2}
    assert made.card["tasks"]["activity"] == {"still": 0, "walk": 2, "run": 0, "missing": 2}
    with pytest.raises(UserError, match="no window has a label"):
        windowed(reading(parts[2]), Windowing(length=50), "toy")
    assert len(windowed(reading(parts[2], tasks=()), Windowing(length=50, stride=50), "toy")) == 2


def test_real_labels_do_not_cut_and_become_the_mean_the_last_or_the_middle() -> None:
    beats = np.linspace(60, 80, 200)
    beats[:50] = np.nan
    part = recording(200, {"heart": beats})
    made = windowed(reading(part, tasks=(HEART,)), Windowing(length=50, stride=50), "toy")
    assert np.allclose(made.targets["heart"].numpy(), [beats[50:100].mean(), beats[100:150].mean(), beats[150:].mean()])
    last = windowed(reading(part, tasks=(HEART,)), Windowing(length=50, stride=50, label="last"), "toy")
    assert np.allclose(last.targets["heart"].numpy(), beats[[99, 149, 199]])
    binned = Task("heart", 4, span=(60.0, 80.0))
    made = windowed(reading(part, tasks=(binned,)), Windowing(length=50, stride=50), "toy")
    means = [beats[50:100].mean(), beats[100:150].mean(), beats[150:].mean()]
    assert made.targets["heart"].tolist() == pytest.approx(means)
    assert binned.ids(made.targets["heart"]).tolist() == [1, 2, 3]
    middle = windowed(reading(part, tasks=(binned,)), Windowing(length=50, stride=50, label="middle"), "toy")
    assert middle.targets["heart"].tolist() == pytest.approx(beats[[75, 125, 175]])


def test_a_recording_at_another_rate_is_resampled_and_one_nearly_at_the_rate_is_taken_as_it() -> None:
    t = np.arange(2000) / 50
    tone = np.sin(2 * np.pi * 2 * t)[:, None].astype(np.float32)
    labels = {"activity": np.repeat([0, 1], 1000), "side": np.zeros(2000, int)}
    fast = Recording(tone, 50.0, labels, "1", "fast")
    near = recording(200, {"activity": 1, "side": 0}, subject="2", rate=19.86)
    near = Recording(near.signal[:, :1], near.rate, near.labels, "2", "near")
    made = windowed(
        Reading([fast, near], (ACTIVITY, SIDE), ("x",), "g", Findings(), 20.0), Windowing(length=100, stride=100), "toy"
    )
    assert made.meta["session"].tolist() == ["fast"] * 8 + ["near"] * 2
    assert made.targets["activity"].tolist() == [0] * 4 + [1] * 6
    window = made.rows(torch.tensor([1])).inputs["sensor"][0, 0].numpy()
    assert np.allclose(window, np.sin(2 * np.pi * 2 * (5 + np.arange(100) / 20)), atol=0.01)
    assert made.card["findings"] == {"recordings resampled": 1, "recordings off the rate, taken as it": 1}
    assert made.card["findings_first"]["recordings resampled"] == "fast: 50 Hz"
    strict = Windowing(length=100, stride=100, tolerance=0)
    made = windowed(Reading([near], (ACTIVITY, SIDE), ("x",), "g", Findings(), 20.0), strict, "toy")
    assert made.card["findings"] == {"recordings resampled": 1}


def test_without_a_rate_recordings_must_share_one() -> None:
    parts = [recording(200, {"activity": 0, "side": 0}, rate=r) for r in (50, 50.3, 49.8)]
    made = windowed(Reading(parts, (ACTIVITY, SIDE), ("x", "y"), "g", Findings()), Windowing(), "toy")
    assert made.card["rate"] == 50
    parts.append(recording(200, {"activity": 0, "side": 0}, rate=100))
    with pytest.raises(UserError, match=r"from 49.8 to 100 Hz; .*windows.rate 50"):
        windowed(Reading(parts, (ACTIVITY, SIDE), ("x", "y"), "g", Findings()), Windowing(), "toy")


def test_samples_that_are_not_finite_end_a_recording_and_are_counted() -> None:
    part = recording(200, {"activity": 0, "side": 0})
    part.signal[100, 1] = np.inf
    part.signal[199, 0] = np.nan
    made = windowed(reading(part), Windowing(length=50, stride=50), "toy")
    assert made.meta["start"].tolist() == [0.0, 2.5, 5.05]
    assert made.card["findings"] == {"samples that are not finite": 2}


def test_a_window_longer_than_every_recording_is_an_error_with_both_numbers() -> None:
    part = recording(90, {"activity": np.repeat([0, 1], 45), "side": 0})
    with pytest.raises(UserError, match=r"window of 100 samples .* longer than every recording; the longest has 90"):
        windowed(reading(part), Windowing(length=100), "toy")
    with pytest.raises(
        UserError,
        match=r"of 60 samples .* every stretch of unchanged labels .* has 45 .*--data.windows.borders ends",
    ):
        windowed(reading(part), Windowing(length=60), "toy")
    with pytest.raises(UserError, match="no usable recording"):
        windowed(reading(recording(0, {"activity": 0, "side": 0})), Windowing(), "toy")
    with pytest.raises(UserError, match="no usable recording"):
        windowed(reading(), Windowing(), "toy")


class Toy(SensorData):
    """One text file: the number of samples."""

    kind: ClassVar[str] = "toy"
    root: Path
    times_read: ClassVar[list[str]] = []

    def files(self) -> list[Path]:
        return [self.root / "count.txt"]

    def read(self) -> Reading:
        self.times_read.append("read")
        return reading(recording(int(self.files()[0].read_text()), {"activity": 1, "side": 0}))


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    Toy.times_read.clear()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "count.txt").write_text("400")
    return Toy(root=tmp_path / "data")


def entry(tmp_path: Path) -> Path:
    (found,) = (p for p in (tmp_path / "cache" / "tables").iterdir() if p.is_dir())
    return found


def test_the_second_load_reads_no_recording_and_gives_the_same_table(toy: Toy) -> None:
    first, second = toy.load(), toy.load()
    fresh = toy.cut(toy.read(), toy.digest())
    assert Toy.times_read == ["read", "read"]
    for made in (first, second):
        rows = torch.arange(len(made))
        assert torch.equal(made.rows(rows).inputs["sensor"], fresh.rows(rows).inputs["sensor"])
        assert torch.equal(made.targets["activity"], fresh.targets["activity"])
        assert all((made.meta[k] == fresh.meta[k]).all() for k in ("subject", "session", "start"))
        assert (made.tasks, made.card, made.digest) == (fresh.tasks, fresh.card, fresh.digest)
    column = second.inputs["sensor"]
    assert isinstance(column, Windows)
    column.signal[0, 0] = 7.0
    assert toy.load().rows(torch.tensor([0])).inputs["sensor"][0, 0, 0] == 0


def test_the_digest_names_contents_and_spec_and_not_the_place(toy: Toy, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "count.txt").write_text("400")
    other = Toy(root=tmp_path / "other")
    assert other.digest() == toy.digest()
    assert Toy(root=tmp_path / "data", windows=Windowing(stride=50)).digest() != toy.digest()
    (tmp_path / "other" / "count.txt").write_text("401")
    assert other.digest() != toy.digest()


def test_a_hash_is_remembered_only_of_a_file_that_has_settled(toy: Toy, tmp_path: Path) -> None:
    import os

    file = tmp_path / "data" / "count.txt"
    before = toy.digest()
    assert not (tmp_path / "cache" / "hashes.json").exists()
    os.utime(file, (1_000_000_000, 1_000_000_000))
    assert toy.digest() == before
    assert len(json.loads((tmp_path / "cache" / "hashes.json").read_text())) == 1
    (tmp_path / "cache" / "hashes.json").write_text("[")
    assert toy.digest() == before


@pytest.mark.parametrize("name", ["signal.npy", "target-0.npy", "manifest.json"])
@pytest.mark.parametrize("harm", ["flip", "truncate", "remove"])
def test_a_damaged_entry_is_found_and_made_anew(toy: Toy, tmp_path: Path, name: str, harm: str) -> None:
    whole = toy.load()
    path = entry(tmp_path) / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    if harm != "remove":
        path.write_bytes(content if harm == "flip" else content[:-9])
    with pytest.warns(UserWarning, match="is damaged .* made anew"):
        again = toy.load()
    assert Toy.times_read == ["read", "read"]
    assert torch.equal(again.rows(torch.arange(2)).inputs["sensor"], whole.rows(torch.arange(2)).inputs["sensor"])
    toy.load()
    assert len(Toy.times_read) == 2


def test_what_a_killed_process_left_is_cleared_and_not_used(toy: Toy, tmp_path: Path) -> None:
    toy.load()
    kept = entry(tmp_path)
    kept.rename(kept.with_name(f"{kept.name}.tmp-123"))
    assert len(toy.load()) > 0
    assert entry(tmp_path) == kept
    assert len(Toy.times_read) == 2


def test_of_several_that_want_one_table_only_one_makes_it(toy: Toy) -> None:
    made: list[int] = []
    workers = [threading.Thread(target=lambda: made.append(len(toy.load()))) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(made) == 4
    assert Toy.times_read == ["read"]


def test_a_cache_that_cannot_be_written_is_done_without_and_said(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "file" / "below"))
    with pytest.warns(UserWarning, match="LIMBECK_CACHE"):
        assert len(toy.load()) == 6
    assert cache.folder() == tmp_path / "file" / "below"
