from pathlib import Path

import actfast
import numpy as np
import pytest

from limbeck.data import geneactiv_bin
from limbeck.data.geneactiv_bin import Trace
from limbeck.data.recordings import Findings
from limbeck.errors import UserError

from .fake_geneactiv import acceleration, header, page, samples, write


def read(file: Path) -> tuple[list[Trace], Findings]:
    findings = Findings()
    return geneactiv_bin.traces(file, geneactiv_bin.header(file), findings), findings


def pages(raw: np.ndarray) -> list[bytes]:
    return [page(i, raw[300 * i : 300 * (i + 1)]) for i in range(len(raw) // 300)]


def test_samples_are_those_that_another_reader_sees(tmp_path: Path) -> None:
    raw = samples(1500)
    file = write(tmp_path / "a.bin", raw)
    (trace,), findings = read(file)
    other = actfast.read(str(file))["timeseries"]["high_frequency"]
    made = geneactiv_bin.header(file).acceleration(trace.raw)
    assert (trace.raw == raw).all()
    assert made.dtype == np.float32
    assert np.abs(made - other["acceleration"]).max() < 1e-6
    assert np.abs(made - acceleration(raw)).max() < 1e-6
    assert (trace.rate, trace.start) == (100, other["datetime"][0] / 1e9)
    assert findings.counts == {}


def test_a_file_is_the_same_in_blocks_of_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = samples(1500)
    write(tmp_path / "a.bin", raw)
    for size in (70_001, 7_001, 2_000):
        monkeypatch.setattr(geneactiv_bin, "_BLOCK", size)
        (trace,), findings = read(tmp_path / "a.bin")
        assert (trace.raw == raw).all()
        assert findings.counts == {}


def test_a_gap_ends_a_trace_whether_numbers_or_times_tell_it(tmp_path: Path) -> None:
    raw = samples(2400)
    whole = pages(raw)
    later = [page(i, raw[300 * i : 300 * (i + 1)], later=20) for i in range(8)]
    write(tmp_path / "a.bin", raw, pages=[*whole[:2], *whole[3:6], *later[6:]])
    made, findings = read(tmp_path / "a.bin")
    assert [len(t.raw) for t in made] == [600, 900, 600]
    assert [t.start - made[0].start for t in made] == [0, 9, 38]
    assert findings.counts == {"gaps": 2}
    write(tmp_path / "a.bin", raw, pages=[*whole[:2], *later[2:4], *whole[4:]])
    assert read(tmp_path / "a.bin")[1].counts == {"gaps": 2, "times that go back": 1}


def test_the_rate_is_what_the_times_of_pages_say(tmp_path: Path) -> None:
    raw = samples(3000)
    made = [page(i, raw[300 * i : 300 * (i + 1)], rate=100, later=0.003 * i) for i in range(10)]
    write(tmp_path / "a.bin", raw, pages=made)
    (trace,), findings = read(tmp_path / "a.bin")
    assert trace.rate == pytest.approx(300 / 3.003)
    assert findings.counts == {}
    mixed = [*made[:5], *(page(i, raw[:300], rate=50, later=-15) for i in range(5, 8))]
    write(tmp_path / "a.bin", raw, pages=mixed)
    assert [round(t.rate) for t in read(tmp_path / "a.bin")[0]] == [100, 50]


def test_damaged_and_repeated_pages_are_left_out_and_counted(tmp_path: Path) -> None:
    raw = samples(3000)
    whole = pages(raw)
    whole[2] = whole[2][:900] + b"ZZ" + whole[2][902:]
    whole[4] = whole[4][:1000] + b"\r\n"
    whole[6] = whole[6].replace(b"Page Time:2020", b"Page Time:20x0")
    whole[7] = whole[7].replace(b"Measurement Frequency:100.0", b"Measurement Frequency:0.0")
    whole.insert(9, whole[8])
    write(tmp_path / "a.bin", raw, pages=whole)
    made, findings = read(tmp_path / "a.bin")
    assert findings.counts.pop("pages that the header tells of and the file lacks") == 5
    assert findings.counts == {"damaged pages, left out": 4, "repeated pages, left out": 1, "gaps": 3}
    assert findings.first["damaged pages, left out"] == "a.bin: behind page 1"
    assert [len(t.raw) for t in made] == [600, 300, 300, 600]
    assert (made[2].raw == raw[1500:1800]).all()


@pytest.mark.parametrize(("cut", "left"), [(1500, 1200 + 175), (1505, 1200 + 175), (3600, 1200), (3700, 1200)])
def test_of_a_last_page_that_is_cut_off_whole_samples_are_used(tmp_path: Path, cut: int, left: int) -> None:
    raw = samples(1500)
    file = write(tmp_path / "a.bin", raw)
    file.write_bytes(file.read_bytes()[: -cut - 2])
    (trace,), findings = read(file)
    assert len(trace.raw) == pytest.approx(left, abs=1)
    assert (trace.raw == raw[: len(trace.raw)]).all()
    assert findings.counts.pop("last page cut off") == 1


def test_noise_behind_the_last_page_does_no_harm(tmp_path: Path) -> None:
    raw = samples(900)
    file = write(tmp_path / "a.bin", raw)
    for more in (b"\r\n", b"\0" * 10_000, b"\0" * 1000 + b"\r\n"):
        write(file, raw).write_bytes(file.read_bytes() + more)
        (trace,), findings = read(file)
        assert (trace.raw == raw).all()
        assert findings.counts == {}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a GENEActiv recording"),
        (b"hello " * 30_000, "not a GENEActiv recording"),
        (header().replace(b"x gain", b"x gian"), "a header without its calibration: no 'x gain' among its lines"),
        (header(gain="abc"), "a header without its calibration: 'x gain:abc' among its lines"),
        (header(gain="0"), "a gain of 0"),
        (header(), "no page of samples that can be read"),
        (header() + b"Recorded Data\r\n" * 3, r"no page of samples that can be read: 2 damaged pages, left out"),
    ],
)
def test_what_is_no_recording_is_refused_in_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a.bin").write_bytes(content)
    with pytest.raises(UserError, match=said) as error:
        read(tmp_path / "a.bin")
    assert "a.bin" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_header_says_whose_it_is_without_its_filling(tmp_path: Path) -> None:
    for subject in ("", "P 07"):
        made = geneactiv_bin.header(write(tmp_path / "a.bin", samples(300), subject))
        assert made.subject == subject
        assert made.pages == 1
    with pytest.raises(UserError, match="cannot be read"):
        geneactiv_bin.header(tmp_path / "none.bin")


@pytest.mark.parametrize("text", ["2020-01-30 09:17:11:500", "2020-01-30 09:17:11.5", " 2020-01-30T09:17:11.500 "])
def test_times_are_those_of_the_recorders_clock(text: str) -> None:
    assert geneactiv_bin.moment(text) == 1580375831.5
    for wrong in ("30.1.2020 09:17", "2020-02-31 00:00:00", "2020-01-30 09:17:11+01:00", ""):
        with pytest.raises(ValueError, match=r".*"):
            geneactiv_bin.moment(wrong)
