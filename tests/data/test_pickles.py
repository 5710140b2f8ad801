import os
import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limbeck.data import pickles
from limbeck.errors import UserError


def held() -> dict[str, Any]:
    return {
        "X": [np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6, dtype=">i4").reshape(3, 2))],
        "objects": np.array([["a", None], [np.arange(3), 2.5]], object),
        "text": np.array(["left", "right"]),
        "scalar": np.float64(1.5),
        "empty": np.zeros((0, 3), np.float32),
        "subject": ("S1", True, 3),
    }


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        pairs = zip(a.ravel().tolist(), b.ravel().tolist(), strict=True) if a.dtype == object else ()
        return (
            type(b) is np.ndarray
            and a.shape == b.shape
            and a.dtype == b.dtype
            and (all(same(x, y) for x, y in pairs) if a.dtype == object else bool((a == b).all()))
        )
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_arrays_of_every_protocol_come_back_as_they_were(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(held(), protocol=protocol))
    assert same(held(), pickles.load(path))


def test_a_pickle_of_python_2_is_read(tmp_path: Path) -> None:
    # Written by hand as Python 2 writes numpy.array([1., 2.]): bytes are str, the module is numpy.core.
    raw = np.array([1.0, 2.0]).tobytes()
    content = (
        b"\x80\x02}U\x01Xcnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U\x10" + raw + b"tbs."
    )
    (tmp_path / "a.pkl").write_bytes(content)
    assert pickles.load(tmp_path / "a.pkl")["X"].tolist() == [1.0, 2.0]


def test_npy_files_of_objects_and_of_numbers_are_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array(held(), object), allow_pickle=True)
    np.save(tmp_path / "b.npy", np.arange(4))
    assert same(held(), pickles.load(tmp_path / "a.npy"))
    assert pickles.load(tmp_path / "b.npy").tolist() == [0, 1, 2, 3]


class Runs:
    """Pickles into a call of something."""

    def __init__(self, call: Any, *given: Any) -> None:
        self.call, self.given = call, given

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call, self.given


def refused(path: Path, content: bytes, match: str) -> None:
    path.write_bytes(content)
    with pytest.raises(UserError, match=match) as error:
        pickles.load(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


def test_a_pickle_that_runs_a_command_is_refused_before_it_runs(tmp_path: Path) -> None:
    witness = tmp_path / "ran"
    refused(tmp_path / "a.pkl", pickle.dumps(Runs(os.system, f"touch {witness}")), "system")
    code = f"open({str(witness)!r}, 'w')"
    trick = b"cnumpy.testing._private.utils\nrunstring\n(V" + code.encode() + b"\n}tR."
    refused(tmp_path / "b.pkl", trick, "runstring")
    refused(tmp_path / "c.pkl", pickle.dumps(Runs(np.load, "x.npy")), "load")
    refused(tmp_path / "d.pkl", pickle.dumps(Runs(eval, code)), "eval")
    assert not witness.exists()


def test_numpys_own_makers_cannot_be_called_to_make_objects_of_addresses(tmp_path: Path) -> None:
    inside = b"(K\x01\x85cnumpy\ndtype\nV|O\n\x85RK\x08C\x08AAAAAAAAtR."
    refused(tmp_path / "a.pkl", b"\x80\x04cnumpy\nndarray\n" + inside, "may be unsafe|damaged")
    kind = b"cnumpy\ndtype\nX\x01\x00\x00\x00O\x85R"
    objects = b"\x80\x04cnumpy._core.numeric\n_frombuffer\n(C\x08AAAAAAAA" + kind + b"K\x01\x85X\x01\x00\x00\x00CtR."
    refused(tmp_path / "b.pkl", objects, "damaged")
    objects = b"\x80\x04cnumpy._core.multiarray\nscalar\n(" + kind + b"C\x08AAAAAAAAtR."
    refused(tmp_path / "c.pkl", objects, "damaged")
    refused(tmp_path / "d.pkl", pickle.dumps(np.zeros(2, [("a", "i4"), ("b", "O")])), "structured|may be unsafe")


def test_damaged_and_oversized_files_end_in_one_clear_line(tmp_path: Path) -> None:
    good = pickle.dumps(held(), protocol=4)
    refused(tmp_path / "a.pkl", good[: len(good) // 2], "damaged")
    refused(tmp_path / "b.pkl", b"", "damaged")
    refused(tmp_path / "c.pkl", b"\x93NUMPY\x01\x00", "damaged")
    refused(tmp_path / "d.pkl", b"]" * 3000 + b"a" * 2999 + b".", "damaged")
    refused(tmp_path / "e.pkl", b"\x80\x02X\x01\x00\x00\x00aQ.", "outside the file")
    (tmp_path / "f.pkl").write_bytes(good)
    with pytest.raises(UserError, match="more than"):
        pickles.load(tmp_path / "f.pkl", limit=100)
    with pytest.raises(UserError, match="No such file"):
        pickles.load(tmp_path / "none.pkl")


def test_an_array_that_claims_more_than_the_file_holds_takes_no_memory(tmp_path: Path) -> None:
    good = pickle.dumps(np.arange(3, dtype=np.int8), protocol=2)
    assert good.count(b"K\x03\x85") == 1
    refused(tmp_path / "a.pkl", good.replace(b"K\x03\x85", b"\x8a\x08" + b"\xff" * 7 + b"\x3f\x85"), "damaged")


def test_no_mutation_of_a_pickle_ends_otherwise_than_in_a_value_or_one_clear_error(tmp_path: Path) -> None:
    rng = random.Random(0)
    bases = [pickle.dumps(held(), protocol=p) for p in (2, 4, 5)]
    path = tmp_path / "a.pkl"
    refusals = 0
    for _ in range(300):
        content = bytearray(rng.choice(bases))
        for _ in range(3):
            content[rng.randrange(len(content))] = rng.randrange(256)
        path.write_bytes(content)
        try:
            pickles.load(path)
        except UserError:
            refusals += 1
    assert refusals > 100
