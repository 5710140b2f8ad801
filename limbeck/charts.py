"""Charts as small inline SVG that takes its colours from the page, and so follows light and dark.

Every function is pure: values in, text out. Colours are the classes `s0`...`s7`; shapes stand beside them, so that
nothing is told by colour alone. Sizes are in CSS pixels at which 11 px text reads well on a phone.
"""

import html
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

WIDTH = 360
COLOURS = 8
SHAPES = ("circle", "square", "triangle", "diamond", "down", "cross")
CHARACTER = 5.8
"""Mean width of a character of 11 px text."""
Place = Callable[[float, float], tuple[float, float]]
Along = Callable[[float], float]


@dataclass(frozen=True)
class Style:
    """How a series looks: its colour and shape by `number`; a teacher's is `faint` (dashed and hollow)."""

    number: int
    faint: bool = False

    @property
    def css(self) -> str:
        """The classes of its elements."""
        colour = "truth" if self == TRUTH else f"s{self.number % COLOURS}"
        return colour + (" faint" if self.faint else "")


TRUTH = Style(-1)
"""What was true, in the colour of the text."""


@dataclass(frozen=True)
class Line:
    """A line through `points` (x, y, lowest, highest), the last two the edges of its band."""

    name: str
    style: Style
    points: Sequence[tuple[float, float, float, float]]


@dataclass(frozen=True)
class Mark:
    """A value, in the unit of its chart, with its interval where there is one."""

    name: str
    style: Style
    value: float
    low: float | None = None
    high: float | None = None


