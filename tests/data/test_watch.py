import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest

from limbeck.data import watch
from limbeck.data.watch import Watch
from limbeck.errors import UserError

pytest.importorskip("seglearn", reason="the extra 'watch' is not installed", exc_type=ImportError)


def test_the_embedded_recordings_are_those_of_the_package() -> None:
    from seglearn.datasets import load_watch

    held = load_watch()
    reading = Watch(sensors=("accelerometer", "gyroscope")).read()
    assert len(reading.recordings) == 140
    for i in (0, 77, 139):
        made = reading.recordings[i]
        assert np.allclose(made.signal, held["X"][i])
        assert made.labels["exercise"][0] == held["y"][i]
        assert reading.tasks[1].labels[made.labels["side"][0]] == ("right" if held["side"][i] == 1 else "left")
        assert made.subject == str(held["subject"][i])
    assert reading.channels == ("ax", "ay", "az", "wx", "wy", "wz")


def test_its_windows_are_of_ten_subjects_and_cross_no_recording() -> None:
    table = Watch().load()
    lengths = [len(r.signal) for r in Watch().read().recordings]
    assert len(table) == sum((n - 100) // 50 + 1 for n in lengths) == 4677
    assert table.shape("sensor") == (3, 100)
    assert table.card["subjects"] == 10
    assert sum(table.card["tasks"]["exercise"].values()) == len(table)
    size = table.rows(table.ids).inputs["sensor"].norm(dim=1).median()
    assert 0.9 < size < 1.2, "accelerations are in g"


def test_the_package_is_found_without_importing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "seglearn", raising=False)
    Watch().files()
    assert "seglearn" not in sys.modules


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(watch, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'limbeck\[watch\]'"):
        Watch().load()
    empty = ModuleSpec("seglearn", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(watch, "find_spec", lambda name: empty)
    with pytest.raises(UserError, match="install it anew"):
        Watch().load()
    (tmp_path / "data").mkdir()
    np.save(tmp_path / "data" / "watch_dataset.npy", np.array({"X": []}, object), allow_pickle=True)
    with pytest.raises(UserError, match="expected a dict with X, y"):
        Watch().load()
