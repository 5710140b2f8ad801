"""The command line. Torch is imported by the verbs that need it, so that help is instant."""

import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console

from limbeck.errors import Interrupted, UserError
from limbeck.topology_verbs import app as topology

if TYPE_CHECKING:
    from limbeck.recipe import Recipe

Fields = Annotated[str, Parameter(allow_leading_hyphen=True, help="Values of the recipe, as --plan.epochs 20.")]

Described = Annotated[str, Parameter(allow_leading_hyphen=True, help="Fields of that kind, as --root DIR.")]

app = App(
    name="limbeck",
    help="Distils recordings and teachers into one small multi-task model.\n\nExample: limbeck demo",
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,  # `main` says how to go on
)
data = App(
    name="data",
    help="Look at recordings before training on them.\n\nExample: limbeck data describe recordings --root DIR",
)
app.command(data)
app.command(topology)
console = Console()
errors = Console(stderr=True, quiet=os.environ.get("RANK", "0") != "0")


def main() -> None:
    """Runs one verb; a user's mistake is one line and exit code 2, an interruption is 130."""
    words = [w for w in sys.argv[1:] if w != "--debug"]
    try:
        if words[:1] == ["train"] and len(words) > 2 and words[1][:1] != "-" and words[-1] in ("--help", "-h"):
            fields(words[1])
        elif words[:1] == ["data"] and len(words) > 3 and words[2][:1] != "-" and words[-1] in ("--help", "-h"):
            kind_fields(words[2])
        else:
            app(words, exit_on_error=False, print_error=False)
    except (UserError, CycloptsError, OSError) as error:
        if "--debug" in sys.argv:
            traceback.print_exc()
        errors.print(f"[red]error:[/] {_line(error)}", highlight=False, soft_wrap=True)
        sys.exit(2)
    except Interrupted as stopped:
        errors.print(f"{stopped}", highlight=False, soft_wrap=True)
        sys.exit(130)
    except KeyboardInterrupt:
        errors.print("stopped; the same command goes on where it was")
        sys.exit(130)


def _line(error: Exception) -> str:
    from rich.markup import escape

    return escape(" ".join(str(error).split()))


@app.command
def demo(*, out: Path = Path("runs/demo"), seed: int = 0) -> None:
    """The main job on real smart-watch recordings, in minutes.

    Example: limbeck demo
    """
    from limbeck.demo import demo as run

    try:
        run(out, seed, console)
    except Interrupted as stopped:
        raise Interrupted(f"{stopped}. To go on: limbeck demo --out {out} --seed {seed}") from None


@app.command
def train(
    recipe: str, /, *fields: Fields, preset: str | None = None, out: Path | None = None, tensorboard: bool = False
) -> None:
    """Trains a recipe into a run folder.

    Example: limbeck train smooth-distill --data wisdm --data.root DIR --out runs/a

    limbeck train smooth-distill --help lists the recipe's fields. What is cut goes on when the same command is given
    again.

    Parameters
    ----------
    preset
        A named set of values to start from, as recommended.
    out
        The run folder; named by the values if not given.
    tensorboard
        Write curves for TensorBoard too.
    """
    from limbeck import process, recipes
    from limbeck.config import arguments, digest

    made = recipes.make(recipe, arguments(fields), preset=preset)
    at = out or Path("runs") / f"{recipe}-{digest(made)[:8]}"
    with process.joined():
        _run(made, at, tensorboard)


def _run(recipe: "Recipe", at: Path, tensorboard: bool, shared: Path | None = None) -> None:
    from limbeck import process, report
    from limbeck.observers import Bar, TensorBoard

    done = (at / "scores.json").is_file()
    leader = process.rank() == 0
    watching = [Bar(errors), *([TensorBoard()] if tensorboard else [])] if leader else []
    try:
        recipe.run(at, watching, shared)
    except Interrupted as stopped:
        raise Interrupted(f"{stopped}. To go on: limbeck resume {at}") from None
    if leader:
        report.print_table([at], console)
        console.print(f"{'finished before, and only loaded' if done else 'trained'}: {at}", highlight=False)


