"""Pairs are those of gudhi, ripser and the definition, to the last bit; odd input is told of."""

from pathlib import Path
from typing import Any

import gudhi
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ripser import ripser
from scipy import sparse

from limbeck.errors import UserError
from limbeck.topology import Diagrams, persistence
from limbeck.topology.diagrams import joined

Array = np.ndarray[Any, Any]
KINDS = ("noise", "ties", "plateaus", "walk", "wave")
LENGTHS = (1, 2, 3, 4, 5, 7, 16, 33, 100, 317, 1000)


def signal(kind: str, length: int, draw: np.random.Generator) -> Array:
    match kind:
        case "noise":
            return draw.normal(size=length)
        case "ties":
            return draw.integers(-2, 3, length).astype(float)
        case "plateaus":
            return np.repeat(draw.integers(0, 9, length), 1 + draw.integers(0, 4, length))[:length].astype(float)
        case "walk":
            return draw.normal(size=length).cumsum()
    return np.asarray(np.sin(np.arange(length) / draw.uniform(1, 9)) + 0.1 * draw.normal(size=length))


def ordered(pairs: Array) -> Array:
    return pairs[np.lexsort(pairs.T[::-1])]


def cubical(x: Array) -> tuple[Array, float]:
    """Pairs and oldest birth by gudhi."""
    complex_ = gudhi.CubicalComplex(top_dimensional_cells=x)
    complex_.compute_persistence()
    found = complex_.persistence_intervals_in_dimension(0)
    ends = np.isfinite(found[:, 1])
    return ordered(found[ends]), float(found[~ends][0, 0])


def rips(x: Array) -> Array:
    """Pairs by ripser, for signals without zeros: it takes those for edges that are not there."""
    n = len(x)
    rows, columns = np.r_[np.arange(n), np.arange(n - 1)], np.r_[np.arange(n), np.arange(1, n)]
    matrix = sparse.csr_matrix((np.r_[x, np.maximum(x[:-1], x[1:])], (rows, columns)), shape=(n, n))
    found = ripser(matrix, maxdim=0, distance_matrix=True)["dgms"][0]
    return ordered(found[np.isfinite(found[:, 1])].astype(np.float32))


def elder(x: list[float]) -> tuple[list[tuple[float, float]], float]:
    """The definition: samples appear in order of value; where two components meet, the younger dies."""
    root: dict[int, int] = {}

    def find(i: int) -> int:
        return i if root[i] == i else find(root[i])

    pairs = []
    for i in sorted(range(len(x)), key=lambda i: (x[i], i)):
        root[i] = i
        for j in (i - 1, i + 1):
            if j in root:
                old, young = sorted((find(i), find(j)), key=lambda k: (x[k], k))
                root[young] = old
                if x[young] < x[i]:
                    pairs.append((x[young], x[i]))
    return sorted(pairs), x[find(0)]


def test_the_golden_signal_has_its_two_pairs() -> None:
    """S2-02."""
    found = persistence(np.array([[1, 3, 0, 2, 1.5, 4]]))
    assert ordered(found.of(0, 0)).tolist() == [[1, 3], [1.5, 2]]
    assert found.essential.tolist() == [0]
    assert (found.shape, len(found), found.offsets.tolist()) == ((1, 1), 1, [0, 2])


@pytest.mark.parametrize("kind", KINDS)
def test_pairs_are_those_of_gudhi_to_the_last_bit(kind: str) -> None:
    draw = np.random.default_rng(1)
    for length in LENGTHS:
        batch = np.stack([signal(kind, length, draw) for _ in range(60)]).reshape(20, 3, length)
        for dtype in (np.float64, np.float32):
            found = persistence(batch.astype(dtype))
            assert found.pairs.dtype == found.essential.dtype == dtype
            for n in range(20):
                for m in range(3):
                    pairs, oldest = cubical(batch[n, m].astype(dtype))
                    np.testing.assert_array_equal(ordered(found.of(n, m)), pairs)
                    assert found.essential[3 * n + m] == oldest


