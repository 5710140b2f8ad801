"""Bars of shares in percent, one beside another."""

from collections.abc import Sequence

from limbeck.charts import CHARACTER, WIDTH, Along, Mark, number, rule, safe, shortened, svg, words

THICK, GAP, TOP = 12, 10, 6


def bar_chart(rows: Sequence[tuple[str, Sequence[Mark]]], label: str) -> str:
    """A row for each name with a bar for each series, from 0 to 100 %, and its interval where there is one."""
    left, right = min(110.0, 12 + CHARACTER * max(len(name) for name, _ in rows)), 40
    heights = [THICK * len(marks) + GAP for _, marks in rows]
    height = TOP + sum(heights) + 22

    def at(value: float) -> float:
        return left + value / 100 * (WIDTH - left - right)

    parts = []
    for value in (0, 25, 50, 75, 100):
        parts.append(rule(at(value), TOP, at(value), height - 18, "grid"))
        parts.append(words(at(value), height - 4, number(value), "tick mid"))
    y = float(TOP)
    for (name, marks), tall in zip(rows, heights, strict=True):
        parts.append(words(left - 6, y + tall / 2 + 4, shortened(name, left - 6), "name end", full=name))
        for i, mark in enumerate(marks):
            parts += _bar(name, mark, at, y + GAP / 2 + i * THICK)
        y += tall
    told = "; ".join(f"{name}: {', '.join(f'{m.name} {m.value:.1f} %' for m in marks)}" for name, marks in rows)
    return svg(WIDTH, height, f"{label}: {told}", parts)


def _bar(name: str, mark: Mark, at: Along, y: float) -> list[str]:
    said = f"{name}, {mark.name}: {mark.value:.1f} %"
    whisker = []
    if mark.low is not None and mark.high is not None:
        said += f" ({mark.low:.1f} to {mark.high:.1f})"
        whisker = [rule(at(mark.low), y + THICK / 2, at(mark.high), y + THICK / 2, "whisker")]
    box = f'x="{at(0):.1f}" y="{y + 1:.1f}" width="{at(mark.value) - at(0):.1f}" height="{THICK - 2}"'
    end = at(max(mark.value, mark.high or 0.0)) + 4
    return [
        f'<rect {box} class="block {mark.style.css}"><title>{safe(said)}</title></rect>',
        *whisker,
        words(end, y + THICK - 2.5, f"{mark.value:.1f}", "figure small"),
    ]
