import numpy as np
import pandas as pd
import pytest

from limbeck.data.columns import read
from limbeck.data.layout import layout
from limbeck.data.recordings import Findings
from limbeck.errors import UserError


def columns(tmp_path, content, numbers=("x",), texts=(), instant="", name="a.csv"):
    path = tmp_path / name
    if isinstance(content, str):
        path.write_text(content, encoding="utf-8")
    else:
        content.to_parquet(path)
    findings = Findings()
    made = layout(path, name, findings)
    return read(made, dict.fromkeys(numbers, "float64"), list(texts), instant, findings), findings


def test_numbers_are_those_that_pandas_reads(tmp_path):
    values = np.random.default_rng(0).normal(size=(500, 3)).round(6)
    text = pd.DataFrame(values, columns=list("xyz")).to_csv(index=False)
    made, findings = columns(tmp_path, text, "zx")
    assert np.array_equal(made.numbers["x"], values[:, 0])
    assert np.array_equal(made.numbers["z"], values[:, 2])
    assert made.lines.tolist() == list(range(2, 502))
    assert findings.counts == {}


def test_text_among_numbers_drops_the_line_and_names_it(tmp_path):
    made, findings = columns(tmp_path, "x,y\n1,a\noops,b\n3,c\nERR,d\n", texts=["y"])
    assert made.numbers["x"].tolist() == [1, 3]
    assert [made.texts["y"].names[c] for c in made.texts["y"].codes] == ["a", "c"]
    assert made.lines.tolist() == [2, 4]
    assert findings.counts == {"text in a numeric column": 2}
    assert findings.first["text in a numeric column"] == "a.csv:3, column 'x'"


def test_text_among_numbers_with_decimal_commas_leaves_the_others_right(tmp_path):
    made, findings = columns(tmp_path, "x;y\n1,25;2\noops;3\n-3,5;4\n")
    assert made.numbers["x"].tolist() == [1.25, -3.5]
    assert findings.counts["text in a numeric column"] == 1


def test_lines_with_too_many_fields_are_dropped_and_the_other_lines_keep_their_numbers(tmp_path):
    made, findings = columns(tmp_path, "x,y\n1,2\n3,4,5\n6,7,8,9,10\n11,12\n")
    assert made.numbers["x"].tolist() == [1, 11]
    assert made.lines.tolist() == [2, 5]
    assert findings.counts == {"line with too many fields": 2}
    assert findings.first["line with too many fields"] == "a.csv:3"


def test_a_first_line_with_too_many_fields_is_not_cut_in_silence(tmp_path):
    made, findings = columns(tmp_path, "x,y\n1,2,3,4\n5,6\n7,8\n")
    assert made.numbers["x"].tolist() == [5, 7]
    assert findings.counts == {"line with too many fields": 1}


def test_a_short_line_and_empty_cells_are_missing_and_an_empty_line_is_dropped(tmp_path):
    made, findings = columns(tmp_path, "x,y,z\n1,,a\n\n2\nNaN,3,\n", "xy", "z")
    assert np.isnan(made.numbers["y"]).tolist() == [True, True, False]
    assert made.texts["z"].codes.tolist() == [0, -1, -1]
    assert made.lines.tolist() == [2, 4, 5]
    assert findings.counts == {"empty line": 1}


def test_texts_are_stripped_and_whole_numbers_are_written_as_such(tmp_path):
    made, _ = columns(tmp_path, "x,y\n1, b \n1,b\n1,2.0\n1,2\n1,None\n1,1.5\n", texts=["y"])
    assert made.texts["y"].names == ("1.5", "2", "None", "b")
    assert made.texts["y"].codes.tolist() == [3, 3, 1, 1, 2, 0]


def test_dates_become_seconds_with_and_without_zone(tmp_path):
    text = "when,x\n2021-03-28T00:59:59.5,1\n2021-03-28 02:00:00.25+01:00,2\nyesterday,3\n,4\n"
    made, findings = columns(tmp_path, text, instant="when")
    start = pd.Timestamp("2021-03-28T00:59:59.5Z").timestamp()
    assert made.numbers["when"][:2].tolist() == pytest.approx([start, start + 0.75], abs=1e-6)
    assert np.isnan(made.numbers["when"][2:]).all()
    assert findings.counts == {"time that is no ISO 8601 date": 1}


def test_parquet_columns_of_every_type_are_read(tmp_path):
    pytest.importorskip("pyarrow", reason="the extra 'parquet' is not installed")
    frame = pd.DataFrame(
        {
            "when": pd.to_datetime(["2021-01-01 00:00:00", "2021-01-01 00:00:00.02", None], format="ISO8601"),
            "x": pd.array([1, None, 3], dtype="Int64"),
            "label": pd.Categorical(["b", None, "a"]),
            "flag": [True, False, True],
        },
        index=[5, 6, 7],
    )
    made, _ = columns(tmp_path, frame, texts=["label", "flag"], instant="when", name="a.parquet")
    assert made.numbers["x"].tolist()[::2] == [1, 3]
    assert np.isnan(made.numbers["x"][1])
    assert made.texts["label"].names == ("a", "b")
    assert made.texts["label"].codes.tolist() == [1, -1, 0]
    assert made.texts["flag"].names == ("False", "True")
    assert np.diff(made.numbers["when"])[0] == pytest.approx(0.02, abs=1e-6)


def test_an_open_quote_is_refused_with_the_name_of_the_file(tmp_path):
    with pytest.raises(UserError, match=r"a\.csv cannot be read as CSV"):
        columns(tmp_path, 'x,y\n1,2\n2,"3\n4,5\n')