@pytest.mark.parametrize("kind", KINDS)
def test_pairs_are_those_of_ripser_to_the_last_bit(kind: str) -> None:
    draw = np.random.default_rng(2)
    for length in LENGTHS[1:]:
        for _ in range(8):
            x = signal(kind, length, draw).astype(np.float32)
            x += np.float32(1) - x.min()
            np.testing.assert_array_equal(ordered(persistence(x[None]).of(0, 0)), rips(x))


@given(st.lists(st.integers(-4, 4).map(float) | st.floats(-1e300, 1e300), min_size=1, max_size=40))
def test_pairs_are_those_of_the_elder_rule(x: list[float]) -> None:
    found = persistence([x])
    pairs, oldest = elder(x)
    assert ordered(found.of(0, 0)).tolist() == [list(p) for p in pairs]
    assert found.essential[0] == oldest


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=60), st.integers(-1000, 1000))
def test_a_shift_shifts_and_a_mirror_changes_nothing(x: list[int], shift: int) -> None:
    """S2-02."""
    here, there, mirrored = (persistence([y]).of(0, 0) for y in (x, [v + shift for v in x], x[::-1]))
    np.testing.assert_array_equal(here + shift, there)
    np.testing.assert_array_equal(ordered(here), ordered(mirrored))


@pytest.mark.parametrize(
    "x", [[3.0], [1.0, 2.0], [2.0, 1.0], [5.0] * 9, list(range(9)), list(range(9, 0, -1)), [1, 0, 1]]
)
def test_signals_of_one_valley_have_no_pair(x: list[float]) -> None:
    """S2-03."""
    found = persistence(np.array([x], float))
    assert len(found.of(0, 0)) == 0
    assert found.essential.tolist() == [min(x)]


def test_superlevel_classes_are_those_of_the_signal_turned_over() -> None:
    x = np.random.default_rng(3).integers(0, 6, (4, 2, 50)).astype(float)
    over, under, both = (persistence(x, f) for f in ("superlevel", "sublevel", "both"))  # type: ignore[arg-type]
    np.testing.assert_array_equal(over.pairs, -persistence(-x).pairs)
    assert (over.pairs[:, 0] > over.pairs[:, 1]).all()
    assert both.shape == (4, 4)
    for n in range(4):
        for m in range(2):
            np.testing.assert_array_equal(both.of(n, m), under.of(n, m))
            np.testing.assert_array_equal(both.of(n, 2 + m), over.of(n, m))
    np.testing.assert_array_equal(over.essential.reshape(4, 2), x.max(-1))


def same(one: Diagrams, two: Diagrams) -> None:
    assert one.shape == two.shape
    for a, b in ((one.pairs, two.pairs), (one.offsets, two.offsets), (one.essential, two.essential)):
        np.testing.assert_array_equal(a, b)


def test_views_tensors_lists_and_padding_give_the_same() -> None:
    x = np.random.default_rng(4).normal(size=(30, 40, 3)).astype(np.float32)
    view = x.transpose(0, 2, 1)[::2]
    plain = persistence(np.ascontiguousarray(view))
    same(persistence(view), plain)
    same(persistence(torch.from_numpy(x).movedim(1, 2)[::2]), plain)
    same(persistence(list(view)), plain)
    same(persistence(np.ascontiguousarray(view[:, 0])), persistence(view[:, :1]))
    same(persistence((view * 100).astype(np.int16)), persistence((view * 100).astype(np.int16).astype(float)))
    same(persistence(view.astype(np.float64)), persistence(view.astype(np.float64)[:, :, :]))


def test_what_is_beyond_the_length_is_not_looked_at() -> None:
    x = np.random.default_rng(5).normal(size=(9, 2, 30))
    lengths = np.array([30, 1, 2, 3, 29, 15, 7, 30, 4])
    cut = [w[:, :n].copy() for w, n in zip(x, lengths, strict=True)]
    for window, n in zip(x, lengths, strict=True):
        window[:, n:] = np.nan
    same(persistence(x, lengths=lengths), persistence(cut))
    same(persistence(cut), joined([persistence(c[None]) for c in cut]))