def safe(text: object) -> str:
    """Text that may stand in XML: escaped, without the control characters that no XML can hold."""
    return html.escape(re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", "�", str(text)))


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round values about `about` steps apart (1, 2, 2.5 or 5 times a power of ten) that enclose `low` and `high`."""
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-6), math.ceil(high / step - 1e-6)
    return [round(n * step, 12) for n in range(first, last + 1)]


def number(value: float) -> str:
    """A tick's value, as short as it can be."""
    return f"{value:.6g}".replace("-", "−")


def signed(value: float) -> str:
    """With one decimal, and its sign always."""
    return f"{value:+.1f}".replace("-", "−")


def shortened(text: str, width: float) -> str:
    """As much of a text as fits in so many pixels."""
    fits = max(3, int(width / CHARACTER))
    return text if len(text) <= fits else text[: fits - 1].rstrip() + "…"


def svg(width: float, height: float, label: str, parts: Sequence[str], fluid: bool = True) -> str:
    size = "" if fluid else f' width="{width:.0f}" height="{height:.0f}"'
    kind = "chart" if fluid else "chart fixed"
    inside = "".join(parts)
    box = f'viewBox="0 0 {width:.0f} {height:.0f}"{size}'
    return f'<svg class="{kind}" {box} role="img" aria-label="{safe(label)}">{inside}</svg>'


def words(x: float, y: float, text: str, css: str = "", extra: str = "", full: str = "") -> str:
    title = f"<title>{safe(full)}</title>" if full and full != text else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{css}"{extra}>{safe(text)}{title}</text>'


def rule(x1: float, y1: float, x2: float, y2: float, css: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{css}"/>'


def shape(style: Style, x: float, y: float, title: str = "", size: float = 4.0) -> str:
    """The mark of a series, about 2 `size` wide."""
    r = size
    corners = {
        "square": [(-r, -r), (r, -r), (r, r), (-r, r)],
        "triangle": [(0, -1.2 * r), (1.15 * r, 0.9 * r), (-1.15 * r, 0.9 * r)],
        "diamond": [(0, -1.35 * r), (1.35 * r, 0), (0, 1.35 * r), (-1.35 * r, 0)],
        "down": [(0, 1.2 * r), (1.15 * r, -0.9 * r), (-1.15 * r, -0.9 * r)],
        "cross": [(-r, -r / 3), (-r / 3, -r / 3), (-r / 3, -r), (r / 3, -r), (r / 3, -r / 3), (r, -r / 3),
                  (r, r / 3), (r / 3, r / 3), (r / 3, r), (-r / 3, r), (-r / 3, r / 3), (-r, r / 3)],
    }.get(SHAPES[style.number % len(SHAPES)])  # fmt: skip
    told = f"<title>{safe(title)}</title>" if title else ""
    if corners is None:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r:g}" class="mark {style.css}">{told}</circle>'
    where = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
    return f'<polygon points="{where}" class="mark {style.css}">{told}</polygon>'


def legend(names: Sequence[tuple[str, Style]]) -> str:
    """The names of the series with their line and mark, as an HTML list."""
    items = (
        f'<li><svg viewBox="0 0 30 14" width="30" height="14" aria-hidden="true">'
        f"{rule(1, 7, 29, 7, f'line {style.css}')}{shape(style, 15, 7)}</svg>{safe(name)}</li>"
        for name, style in names
    )
    return f'<ul class="legend">{"".join(items)}</ul>'


@dataclass(frozen=True)
class Frame:
    """The axes of a chart, by their ticks."""

    columns: Sequence[float]
    rows: Sequence[float]
    height: float = 216
    left: float = 42
    right: float = 10
    top: float = 20
    bottom: float = 36
    tell: Callable[[float], str] = number
    """How a column's value is written."""

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a point is drawn."""
        columns, rows, low = self.columns, self.rows, self.height - self.bottom
        return (
            self.left + (x - columns[0]) / (columns[-1] - columns[0]) * (WIDTH - self.left - self.right),
            low - (y - rows[0]) / (rows[-1] - rows[0]) * (low - self.top),
        )

    def drawn(self, across: str, unit: str = "", level: float | None = None) -> list[str]:
        """The grid with its figures; `across` names what runs along, a `level` is drawn strongly."""
        parts = [words(self.left - 36, 11, unit, "axis")] if unit else []
        for value in self.rows:
            y = self.at(self.columns[0], value)[1]
            parts.append(rule(self.left, y, WIDTH - self.right, y, "grid"))
            parts.append(words(self.left - 6, y + 3.5, number(value), "tick end"))
        if level is not None:
            y = self.at(self.columns[0], level)[1]
            parts.append(rule(self.left, y, WIDTH - self.right, y, "zero"))
        for value in self.columns:
            x, y, told = self.at(value, self.rows[0])[0], self.height - self.bottom + 15, self.tell(value)
            beyond = x + CHARACTER * len(told) / 2 > WIDTH
            parts.append(words(WIDTH if beyond else x, y, told, f"tick {'end' if beyond else 'mid'}"))
        parts.append(words((self.left + WIDTH - self.right) / 2, self.height - 4, across, "axis mid"))
        return parts


def line_chart(
    lines: Sequence[Line], label: str, across: str, unit: str = "", level: float | None = None, reach: float = 0.0
) -> str:
    """Lines over a common axis (named `across`, which goes as far as `reach` at least), each with its band; a `level`
    is held in view and drawn strongly."""
    ys = [v for line in lines for _, *values in line.points for v in values] + ([] if level is None else [level])
    xs = [point[0] for line in lines for point in line.points]
    frame = Frame(ticks(0, max(*xs, reach), 5), ticks(min(ys), max(ys)))
    parts = frame.drawn(across, unit, level)
    for line in lines:
        parts += _line(line, frame.at, unit)
    ends = ", ".join(f"{line.name} ends at {line.points[-1][1]:.3g}{unit and f' {unit}'}" for line in lines)
    return svg(WIDTH, frame.height, f"{label}: {ends}", parts)


def _line(line: Line, at: Place, unit: str) -> list[str]:
    places = [at(x, y) for x, y, _, _ in line.points]
    above, below = [at(x, h) for x, _, _, h in line.points], [at(x, l) for x, _, l, _ in line.points]
    parts = []
    if above != below:
        parts.append(f'<polygon points="{path([*above, *reversed(below)])}" class="band {line.style.css}"/>')
    parts.append(f'<polyline points="{path(places)}" class="line {line.style.css}"/>')
    marked = range(len(places)) if len(places) <= 12 else [len(places) - 1]
    for i in marked:
        x, y, *_ = line.points[i]
        said = f"{line.name}, {number(round(x, 2))}: {y:.3g}{unit and f' {unit}'}"
        parts.append(shape(line.style, *places[i], said, 3.0))
    return parts


def path(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def interval_chart(marks: Sequence[Mark], label: str, unit: str = "%", places: int = 1) -> str:
    """A row for each mark: its value and interval on a common axis, and in figures at the end."""
    left, right, row, top = min(130.0, 8 + CHARACTER * max(len(m.name) for m in marks)), 44, 26, 6
    values = [v for m in marks for v in (m.value, m.low, m.high) if v is not None]
    columns = ticks(min(values), max(values), 4)
    height = top + row * len(marks) + 22

    def at(value: float) -> float:
        return left + 6 + (value - columns[0]) / (columns[-1] - columns[0]) * (WIDTH - left - right - 12)

    parts = _columns(columns, at, top, height - 18)
    for i, m in enumerate(marks):
        y = top + row * (i + 0.5)
        parts.append(words(left - 4, y + 4, shortened(m.name, left - 4), "name end", full=m.name))
        said = f"{m.name}: {m.value:.{places}f} {unit}"
        if m.low is not None and m.high is not None:
            said += f" ({m.low:.{places}f} to {m.high:.{places}f})"
            parts.append(rule(at(m.low), y, at(m.high), y, f"bar {m.style.css}"))
            parts += [rule(at(v), y - 4, at(v), y + 4, f"bar {m.style.css}") for v in (m.low, m.high)]
        parts.append(shape(m.style, at(m.value), y, said, 4.5))
        parts.append(words(WIDTH - 2, y + 4, f"{m.value:.{places}f}", "figure end"))
    told = ", ".join(f"{m.name} {m.value:.{places}f} {unit}" for m in marks)
    return svg(WIDTH, height, f"{label}: {told}", parts)


def dot_chart(rows: Sequence[tuple[str, Sequence[Mark]]], label: str, unit: str = "%", places: int = 1) -> str:
    """A row for each name with a mark for each series, on a common axis."""
    left, right = min(110.0, 12 + CHARACTER * max(len(name) for name, _ in rows)), 10
    most = max(len(marks) for _, marks in rows)
    row, top = max(18, 5 * most + 8), 6
    values = [m.value for _, marks in rows for m in marks]
    columns = ticks(min(values), max(values), 5)
    height = top + row * len(rows) + 22

    def at(value: float) -> float:
        return left + 6 + (value - columns[0]) / (columns[-1] - columns[0]) * (WIDTH - left - right - 12)

    parts = [f'<rect x="{left}" y="{top + row * i}" width="{WIDTH - left}" height="{row}" class="stripe"/>'
             for i in range(0, len(rows), 2)]  # fmt: skip
    parts += _columns(columns, at, top, height - 18)
    for i, (name, marks) in enumerate(rows):
        middle = top + row * (i + 0.5)
        parts.append(words(left - 6, middle + 4, shortened(name, left - 6), "name end", full=name))
        # Each series has its own height in the row, so that marks of like value do not hide each other.
        for j, m in enumerate(marks):
            y = middle + 5 * (j - (len(marks) - 1) / 2)
            parts.append(shape(m.style, at(m.value), y, f"{name}, {m.name}: {m.value:.{places}f} {unit}", 3.6))
    return svg(WIDTH, height, label, parts)


def _columns(columns: Sequence[float], at: Along, top: float, bottom: float) -> list[str]:
    parts = []
    for value in columns:
        parts.append(rule(at(value), top, at(value), bottom, "grid"))
        parts.append(words(at(value), bottom + 14, number(value), "tick mid"))
    return parts
