"""What a report shows of generated labels: how many, how good where people's are hidden, and of which data set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from limbeck.bars import bar_chart
from limbeck.charts import Mark, legend
from limbeck.compare import Entry, Group
from limbeck.figures import Figure, Panel, style
from limbeck.labelled import Summary, Told, read, summaries, tellable
from limbeck.measures import Measure, Measures
from limbeck.statistics import Estimate

DRAWN = ("coverage", "held.accuracy_kept")
"""What has bars."""


@dataclass(frozen=True)
class Row:
    """A task of a method, in a round: means over its seeds; rule and threshold are those of the first."""

    entry: Entry
    summary: Summary
    estimates: Sequence[Estimate | None]

    @property
    def first(self) -> Told:
        """Of the first seed."""
        return self.summary.told[0]

    @property
    def asked(self) -> int:
        """Of how many cells a label was asked."""
        return round(fmean(told.asked for told in self.summary.told))

    @property
    def kept(self) -> int:
        """How many were given one."""
        return round(fmean(told.kept for told in self.summary.told))

    @property
    def threshold(self) -> str:
        """The confidence from which on labels were kept."""
        found = self.first.threshold
        if isinstance(found, Mapping):
            known = [value for value in found.values() if value is not None]
            return f"{min(known):.3f} to {max(known):.3f} by class" if known else "none was sure enough"
        return "none was sure enough" if found is None else f"{found:.3f}"


@dataclass(frozen=True)
class Section:
    """`rows` of the table with its `measures`; `bars`; the `views` that teachers saw; and by method, set and task what
    was asked in the last round of the first seed, with the labels that came out."""

    measures: Measures
    rows: Sequence[Row]
    several: bool
    bars: Panel
    views: Sequence[str]
    asked: Sequence[tuple[str, str, str, int, int, str]]


def section(group: Group) -> Section | None:
    """None where no run of a group generated labels."""
    found = [(e, [told for run in e.runs if (told := read(run.at))]) for e in group.students]
    each = [(entry, one) for entry, runs in found for one in summaries(runs)]
    if not each:
        return None
    order = list(dict.fromkeys((one.task, one.round) for _, one in each))
    each.sort(key=lambda pair: order.index((pair[1].task, pair[1].round)))
    measures = tellable([one for _, one in each])
    rows = [Row(entry, one, [one.estimate(m) for m in measures]) for entry, one in each]
    last = {(row.entry.name, row.summary.task): row for row in rows}
    asked = [
        (row.entry.name, name, row.summary.task, one.asked, one.kept, _counts(one.labels))
        for row in last.values()
        for name, one in row.first.by_set.items()
    ]
    views = next(runs[0].rounds[-1].views for _, runs in found if runs)
    several = any(row.summary.round > 1 for row in rows)
    return Section(measures, rows, several, _bars(measures, list(last.values())), views, asked)


def _counts(labels: Mapping[str, int]) -> str:
    """The most frequent first."""
    return ", ".join(f"{label} {n:,}" for label, n in sorted(labels.items(), key=lambda item: -item[1]) if n)


def _bars(measures: Measures, rows: Sequence[Row]) -> Panel:
    """A figure for each of `DRAWN` that is told: of each task a bar for each method."""
    drawn = [Figure(f"{m.name[0].upper()}{m.name[1:]}, %", _chart(m, rows)) for m in measures if m.key in DRAWN]
    entries = list({row.entry.name: row.entry for row in rows}.values())
    return Panel(legend([(e.name, style(e)) for e in entries]), drawn)


def _chart(measure: Measure, rows: Sequence[Row]) -> str:
    tasks: dict[str, list[Mark]] = {}
    for row in rows:
        found = row.summary.estimate(measure)
        if found:
            ends = (None if v is None else measure.scale * v for v in (found.low, found.high))
            mark = Mark(row.entry.name, style(row.entry), measure.scale * found.mean, *ends)
            tasks.setdefault(row.summary.task, []).append(mark)
    return bar_chart(list(tasks.items()), measure.name)
