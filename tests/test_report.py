"""The page: right numbers, nothing loaded from anywhere, everything escaped, leaks marked, fits a phone."""

import html
import io
import json
import re
import shlex
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import ClassVar
from xml.etree import ElementTree

import pytest
from rich.console import Console

from limbeck.compare import LEAK
from limbeck.config import Spec, arguments, dump, override
from limbeck.errors import UserError
from limbeck.finished import load
from limbeck.made import about, command, duration
from limbeck.report import print_table, report, size, summary
from tests.fake_faces import face_family, write_face_run
from tests.fake_hearts import heart_family, write_heart_run
from tests.fake_runs import LABELS, LEAKY_SPLIT, family, write_run

NASTY = "<script>alert(1)</script>"
VOID = {"meta", "link", "br", "img", "hr", "input"}


class Outline(HTMLParser):
    """Every tag with its attributes; complains where tags are not closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three methods with two seeds each."""
    return family(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def page(runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Their report."""
    return report(runs, tmp_path_factory.mktemp("page") / "report.html").read_text()


def plain_text(page: str) -> str:
    """What a reader sees, in one line."""
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", body)))


def test_the_table_has_the_mean_over_seeds_of_every_method(runs: list[Path], page: str) -> None:
    for method in ("smooth-distill", "hard-sharing", "sdd"):
        for task in LABELS:
            both = [json.loads((at / "scores.json").read_text()) for at in runs if at.name.startswith(method)]
            values = [s["models"]["student"]["parts"]["test"][task] for s in both]
            for metric in ("accuracy", "macro_f1", "weighted_f1", "ece"):
                assert f"<b>{100 * sum(v[metric] for v in values) / 2:.1f}</b>" in page
    assert (
        "All in %; mean over 2 seeds; 95 % interval over subjects and seeds (bootstrap, widened by Student's t); "
        "of other scores than accuracy over seeds alone, where there are several. Always"
    ) in plain_text(page)


def test_the_page_is_in_the_order_of_a_careful_reader(page: str) -> None:
    heads = [plain_text(h).strip() for h in re.findall(r"<h3.*?</h3>", page)]
    assert heads == [
        "Scores on the test", "Learning curves", "Over-fitting", "Confusion matrices", "Subject by subject", "Size",
        "Data", "Recipe", "Environment", "Reproduce", "Cite",
    ]  # fmt: skip
    assert page.index("The smooth-distill student scores") < page.index("<table")


def test_the_page_names_data_findings_split_sizes_versions_and_papers(page: str) -> None:
    text = plain_text(page)
    for said in (
        "gap over 1 s: 12 (first: watch/1609.txt:2210)", "label changes inside: 31", "100 samples at 20.0 Hz (5 s)",
        "in train and test no subject", "4,287,887", "17,151,548", "184,220 nodes", "2.13.0", "2507.00061",
        "Always answering the commonest class would score 5.6", "hardest:", "At the end: smooth-distill +",
        "s10994-006",
    ):  # fmt: skip
        assert said in text


def test_what_differs_between_runs_is_marked_and_what_does_not_is_not(page: str) -> None:
    marked = re.findall(r"<mark>(.*?)</mark>", page)
    assert marked == ["marked", "smooth-distill", "hard-sharing", "sdd", "0", "1"]


def test_the_page_loads_nothing(page: str) -> None:
    outline = Outline(page)
    assert not re.search(r"https?://|url\(|@import", page)
    assert {tag for tag, _ in outline.tags} & {"script", "img", "iframe", "object", "embed", "audio", "video"} == set()
    loaded = [
        a[k] for _, a in outline.tags for k in ("src", "href", "srcset", "data", "action", "xlink:href") if k in a
    ]
    assert all(value and (value.startswith("#") or value == "data:,") for value in loaded)


def test_tags_are_closed_and_every_drawing_is_well_formed(page: str) -> None:
    Outline(page)
    drawings = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(drawings) > 20
    for drawing in drawings:
        ElementTree.fromstring(drawing)


def test_links_lead_to_places_of_the_page_and_ids_are_unique(page: str) -> None:
    tags = Outline(page).tags
    ids = [a["id"] for _, a in tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"] for tag, a in tags if tag == "a"} <= {f"#{i}" for i in ids}


def test_tables_and_figures_can_be_read_aloud(page: str) -> None:
    tags = Outline(page).tags
    assert all("scope" in a for tag, a in tags if tag == "th")
    assert all("aria-label" in a or a.get("aria-hidden") == "true" for tag, a in tags if tag == "svg")
    assert page.count("<figure") == page.count("<figcaption")


def test_names_are_escaped_wherever_they_come_from(tmp_path: Path) -> None:
    labels = {NASTY: (NASTY, "<img src=x onerror=alert(2)>"), "device": LABELS["device"]}
    folders = [
        write_run(tmp_path / f"<b>{i}", method, 0, {NASTY: 0.7, "device": 0.8}, labels=labels, name=NASTY,
                  subjects=[NASTY, "s2"], trees=0.5, how={"kind": NASTY})
        for i, method in enumerate(("smooth-distill", NASTY))
    ]  # fmt: skip
    page = report(folders, tmp_path / "out.html").read_text()
    tags = {tag for tag, _ in Outline(page).tags}
    assert not tags & {"script", "img", "b>0"}
    assert html.escape(NASTY) in page
    for drawing in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ElementTree.fromstring(drawing)


def test_every_number_of_a_leaky_split_is_marked_and_no_other(tmp_path: Path) -> None:
    clean, leaky = write_run(tmp_path / "a"), write_run(tmp_path / "b", split=LEAKY_SPLIT)
    page = report([clean, leaky], tmp_path / "out.html").read_text()
    first, second = (re.search(rf'<section id="g{i}">.*?</section>', page, re.DOTALL) for i in (1, 2))
    assert first
    assert second
    assert LEAK not in first.group()
    assert "†" not in first.group()
    numbers = re.findall(r"<td[^>]*><b>.*?</td>", second.group(), re.DOTALL)
    assert len(numbers) == 16
    assert all("†" in number and LEAK in number for number in numbers)
    scored = [c for c in re.findall(r"<figcaption>.*?</figcaption>", second.group()) if "accuracy" in c or " on " in c]
    assert len(scored) >= 8
    assert all(LEAK in caption for caption in scored)
    assert page.count("<h2>") == 2
    assert LEAK in page[: page.index("<section")]


def test_one_seed_says_that_its_interval_is_over_subjects(tmp_path: Path) -> None:
    page = report([write_run(tmp_path / "a")], tmp_path / "out.html").read_text()
    said = "All in %; one seed; 95 % interval over subjects (bootstrap, widened by Student's t). Always"
    assert said in plain_text(page)


def test_one_subject_says_that_its_intervals_are_over_seeds_and_one_run_on_it_that_it_has_none(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / str(seed), seed=seed, subjects=["1600"]) for seed in (0, 1)]
    both, one = (plain_text(report(at, tmp_path / "out.html").read_text()) for at in (runs, runs[:1]))
    assert "All in %; mean over 2 seeds; 95 % interval over seeds (bootstrap, widened by Student's t)" in both
    assert "All in %; one seed; no interval where there is one seed and one test subject. Always" in one


def test_a_bare_card_and_runs_without_curves_still_make_a_page(tmp_path: Path) -> None:
    at = write_run(tmp_path / "a", subjects=["only"])
    (at / "data.json").write_text('{"name": "mine", "digest": "0"}')
    (at / "metrics.jsonl").write_text("")
    page = report([at], tmp_path / "out.html").read_text()
    assert "These runs did not score training windows" in page


def test_the_page_goes_into_a_folder_or_a_file_and_says_where(tmp_path: Path, runs: list[Path]) -> None:
    assert report(runs[:1], tmp_path) == tmp_path / "report.html"
    assert report(runs[:1], tmp_path / "new" / "x.html").is_file()


def test_the_page_of_the_same_runs_is_the_same_to_the_byte(tmp_path: Path, runs: list[Path], page: str) -> None:
    assert report([*runs, runs[0]], tmp_path / "again.html").read_text() == page


def test_a_page_that_cannot_be_written_is_an_error_of_one_line(tmp_path: Path, runs: list[Path]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"page\.html: cannot be written"):
        report(runs, tmp_path / "file" / "page.html")


def test_no_runs_and_no_run_are_errors_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run was named"):
        report([], tmp_path / "out.html")
    with pytest.raises(UserError, match=re.escape(f"{tmp_path} is not a finished run: it has no recipe.json")):
        report([tmp_path], tmp_path / "out.html")


def test_the_summary_has_a_row_for_every_model_with_plain_values(runs: list[Path]) -> None:
    rows = json.loads(json.dumps(summary(runs)))
    assert [(r["method"], r["model"], r["seeds"]) for r in rows] == [
        ("smooth-distill", "student", 2), ("smooth-distill", "ema", 2), ("hard-sharing", "student", 2),
        ("sdd", "student", 2), ("trees", "trees", 2),
    ]  # fmt: skip
    assert rows[0]["bytes"] == 4 * rows[0]["parameters"]
    over = {metric: score["over"] for metric, score in rows[0]["scores"]["exercise"].items()}
    assert over == {"accuracy": "subjects and seeds", "macro_f1": "seeds", "weighted_f1": "seeds", "ece": "seeds"}
    assert rows[-1]["bytes"] is None


def test_the_terminal_table_fits_eighty_columns_with_no_number_cut(runs: list[Path]) -> None:
    out = io.StringIO()
    print_table(runs, Console(file=out, width=80))
    said = out.getvalue()
    assert "…" not in said
    row = summary(runs)[0]["scores"]["exercise"]["accuracy"]
    assert f"{100 * row['low']:.1f}–{100 * row['high']:.1f}" in said


def test_the_terminal_table_marks_a_leak_and_takes_no_markup_from_names(tmp_path: Path) -> None:
    at = write_run(tmp_path / "a", "[red]x[/]", split=LEAKY_SPLIT)
    out = io.StringIO()
    print_table([at], Console(file=out, width=200))
    said = out.getvalue()
    accuracy = summary([at])[0]["scores"]["exercise"]["accuracy"]["mean"]
    assert f"{100 * accuracy:.1f}†" in said
    assert LEAK in said
    assert "[red]x[/]" in said


class Inner(Spec):
    """A part that may be chosen."""

    kind: ClassVar[str] = "inner"
    rate: float = 1.0
    names: tuple[str, ...] = ()


class Other(Spec):
    """Another such part."""

    kind: ClassVar[str] = "other"
    path: str = ""


class Outer(Spec):
    """A recipe in small."""

    kind: ClassVar[str] = "outer"
    part: Inner | Other = Inner()
    extra: Inner | None = None
    steps: int | None = None
    flag: bool = True


@pytest.mark.parametrize(
    "spec",
    [
        Outer(),
        Outer(part=Other(path="a folder/with 'quotes'"), flag=False, steps=3),
        Outer(part=Inner(rate=-0.5, names=("a b", "c")), extra=Inner(rate=1e-7)),
    ],
)
def test_the_command_of_a_recipe_makes_the_same_recipe_again(spec: Outer) -> None:
    words = shlex.split(command(dump(spec), "runs/x y"))
    assert words[:3] == ["limbeck", "train", "outer"]
    assert words[-2:] == ["--out", "runs/x y"]
    assert override(Outer(), arguments(words[3:-2])) == spec


def test_counts_and_times_are_short() -> None:
    assert [size(n) for n in (None, 12, 16_212, 4_287_887)] == ["–", "12", "16.2 k", "4.29 M"]
    assert [duration(s) for s in (41.4, 725, 7380)] == ["41 s", "12 min 5 s", "2 h 3 min"]


MEASURE = """<!doctype html><meta name="color-scheme" content="light dark"><body><script>
const page = PAGE, said = [];
for (const width of [360, 390, 1200]) {
  const frame = document.createElement("iframe");
  frame.style.cssText = `width:${width}px;height:900px;border:0`;
  frame.srcdoc = page;
  frame.onload = () => {
    const at = frame.contentDocument, root = at.documentElement, body = frame.contentWindow.getComputedStyle(at.body);
    at.querySelectorAll("details").forEach(d => d.open = true);
    const label = frame.contentWindow.getComputedStyle(at.querySelector("svg.chart .name"));
    said.push({width, inner: root.clientWidth, scroll: root.scrollWidth, paper: body.backgroundColor, ink: label.fill});
    if (said.length == 3) document.body.innerHTML = "<pre id=said>" + JSON.stringify(said) + "</pre>";
  };
  document.body.append(frame);
}
</script>"""


def chromium(address: Path, profile: Path, *flags: str) -> tuple[str, str]:
    """The page's DOM as headless Chromium has it in the end, and what the browser said on the console."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed, so the page was not opened in a browser")
    done = subprocess.run(
        [program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         f"--user-data-dir={profile}", "--enable-logging=stderr", "--v=0", "--window-size=1300,1000",
         *flags, "--dump-dom", address.as_uri()],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


@pytest.mark.parametrize(("scheme", "dark"), [("1", False), ("0", True)])
def test_a_browser_shows_it_without_complaint_on_phone_and_desk_by_day_and_night(
    tmp_path: Path, page: str, scheme: str, dark: bool
) -> None:
    outer = tmp_path / "measure.html"
    quoted = json.dumps(page).replace("</", "<\\/")
    outer.write_text(MEASURE.replace("PAGE", quoted, 1))
    dom, console = chromium(outer, tmp_path / "profile", f"--blink-settings=preferredColorScheme={scheme}")
    assert console == ""
    found = re.search(r'<pre id="said">(.*?)</pre>', dom)
    assert found
    said = json.loads(html.unescape(found.group(1)))
    assert {s["width"] for s in said} == {360, 390, 1200}
    for one in said:
        assert one["scroll"] <= one["inner"], f"the page scrolls sideways at {one['width']} px"
        paper, ink = (sum(map(int, re.findall(r"\d+", one[k])[:3])) for k in ("paper", "ink"))
        assert (paper < ink) is dark, "the page and the text of its charts follow the scheme"


@pytest.fixture(scope="module")
def heart_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of two strategies with two seeds each."""
    at = tmp_path_factory.mktemp("hearts")
    return report(heart_family(at / "runs"), at / "report.html").read_text()


def test_heart_rates_are_told_in_bpm_with_plots_instead_of_confusions(heart_page: str, tmp_path: Path) -> None:
    runs = heart_family(tmp_path)
    text = plain_text(heart_page)
    heads = [plain_text(h).strip() for h in re.findall(r"<h3.*?</h3>", heart_page)]
    assert heads == [
        "Scores on the test", "Learning curves", "Over-fitting", "Errors of real values", "Subject by subject", "Size",
        "Data", "Recipe", "Environment", "Reproduce", "Cite",
    ]  # fmt: skip
    both = [json.loads((at / "scores.json").read_text()) for at in runs if at.name.startswith("dkd")]
    values = [s["models"]["student"]["parts"]["test"]["heart rate"] for s in both]
    for key, scale, places in (("mae", 1, 2), ("rmse", 1, 2), ("r", 1, 3), ("within_5", 100, 1)):
        assert f"<b>{scale * sum(v[key] for v in values) / 2:.{places}f}</b>" in heart_page
    for said in (
        "MAE bpm", "RMSE bpm", "within 5 bpm %", "All in the units of the heads; mean over 2 seeds", "Validation MAE",
        "Always answering the median would be off by", "student is within 5 bpm of what teacher says on",
        "validation less training MAE. At the end: dkd +", "Bland-Altman plots", "heart rate over time",
        "Test MAE on heart rate by activity, bpm; hardest: run", "Test MAE on heart rate by subject, bpm; hardest:",
        "0.5–4.0 Hz, order 4, zero-phase", "bpm (best mean validation MAE)", "truths in 95 % interval %",
    ):  # fmt: skip
        assert said in text, said
    for absent in ("commonest class", "accuracy", "Confusion"):
        assert absent not in text, absent
    assert len(heart_page) < 200_000


def test_a_page_of_heart_rates_is_sound(heart_page: str) -> None:
    test_tags_are_closed_and_every_drawing_is_well_formed(heart_page)
    test_links_lead_to_places_of_the_page_and_ids_are_unique(heart_page)
    test_tables_and_figures_can_be_read_aloud(heart_page)
    test_the_page_loads_nothing(heart_page)


def test_classes_and_heart_rates_share_a_page(tmp_path: Path) -> None:
    runs = heart_family(tmp_path, mixed=True)
    page = report(runs, tmp_path / "out.html").read_text()
    text = plain_text(page)
    for said in (
        "Confusion matrices", "Errors of real values", "accuracy %", "MAE bpm", "Validation accuracy and MAE",
        "Always answering the commonest class would score 5.6", "Always answering the median would be off by",
        "of other scores than accuracy and MAE over seeds alone",
    ):  # fmt: skip
        assert said in text, said
    out = io.StringIO()
    print_table(runs, Console(file=out, width=200))
    row = summary(runs)[0]["scores"]["heart rate"]["mae"]
    assert f"{row['low']:.2f}–{row['high']:.2f}" in out.getvalue()


def test_every_number_of_a_leaky_split_of_heart_rates_is_marked(tmp_path: Path) -> None:
    page = report([write_heart_run(tmp_path / "a", split=LEAKY_SPLIT)], tmp_path / "out.html").read_text()
    captions = re.findall(r"<figcaption>.*?</figcaption>", page)
    scored = [c for c in captions if "MAE" in c or "bias" in c]
    assert len(scored) >= 9
    assert all(LEAK in caption for caption in scored)
    assert all("†" in number for number in re.findall(r"<td[^>]*><b>.*?</td>", page, re.DOTALL))


def test_a_run_on_one_subject_without_kept_answers_still_makes_a_page(tmp_path: Path) -> None:
    page = report([write_heart_run(tmp_path / "a", subjects=["S1"], traced=False)], tmp_path / "out.html").read_text()
    assert "Bland-Altman" not in page
    assert "Always answering" not in page


@pytest.mark.parametrize(("scheme", "dark"), [("1", False), ("0", True)])
def test_a_browser_shows_heart_rates_on_phone_and_desk_by_day_and_night(
    tmp_path: Path, heart_page: str, scheme: str, dark: bool
) -> None:
    test_a_browser_shows_it_without_complaint_on_phone_and_desk_by_day_and_night(tmp_path, heart_page, scheme, dark)


@pytest.fixture(scope="module")
def face_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of three methods with two seeds each, on faces of two sets."""
    at = tmp_path_factory.mktemp("faces")
    return report(face_family(at / "runs", seeds=(0, 1), images=300, every=True), at / "report.html").read_text()


def test_images_of_as_many_people_are_called_images_and_nobody_is_listed(face_page: str) -> None:
    outline = Outline(face_page)
    ids = {a["id"] for _, a in outline.tags if "id" in a}
    assert "subjects1" not in ids
    assert {"labels1", "scores1", "data1"} <= ids
    text = re.sub(r"<[^>]+>", " ", face_page)
    assert "600 images" in text
    assert "95 % interval over images and seeds" in text
    assert "window" not in text
    assert "000017.jpg" not in text
    assert "Images by age" in text
    assert "48 × 48 pixels" in text


def test_ordered_classes_have_their_one_off_accuracy_and_error(face_page: str) -> None:
    text = " ".join(re.sub(r"<[^>]+>", " ", face_page).split())
    assert "accuracy % one-off % MAE years macro-F1 %" in text


def test_faces_are_told_by_data_set_with_what_each_labels(face_page: str) -> None:
    text = " ".join(re.sub(r"<[^>]+>", " ", face_page).split())
    assert "Accuracy on the images of the test of each data set that labels a task, mean over seeds" in text
    assert "What each data set labels data set age gender expression utkface 1,484 16 missing 1,484" in text
    assert "hidden from training" in text
    assert "utkface: copies of another image, left out: 74" in text


def test_a_page_of_faces_is_sound(face_page: str) -> None:
    test_tags_are_closed_and_every_drawing_is_well_formed(face_page)
    test_the_page_loads_nothing(face_page)
    test_links_lead_to_places_of_the_page_and_ids_are_unique(face_page)
    test_tables_and_figures_can_be_read_aloud(face_page)


@pytest.mark.parametrize(("scheme", "dark"), [("1", False), ("0", True)])
def test_a_browser_shows_faces_on_phone_and_desk_by_day_and_night(
    tmp_path: Path, face_page: str, scheme: str, dark: bool
) -> None:
    test_a_browser_shows_it_without_complaint_on_phone_and_desk_by_day_and_night(tmp_path, face_page, scheme, dark)


def test_the_terminal_table_of_ordered_classes_has_three_columns(tmp_path: Path) -> None:
    out = io.StringIO()
    print_table([write_face_run(tmp_path / "a", images=300)], Console(file=out, width=120))
    assert "one-off %" in out.getvalue()
    assert "MAE years" in out.getvalue()


def test_many_tasks_have_one_column_each_where_there_is_no_room(tmp_path: Path) -> None:
    at = write_face_run(tmp_path / "a", images=300)
    out = io.StringIO()
    print_table([at], Console(file=out, width=80))
    said = out.getvalue()
    assert "MAE" not in said
    for task in ("age", "gender", "expression"):
        row = summary([at])[0]["scores"][task]["accuracy"]
        assert f"{100 * row['low']:.1f}–{100 * row['high']:.1f}" in said


def test_a_few_hundred_subjects_are_drawn_and_more_are_not(tmp_path: Path) -> None:
    for count, drawn in ((150, True), (250, False)):
        run = write_run(tmp_path / str(count), subjects=[str(i) for i in range(count)], labels=LABELS)
        page = report([run], tmp_path / f"{count}.html").read_text()
        assert ('id="subjects1"' in page) is drawn
        assert f"<td>{count * 216:,}</td>" in page
        assert f">{count}</td>" in page, "counted and not listed"


def test_what_the_steps_cost_is_told_where_it_is_known(tmp_path: Path) -> None:
    at = write_run(tmp_path / "run")
    found = about(load(at))
    assert (found["step"], found["peak"], found["remembered"]) == ("–", "–", "")
    told = {"steps": 9, "step": 0.0123, "before": 1, "peak": 300 * 2**20, "remembered": {"t": 3 * 2**20}}
    (at / "cost.json").write_text(json.dumps(told))
    found = about(load(at))
    assert (found["step"], found["peak"], found["remembered"]) == ("12 ms", "300 MB", "3.0 MB by t")
    page = plain_text(report([at], tmp_path / "page.html").read_text())
    assert "12 ms" in page
    assert "3.0 MB by t" in page