@app.command
def resume(run: Path, /, *, tensorboard: bool = False) -> None:
    """Goes on with a run exactly where it was cut.

    Example: limbeck resume runs/a
    """
    from limbeck import process, recipes
    from limbeck.workers import stages

    with process.joined():
        _run(recipes.load(run), run, tensorboard, stages(run))


@app.command
def evaluate(run: Path, /, *fields: Fields, part: str = "test") -> None:
    """Scores student, teachers and the pair of them, by subject.

    Example: limbeck evaluate runs/a --data recordings --data.root DIR

    On the data of the run, or on others.

    Parameters
    ----------
    part
        train, valid or test of the run's own split, or all; other recordings are taken whole.
    """
    from limbeck.config import arguments
    from limbeck.scoring import evaluate as score
    from limbeck.scoring import print_scores

    print_scores(score(run, arguments(fields), part), console)


@app.command
def predict(
    run: Path,
    recording: Path,
    /,
    *,
    rate: float | None = None,
    time: str = "time",
    channels: str = "",
    stride: int | None = None,
    out: Path | None = None,
    plot: Path | None = None,
    domain: str | None = None,
) -> None:
    """Answers for each window of a recording, or for each image.

    Example: limbeck predict runs/a walk.csv --rate 50 --out a.csv --plot a.png

    A label has its probability, a value the interval that holds 95 % of it.

    Parameters
    ----------
    run
        A run folder, or an exported .onnx file.
    recording
        CSV or Parquet with the model's channels, by name; or an image, or a folder or zip of images.
    rate
        Hz, where the file has no time column.
    time
        The column of times.
    channels
        Columns that are the model's channels, in its order, as red,x,y,z.
    stride
        Samples from window to window; a whole one if not given.
    out
        .csv, .json or a folder for maps; else the terminal.
    plot
        .png or .svg.
    domain
        The data set to answer as; the first if not given.
    """
    from limbeck.predict import predict_file

    named = tuple(name.strip() for name in channels.split(",") if name.strip())
    predict_file(run, recording, rate, stride, out, plot, console, time, named, domain)


@app.command
def export(run: Path, /, *, to: str = "onnx", domain: str | None = None) -> None:
    """Writes the student alone, with a card of what it expects.

    Example: limbeck export runs/a --to onnx

    The file is checked against the trained student.

    Parameters
    ----------
    domain
        The data set that it answers for, where a model keeps the norms of several apart; the first if not given.
    """
    from limbeck import edge, recipes

    recipe = recipes.load(run)
    parity = edge.export_run(run, recipe.split.split(recipe.data.load()).valid, to, domain)
    console.print(f"{run / 'export' / 'student.onnx'} {parity}", highlight=False, soft_wrap=True)


@app.command
def label(run: Path, /, *fields: Fields, out: Path) -> None:
    """Labels a pool that nobody labelled, where a run is sure.

    Example: limbeck label runs/a --data images --data.root POOL --rule.target 0.95 --out labels/pool

    A label is the mean over several views. To train on them too: --data.sets images:POOL --data.sets.0.generated
    labels/pool

    Parameters
    ----------
    out
        Where labels.csv and the answers are written; what is cut goes on when the same command is given again.
    """
    from limbeck.config import arguments, nested, parse
    from limbeck.labelling import Labelling
    from limbeck.labelling import label as run_it
    from limbeck.observers import Bar

    told = run_it(run, parse(Labelling, nested(arguments(fields), {})), out, [Bar(errors)])
    for task, (asked, given, threshold) in told.items():
        sure = f", from a confidence of {threshold:.3f} on" if isinstance(threshold, float) else ""
        how = f"{given} of {asked} labelled{sure}" if asked else "all samples have a label of their own"
        console.print(f"{task}: {how}", highlight=False, markup=False)
    console.print(f"{out / 'labels.csv'}", highlight=False, soft_wrap=True)


