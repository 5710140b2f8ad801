from pathlib import Path

import pytest

from limbeck.data.archive import Entry
from limbeck.data.lists import List, read
from limbeck.data.recordings import Findings
from limbeck.errors import UserError


def table(tmp_path: Path, content: str | bytes) -> tuple[List, dict[str, int]]:
    path, findings = tmp_path / "a.csv", Findings()
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read(Entry("a.csv", path), findings), findings.counts


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_cells_are_read_by_column_with_the_lines_they_were_in(tmp_path: Path, separator: str) -> None:
    text = 'file, age,note\r\na.jpg,3,"x"\r\n\r\nb.jpg, 4 ,\r\nc.jpg,5\r\nd.jpg,6,y,\r\ne.jpg,7,y,z\r\n'
    made, counts = table(tmp_path, "\ufeff" + text.replace(",", separator))
    assert made.columns == ("file", "age", "note")
    assert made.lines == [
        (2, {"file": "a.jpg", "age": "3", "note": "x"}),
        (4, {"file": "b.jpg", "age": "4", "note": ""}),
        (6, {"file": "d.jpg", "age": "6", "note": "y"}),
    ]
    assert counts == {"lines without a cell for each column, left out": 2}
    with pytest.raises(UserError, match=r"a\.csv has no column 'sex'; its columns are 'file', 'age', 'note'"):
        made.need("age", "sex")


def test_what_is_no_table_is_one_clear_error(tmp_path: Path) -> None:
    made, counts = table(tmp_path, "name\nZoë\n".encode("latin-1"))
    assert made.lines == [(2, {"name": "Zoë"})]
    assert counts == {"tables that are not UTF-8, read as Latin-1": 1}
    for content in ("", "\n\n", "a,b,a\n1,2,3\n"):
        with pytest.raises(UserError, match=r"a\.csv needs a first line with the names of its columns, each its own"):
            table(tmp_path, content)