def test_threads_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.topology.diagrams.PART", 5000)
    x = np.random.default_rng(6).normal(size=(500, 3, 100))
    same(persistence(x, "both", threads=4), persistence(x, "both", threads=1))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_named_by_window_and_channel(bad: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.topology.diagrams.PART", 100)
    x = np.zeros((50, 2, 10), np.float32)
    x[37, 1, 9] = bad
    with pytest.raises(UserError, match="window 37, channel 1 has a value that is not finite"):
        persistence(x)
    with pytest.raises(UserError, match="window 37, channel 1"):
        persistence(list(x), "both")


@pytest.mark.parametrize(
    ("signals", "lengths", "words"),
    [
        (np.zeros((2, 3, 0)), None, "window 0 has no samples"),
        ([np.zeros((1, 4)), np.zeros((1, 0))], None, "window 1 has no samples"),
        (np.zeros((2, 3, 5)), [5, 0], "window 1 has no samples"),
        (np.zeros((2, 3, 5)), [5, 6], "whole numbers of at most 5"),
        (np.zeros((2, 3, 5)), [5], "lengths are 2 whole numbers"),
        (np.zeros(5), None, "not of shape"),
        (np.zeros((2, 5), complex), None, "expected numbers"),
        ([np.zeros((1, 4)), np.zeros((2, 4))], None, "differ in channels"),
        ([np.zeros((1, 4))], [4], "a list of signals tells them itself"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(signals: Any, lengths: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        persistence(signals, lengths=lengths)


def test_unknown_filtrations_and_threads_are_refused() -> None:
    with pytest.raises(UserError, match="did you mean 'sublevel'"):
        persistence(np.zeros((1, 5)), "sublevels")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="threads is 0"):
        persistence(np.zeros((1, 5)), threads=0)


def test_no_windows_give_no_diagrams() -> None:
    assert persistence(np.zeros((0, 3, 10))).shape == (0, 3)
    assert persistence(np.zeros((0, 3, 10)), "both").shape == (0, 6)


def test_windows_can_be_taken_and_small_classes_cut() -> None:
    x = np.random.default_rng(7).normal(size=(20, 3, 50))
    found = persistence(x)
    index = np.array([7, 3, 3, -1])
    same(found.take(index), persistence(x[index]))
    same(found.take(torch.from_numpy(index[:3])), persistence(x[index[:3]]))
    same(found.take(np.arange(20) > 15), persistence(x[16:]))
    same(found.take(slice(2, 5)), persistence(x[2:5]))
    cut = found.cut(1.0)
    assert cut.nbytes < found.nbytes
    for n in range(20):
        pairs = found.of(n, 2)
        np.testing.assert_array_equal(cut.of(n, 2), pairs[pairs[:, 1] - pairs[:, 0] > 1.0])
    with pytest.raises(IndexError):
        found.of(20, 0)


def test_diagrams_are_kept_on_disk(tmp_path: Path) -> None:
    found = persistence(np.random.default_rng(8).normal(size=(5, 3, 50)).astype(np.float32))
    found.save(tmp_path / "new" / "d.safetensors")
    same(Diagrams.load(tmp_path / "new" / "d.safetensors"), found)
    assert Diagrams.load(tmp_path / "new" / "d.safetensors").pairs.dtype == np.float32
    empty = persistence(np.zeros((2, 1, 3)))
    empty.save(tmp_path / "empty")
    same(Diagrams.load(tmp_path / "empty"), empty)
    with pytest.raises(UserError, match="is missing"):
        Diagrams.load(tmp_path / "none")
    (tmp_path / "junk").write_bytes(b"junk")
    with pytest.raises(UserError, match="holds no diagrams"):
        Diagrams.load(tmp_path / "junk")


def test_diagrams_of_other_channels_are_not_joined() -> None:
    with pytest.raises(UserError, match="1, 2 channels"):
        joined([persistence(np.zeros((2, 1, 3))), persistence(np.zeros((2, 2, 3)))])