@app.command
def bench(*models: Path, repeats: int = 300, processes: int = 3) -> None:
    """What models cost: time of an answer, memory, bytes, operations.

    Example: limbeck bench runs/a runs/b

    Parameters
    ----------
    models
        Run folders (student, its export, teachers), folders of studies (each student once), or .onnx files.
    repeats
        Answers that are timed in a process.
    processes
        Processes for each model, of which the median is told.
    """
    from limbeck.cost import bench as run

    run(models, repeats, processes, console)


@app.command
def study(study: str, /, *fields: Fields, out: Path | None = None, workers: int = 1) -> None:
    """Trains a grid of methods and seeds, and compares them.

    Example: limbeck study smooth-distill --data wisdm --data.root DIR --out runs/study --workers 2

    Parameters
    ----------
    study
        A named study, or a .json file.
    out
        The study's folder; runs/NAME if not given.
    workers
        Processes that train at once.
    """
    from limbeck.config import arguments
    from limbeck.study import run_named

    run_named(study, arguments(fields), out, workers, console)


@app.command
def report(*runs: Path, out: Path | None = None) -> None:
    """One self-contained HTML page of one or several runs.

    Example: limbeck report runs/a runs/b --out report.html

    Parameters
    ----------
    out
        The page; report.html in the first run's folder if not given.
    """
    from limbeck.report import print_table
    from limbeck.report import report as write

    if not runs:
        raise UserError("name at least one run folder, as: limbeck report runs/a")
    page = write(runs, out or runs[0] / "report.html")
    print_table(runs, console)
    console.print(f"{page}", highlight=False)


@app.command
def doctor() -> None:
    """Versions, devices, and which extras work here.

    Example: limbeck doctor
    """
    from limbeck.doctor import examine

    if not examine(console):
        sys.exit(1)


@app.command
def cite(recipe: str, /) -> None:
    """BibTeX of what a recipe, or the run in a folder, rests on.

    Example: limbeck cite smooth-distill
    """
    from limbeck import cite as sources
    from limbeck import recipes

    if Path(recipe).is_dir():
        from limbeck.config import dump

        sys.stdout.write(sources.bibtex(sources.keys_of(dump(recipes.load(Path(recipe))))))
    else:
        sys.stdout.write(sources.citation(recipe))


def fields(recipe: str) -> None:
    """Prints the fields of a recipe with their defaults, and every spec that a choice admits."""
    from limbeck.fields import print_fields
    from limbeck.recipes import make

    print_fields(make(recipe, {}), console)


def kind_fields(kind: str) -> None:
    """Prints the fields of a kind of recordings with their defaults."""
    from limbeck.fields import print_kind

    print_kind(kind, console)


@data.command(name="list")
def list_() -> None:
    """The kinds of recordings that can be read.

    Example: limbeck data list
    """
    from limbeck.fields import print_data

    print_data(console)


@data.command
def check(kind: str, /, *fields: Described) -> None:
    """What is wrong with recordings: broken lines, gaps, rates, unknown codes, subjects without a class.

    Example: limbeck data check wisdm --root DIR
    """
    from limbeck.data import inspect
    from limbeck.fields import data_spec

    found = inspect.check(data_spec(kind, fields))
    inspect.print_check(found, console)
    if found["errors"]:
        sys.exit(2)


@data.command
def describe(kind: str, /, *fields: Described) -> None:
    """Subjects, rates, labels per task and subject, gaps, and the windows and splits that would come out.

    Example: limbeck data describe recordings --root DIR

    limbeck data describe recordings --help lists the fields of that kind.
    """
    from limbeck.data import inspect
    from limbeck.fields import data_spec

    inspect.print_description(inspect.describe(data_spec(kind, fields)), console)


if __name__ == "__main__":
    main()
