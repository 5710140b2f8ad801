import pytest

from limbeck.data.layout import layout
from limbeck.data.recordings import Findings
from limbeck.errors import UserError


def told(tmp_path, content, name="a.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    findings = Findings()
    return layout(path, name, findings), findings


def test_a_plain_file_tells_its_columns_and_kinds(tmp_path):
    made, findings = told(tmp_path, 'time,x,who,"a, b",void\n0,1.5,Ann,2,\n1,-2e-3,"B, ob",NaN,NaN\n')
    assert dict(made.kinds) == {"time": "number", "x": "number", "who": "text", "a, b": "number", "void": "empty"}
    assert (made.separator, made.decimal, made.encoding, made.skip) == (",", ".", "utf-8", 1)
    assert findings.counts == {}


def test_semicolons_and_decimal_commas_are_recognised_and_told(tmp_path):
    made, findings = told(tmp_path, "time;x\n0,00;1,5\n0,02;2\n")
    assert (made.separator, made.decimal) == (";", ",")
    assert findings.counts == {"file with decimal commas": 1}


def test_semicolons_with_decimal_points_keep_the_points(tmp_path):
    made, _ = told(tmp_path, "time;x;note\n0.00;1.5;a,b\n0.02;2;c\n")
    assert (made.separator, made.decimal) == (";", ".")


def test_tabs_separate_and_a_bare_carriage_return_ends_no_header(tmp_path):
    made, _ = told(tmp_path, "time\tx\r\n0\t1\r\n", "a.tsv")
    assert made.separator == "\t"
    assert list(made.kinds) == ["time", "x"]


def test_a_byte_order_mark_is_not_part_of_the_first_name(tmp_path):
    made, findings = told(tmp_path, "\ufefftime,x\n0,1\n".encode())
    assert list(made.kinds) == ["time", "x"]
    assert findings.counts == {"file with a byte order mark": 1}


def test_latin_1_is_read_as_such_and_told(tmp_path):
    made, findings = told(tmp_path, "time,Größe\n0,1\n".encode("latin-1"))
    assert list(made.kinds) == ["time", "Größe"]
    assert findings.counts == {"file that is not UTF-8, read as Latin-1": 1}


def test_lines_before_the_header_are_skipped_and_told(tmp_path):
    text = "--- Data File Created By ActiGraph ---\nSerial Number: 7\nStart 10:00:00\n\nx,y,z\n0.1,0.2,0.3\n"
    made, findings = told(tmp_path, text)
    assert list(made.kinds) == ["x", "y", "z"]
    assert made.skip == 5
    assert findings.counts == {"file with lines before the header": 1}


def test_a_file_without_a_header_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"a\.csv has no header line .* \(it begins '0\.0,1\.0,walking'\)"):
        told(tmp_path, "0.0,1.0,walking\n0.1,1.0,walking\n")


def test_two_columns_of_one_name_are_refused(tmp_path):
    with pytest.raises(UserError, match="two columns named 'x'"):
        told(tmp_path, "time,x,x\n0,1,2\n")


def test_lines_longer_than_the_header_throughout_are_refused(tmp_path):
    with pytest.raises(UserError, match="header names 2 columns, but the lines have 3 fields"):
        told(tmp_path, "time,x\n0,1,2\n1,1,2\n")


def test_separators_at_the_ends_of_lines_are_no_columns(tmp_path):
    made, _ = told(tmp_path, "time,x\n0,1,\n1,1,\n")
    assert list(made.kinds) == ["time", "x"]


def test_an_index_that_pandas_wrote_is_known_as_unnamed(tmp_path):
    made, _ = told(tmp_path, ",time,x\n0,0.0,1\n1,0.1,1\n")
    assert dict(made.kinds) == {"(column 1)": "unnamed", "time": "number", "x": "number"}


@pytest.mark.parametrize(
    ("content", "what"), [("", "empty file"), ("\n \n", "empty file"), ("time,x\n", "file with a header only")]
)
def test_a_file_without_rows_is_passed_over_and_told(tmp_path, content, what):
    made, findings = told(tmp_path, content)
    assert made is None
    assert findings.counts == {what: 1}


def test_what_is_no_text_is_refused(tmp_path):
    with pytest.raises(UserError, match="not a text file"):
        told(tmp_path, b"time,x\n\0\0\0\0")


def test_a_damaged_parquet_file_is_refused(tmp_path):
    pytest.importorskip("pyarrow", reason="the extra 'parquet' is not installed")
    with pytest.raises(UserError, match="is not a Parquet file"):
        told(tmp_path, b"PAR1 nothing", "a.parquet")
