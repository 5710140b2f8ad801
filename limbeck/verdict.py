"""What a comparison says in a sentence, and what to keep in mind when reading it; both from the numbers alone."""

from collections.abc import Sequence

from limbeck.charts import signed
from limbeck.compare import LEAK, Entry, Group, difference, plain
from limbeck.statistics import Difference, Estimate

FEW = 5
"""Fewer test subjects than this are too few to speak for people at large."""
UNLIKE = 0.005
"""Accuracies that are less apart than this are not worth a word."""


def percent(value: float) -> str:
    """A share as a percentage with one decimal."""
    return f"{100 * value:.1f}"


def bounds(estimate: Estimate) -> str:
    """The interval as `66.0–75.9`, in percent; empty where there is none."""
    if estimate.low is None or estimate.high is None:
        return ""
    return f"{percent(estimate.low)}–{percent(estimate.high)}"


def against(gap: Difference, name: str) -> str:
    """A difference in percentage points, as `1.3 points below NAME (−3.0 to +0.4)`."""
    if abs(gap.mean) < UNLIKE / 10:
        said = f"level with {name}"
    else:
        said = f"{percent(abs(gap.mean))} points {'above' if gap.mean > 0 else 'below'} {name}"
    if gap.low is None or gap.high is None:
        return said
    return f"{said} ({signed(100 * gap.low)} to {signed(100 * gap.high)})"


def reference(group: Group) -> Entry | None:
    """What the student is held against: one of like size that learnt from labels alone; else the best other method.

    None where no other method was tested on all of the tasks.
    """
    lead, *others = group.students
    rivals = [e for e in others if all(e.scores(t) for t in group.tasks if lead.scores(t))]
    alike = [e for e in rivals if plain(e)]
    if alike and not plain(lead):
        return min(alike, key=lambda e: abs((e.size.parameters or 0) - (lead.size.parameters or 0)))
    return max(rivals, key=lambda e: sum(_accuracy(e, t).mean for t in group.tasks), default=None)


def _accuracy(entry: Entry, task: str) -> Estimate:
    return entry.estimate(task, "accuracy") or Estimate(0.0)


def verdict(group: Group) -> str:
    """One sentence: what the student scores, how that stands to the reference, and whether distillation helped.

    It says that something helps, or harms, only where the paired 95 % interval of the difference excludes 0.
    """
    lead, other = group.entries[0], reference(group)
    tasks = [t for t in group.tasks if lead.estimate(t, "accuracy")]
    gaps = {t: difference(lead, other, t) for t in tasks} if other else {}
    clauses = []
    for task in tasks:
        estimate = _accuracy(lead, task)
        interval = f" ({bounds(estimate)})" if estimate.over else ""
        held = f", {against(gaps[task], other.name)}" if other else ""
        clauses.append(f"{percent(estimate.mean)}\u00a0%{interval} on {task}{held}")
    who = "The student" if len(group.students) == 1 else f"The {lead.name} student"
    leak = f" [{LEAK}]" if group.leaky else ""
    return (
        f"{who} scores {_list(clauses, ', and ')}{leak}; {_conclusion(lead, other, gaps)}{_trees(group, lead, tasks)}."
    )


def _conclusion(lead: Entry, other: Entry | None, gaps: dict[str, Difference]) -> str:
    if other is None:
        said = "whether distillation helped" if not plain(lead) else "what another method would score"
        return f"no baseline was run on the same split, so these runs cannot say {said}"
    distils = plain(other) and not plain(lead)
    subject, up, down, none = (
        ("distillation", "helped", "did harm", "no help from distillation is shown")
        if distils
        else (lead.name, "is better", "is worse", f"no difference to {other.name} is shown")
    )
    better, worse = ([t for t, g in gaps.items() if g.verdict == v] for v in ("better", "worse"))
    unsure = [t for t in gaps if t not in (*better, *worse)]
    if not better and not worse:
        return f"{none} here"
    if not unsure and not (better and worse):
        return f"{subject} {up if better else down} here"
    found = [f"{verb} on {_list(which)}" for verb, which in ((up, better), (down, worse)) if which]
    return f"{subject} {' and '.join(found)}" + (f", and {none} on {_list(unsure)}" if unsure else "")


def _trees(group: Group, lead: Entry, tasks: Sequence[str]) -> str:
    """The classical baseline is named where it scores higher, with whether that is shown: it is worth knowing first."""
    for entry in (e for e in group.entries if e.size.parameters is None):
        gaps = {t: difference(entry, lead, t) for t in tasks if entry.scores(t)}
        ahead = [f"{t} by {percent(g.mean)}" for t, g in gaps.items() if g.verdict == "better"]
        if ahead:
            return f"; {entry.name} do better on {_list(ahead)} points"
        higher = [f"{percent(_accuracy(entry, t).mean)}\u00a0% on {t}" for t, g in gaps.items() if g.mean > UNLIKE]
        if higher:
            return f"; {entry.name} score {_list(higher)}, higher but not shown to be better"
    return ""


def _list(words: Sequence[str], last: str = " and ") -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + last + words[-1]


def cautions(group: Group) -> list[str]:
    """What limits the comparison, worst first."""
    said = []
    audits = [run.splits["audit"] for run in group.runs]
    if group.leaky:
        said.append(
            f"{LEAK.capitalize()}. Scores flatter: they do not tell how the model does on a person it has not met."
        )
    both = sum(n for pair, n in audits[0].get("overlapping windows", {}).items() if "train" in pair)
    if both and not group.leaky:
        said.append(
            f"{both} windows of validation and test share samples with training windows: they cross recordings."
        )
    absent = {task: labels for task, labels in audits[0].get("classes absent from training", {}).items() if labels}
    for task, labels in absent.items():
        said.append(f"No training window has {_list(labels)} ({task}), so these cannot be recognised.")
    subjects = len(audits[0]["test"]["subjects"])
    if subjects < FEW:
        count = "One subject is" if subjects == 1 else f"Only {subjects} subjects are"
        said.append(f"{count} in the test; another draw may look different.")
    single = [e.name for e in group.students if len(e.seeds) == 1]
    if single:
        said.append(f"One seed of {_list(single)}: the luck of training is not in its intervals.")
    again = [e.name for e in group.students if len(e.seeds) < len(e.runs)]
    if again:
        said.append(f"Several runs of {_list(again)} have one seed: the last of them counts.")
    if len({frozenset(e.seeds) for e in group.students}) > 1:
        said.append("Not all methods were run with the same seeds: a difference is over those that both have, if any.")
    rules = {run.rule for run in group.runs}
    if len(rules) > 1:
        said.append(f"Snapshots were selected by different rules ({'; '.join(sorted(rules))}): not a fair comparison.")
    if len({max(row["step"] for row in run.rows) for run in group.runs if run.rows}) > 1:
        said.append("Not all methods were trained for equally long (see the recipe).")
    return said
