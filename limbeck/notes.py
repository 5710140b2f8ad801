"""What is said beside the table of a report: what its numbers are, what chance would score, how teachers agree."""

from statistics import fmean

from limbeck import truth
from limbeck.compare import Group
from limbeck.finished import ClassScores, DepthScores, DirectionScores, PixelScores
from limbeck.measures import alike
from limbeck.metrics import NEAR
from limbeck.pixels import ANGLES, RATIOS
from limbeck.verdict import listing


def heads(group: Group) -> dict[str, list[str]]:
    """The names of a task's measures; with their units, where these are not the same for all tasks."""
    told = {t: group.measures(t) for t in group.tasks}
    return {t: [m.name if alike(told.values()) else m.head for m in each] for t, each in told.items()}


def note(group: Group) -> str:
    """What the numbers of a table are means of, and what their intervals are over."""
    judges = [group.measures(t)[0] for t in group.tasks]
    pairs = zip(group.tasks, judges, strict=True)
    found = [x for t, judge in pairs for e in group.entries if (x := e.estimate(t, judge))]
    seeds = sorted({len(e.scores(t)) for e in group.students for t in group.tasks if e.scores(t)})
    over = sorted({x.over for x in found if x.over}, key=len, reverse=True)
    unit = alike(group.measures(t) for t in group.tasks)
    said = f"in {unit or 'the units of the heads'}; "
    said += f"mean over {' or '.join(map(str, seeds))} seeds" if seeds[-1:] > [1] else "one seed"
    if over:
        told = ", or over ".join(over).replace("samples", group.samples)
        said += f"; 95 % interval over {told} (bootstrap, widened by Student's t)"
    if any("seeds" in o for o in over):
        names = listing(list(dict.fromkeys(judge.name for judge in judges)))
        said += f"; of other scores than {names} over seeds alone, where there are several"
    return said + (
        f"; no interval where there is one seed and one test {group.people[:-1]}"
        if not all(x.over for x in found)
        else ""
    )


def floors(group: Group) -> str:
    """What a model scores that learnt nothing: always the commonest class of the test, or always its median."""
    classes, values = [], []
    for task in group.tasks:
        judge, scores = group.measures(task)[0], group.entries[0].scores(task)[:1]
        for one in scores:
            if isinstance(one, ClassScores):
                share = max(map(sum, one.confusion)) / max(1, sum(map(sum, one.confusion)))
                classes.append(f"{judge.text(share)} on {task}")
            elif isinstance(one, PixelScores):
                true = [n for n in map(sum, one.confusion) if n]
                classes.append(f"{judge.text(max(true, default=0) / max(1, sum(true)) / max(1, len(true)))} on {task}")
            elif (off := truth.floor(group, task)) is not None:
                values.append(f"{judge.text(off)} on {task}")
    said = [f"Always answering the commonest class would score {', '.join(classes)}."] if classes else []
    return " ".join([*said, *([f"Always answering the median would be off by {', '.join(values)}."] if values else [])])


def agreement(group: Group) -> list[str]:
    """How often a student says what its teacher says, mean over seeds."""
    said = []
    likeness: dict[tuple[str, str], list[str]] = {}
    for task in group.tasks:
        likeness.setdefault(_like(group, task), []).append(task)
    for entry in group.students:
        for teacher in entry.runs[0].scored.agreement:
            who = "its teacher" if teacher == entry.method else teacher
            found = [run.scored.agreement.get(teacher, {}) for run in entry.runs]
            shares = {t: [v for f in found if (v := f.get(t)) is not None] for t in group.tasks}
            for (what, of), tasks in likeness.items():
                told = ", ".join(f"{100 * fmean(shares[t]):.1f} % ({t})" for t in tasks if shares[t])
                said += [f"The {entry.name} student {what.format(who)} on {told} of the {of}"] if told else []
    return said


def _like(group: Group, task: str) -> tuple[str, str]:
    """When answers to a task are taken to agree, and what the share of them is of."""
    one = next(s for e in group.entries for s in e.scores(task))
    near = {DepthScores: f"a factor of {RATIOS['delta_1']:g}", DirectionScores: f"{ANGLES['within_11']:g}°"}.get(
        type(one), f"{NEAR:g} {group.measures(task)[0].unit}".rstrip()
    )
    named = isinstance(one, (ClassScores, PixelScores))
    what = "names the class that {} names" if named else f"is within {near} of what {{}} says"
    return what, "labelled pixels" if isinstance(one, (PixelScores, DepthScores, DirectionScores)) else group.samples
