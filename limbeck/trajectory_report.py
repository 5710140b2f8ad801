"""Where a student looks and where its connector does, as a report shows it."""

from limbeck import checkpoint
from limbeck.charts import legend
from limbeck.compare import Entry, Group
from limbeck.figures import Figure, Panel
from limbeck.trajectory_charts import LOOKS, over_image, over_signal
from limbeck.visits import FILE


def panel(group: Group) -> Panel:
    """The samples of the first method that kept trajectories; none where there is none."""
    drawn = next((found for entry in group.students if (found := _figures(entry))), [])
    return Panel(legend([(name, look) for name, look in LOOKS.items()]) if drawn else "", drawn)


def _figures(entry: Entry) -> list[Figure]:
    kept = checkpoint.read_arrays(entry.runs[0].at / FILE)
    shown = kept.get("image", kept.get("signal", ()))
    drawn = []
    for sample, below in enumerate(shown):
        places = {name: kept[name][sample] for name in LOOKS if name in kept}
        maps = {name: kept[f"maps/{name}"][sample] for name in LOOKS if f"maps/{name}" in kept}
        caption = f"{entry.name}, sample {sample + 1} of {len(shown)}"
        draw = over_image if "image" in kept else over_signal
        drawn.append(Figure(caption, draw(below, places, maps, f"Trajectories of {caption}"), scored=False))
    return drawn
