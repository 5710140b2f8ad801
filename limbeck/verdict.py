"""What a comparison says in a sentence, and what to keep in mind when reading it; both from the numbers alone."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from limbeck import words
from limbeck.compare import LEAK, Entry, Group, difference, plain
from limbeck.finished import ValueScores
from limbeck.measures import Measure
from limbeck.statistics import Difference, Estimate
from limbeck.values import HELD

FEW = 5
"""Fewer test subjects than this are too few to speak for people at large."""
UNLIKE = 0.005
"""Scores that are less apart than this (of errors, as a share of them) are not worth a word."""
ASTRAY = 0.03
"""By how much the share of truths that intervals hold may be off."""


def against(gap: Difference, name: str, measure: Measure) -> str:
    """A difference in words, as `1.3 points below NAME (−3.0 to +0.4)`."""
    size = measure.difference(gap.mean)
    level = not any(figure in size for figure in "123456789")
    said = f"level with {name}" if level else f"{size} {'above' if gap.mean > 0 else 'below'} {name}"
    if gap.low is None or gap.high is None:
        return said
    return f"{said} ({measure.number(gap.low, '+')} to {measure.number(gap.high, '+')})"


def reference(group: Group) -> Entry | None:
    """What the student is held against: one of like size that learnt from labels alone; else the best other method.

    None where no other method was tested on all of the tasks.
    """
    lead, *others = group.students
    rivals = [e for e in others if all(e.scores(t) for t in group.tasks if lead.scores(t))]
    alike = [e for e in rivals if plain(e)]
    if alike and not plain(lead):
        return min(alike, key=lambda e: abs((e.size.parameters or 0) - (lead.size.parameters or 0)))
    return max(rivals, key=lambda e: sum(_gain(group, e, lead, t) for t in group.tasks), default=None)


def _mean(entry: Entry, task: str, measure: Measure) -> Estimate:
    return entry.estimate(task, measure) or Estimate(0.0)


def _gain(group: Group, one: Entry, other: Entry, task: str) -> float:
    """By how much one entry does better than another on a task."""
    judge = group.measures(task)[0]
    return judge.gain(_mean(one, task, judge).mean, _mean(other, task, judge).mean)


def verdict(group: Group) -> str:
    """One sentence: what the student scores, how that stands to the reference, and whether distillation helped.

    It says that something helps, or harms, only where the paired 95 % interval of the difference excludes 0.
    """
    lead, other = group.entries[0], reference(group)
    judges = {t: judge for t in group.tasks for judge in group.measures(t)[:1] if lead.estimate(t, judge)}
    tasks = list(judges)
    gaps = {t: difference(lead, other, t) for t in tasks} if other else {}
    clauses = []
    for task, judge in judges.items():
        estimate = _mean(lead, task, judge)
        interval = f" ({judge.span(estimate.low, estimate.high)})" if estimate.over else ""
        held = f", {against(gaps[task], other.name, judge)}" if other else ""
        clauses.append(f"{judge.said}{judge.text(estimate.mean)}{interval} on {task}{held}")
    who = "The student" if len(group.students) == 1 else f"The {lead.name} student"
    leak = f" [{LEAK}]" if group.leaky else ""
    classical = _classical(group, lead, judges)
    return f"{who} scores {listing(clauses, ', and ')}{leak}; {_conclusion(lead, other, gaps)}{classical}."


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
    found = [f"{verb} on {listing(which)}" for verb, which in ((up, better), (down, worse)) if which]
    return f"{subject} {' and '.join(found)}" + (f", and {none} on {listing(unsure)}" if unsure else "")


def _classical(group: Group, lead: Entry, judges: Mapping[str, Measure]) -> str:
    """The classical baseline is named where it does better, with whether that is shown: it is worth knowing first."""
    for entry in (e for e in group.entries if e.size.parameters is None):
        gaps = {t: difference(entry, lead, t) for t in judges if entry.scores(t)}
        ahead = [t for t, g in gaps.items() if g.verdict == "better"]
        if ahead:
            # A unit that follows on itself is said once.
            units = [judges[t].step for t in ahead] + [""]
            sizes = [judges[t].number(abs(gaps[t].mean)) for t in ahead]
            by = [
                f"{t} by {size} {'' if units[n] == units[n + 1] else units[n]}".rstrip()
                for n, (t, size) in enumerate(zip(ahead, sizes, strict=True))
            ]
            return f"; {entry.name} do better on {listing(by)}"
        means = {t: _mean(lead, t, judges[t]).mean for t in gaps}
        higher = [
            f"{judges[t].said}{judges[t].text(_mean(entry, t, judges[t]).mean)} on {t}"
            for t, g in gaps.items()
            if judges[t].gain(means[t] + g.mean, means[t]) > UNLIKE
        ]
        if higher:
            ways = sorted({"higher" if judges[t].higher else "lower" for t in gaps})
            return f"; {entry.name} score {listing(higher)}, {' or '.join(ways)} but not shown to be better"
    return ""


def listing(words: Sequence[str], last: str = " and ") -> str:
    """As `a`, `a and b`, `a, b and c`."""
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
        said.append(f"No training {group.samples[:-1]} has {listing(labels)} ({task}), so these cannot be recognised.")
    said += [f"{line}." for task in group.tasks for line in _unsure(group.entries[0], task, group.samples)]
    subjects = words.subjects(audits[0]["test"])
    if subjects < FEW:
        count = "One subject is" if subjects == 1 else f"Only {subjects} subjects are"
        said.append(f"{count} in the test; another draw may look different.")
    single = [e.name for e in group.students if len(e.seeds) == 1]
    if single:
        said.append(f"One seed of {listing(single)}: the luck of training is not in its intervals.")
    again = [e.name for e in group.students if len(e.seeds) < len(e.runs)]
    if again:
        said.append(f"Several runs of {listing(again)} have one seed: the last of them counts.")
    if len({frozenset(e.seeds) for e in group.students}) > 1:
        said.append("Not all methods were run with the same seeds: a difference is over those that both have, if any.")
    rules = {run.rule for run in group.runs}
    if len(rules) > 1:
        said.append(f"Snapshots were selected by different rules ({'; '.join(sorted(rules))}): not a fair comparison.")
    if len({max(row["step"] for row in run.rows) for run in group.runs if run.rows}) > 1:
        said.append("Not all methods were trained for equally long (see the recipe).")
    return said


def _unsure(entry: Entry, task: str, samples: str) -> list[str]:
    """What a model's own intervals leave to be wished for."""
    held = [s.coverage for s in entry.scores(task) if isinstance(s, ValueScores) and s.coverage is not None]
    if not held or abs(fmean(held) - HELD) <= ASTRAY:
        return []
    how = "surer than it may be" if fmean(held) < HELD else "less sure than it could be"
    share = f"{100 * fmean(held):.0f} % of {samples}"
    return [f"The 95 % intervals of {entry.name} hold the true {task} in {share}: it is {how}"]
