"""Several sets of recordings as one, each labelled for some of the tasks."""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from pydantic import ValidationInfo, field_validator

from limbeck.data.folder import Recordings
from limbeck.data.har import WISDM, MHealth, Sleep
from limbeck.data.joined import Joined, Member
from limbeck.data.pamap2 import PAMAP2
from limbeck.data.recordings import Windowing
from limbeck.data.source import Table, Windows
from limbeck.data.synthetic import GRAVITY, Wearable
from limbeck.data.usc_had import USCHAD
from limbeck.data.watch import Watch
from limbeck.errors import UserError

ACCELERATION = {"m/s2": 1.0, "g": GRAVITY}
"""What a unit of acceleration is, in m/s2."""
AnyRecordings = Watch | WISDM | MHealth | Sleep | USCHAD | PAMAP2 | Recordings | Wearable


class SensorSet(Member):
    """A set of recordings of several, and what of it is used. In a word: `wisdm:DIR`."""

    kind: ClassVar[str] = "sensor-set"
    data: AnyRecordings = Watch()


class SensorSets(Joined):
    """Several sets of recordings as one: `--data.sets wisdm:DIR,usc-had:DIR`. Acceleration in g becomes m/s2."""

    kind: ClassVar[str] = "sensor-sets"
    windows: Windowing = Windowing(rate=50)
    """Of every set."""
    sets: tuple[SensorSet, ...] = ()
    """Each `KIND:DIR`, or by its place, as `--data.sets.0.tasks position --data.sets.1.rename run=jogging`."""

    @field_validator("sets")
    @classmethod
    def _alike(cls, sets: tuple[SensorSet, ...], info: ValidationInfo) -> tuple[SensorSet, ...]:
        if "windows" not in info.data:
            return sets  # what is wrong with them is told
        return tuple(member.changed(data=member.data.changed(windows=info.data["windows"])) for member in sets)

    @property
    def members(self) -> Sequence[Member]:
        return self.sets

    def fitted(self, table: Table) -> Table:
        unit, column = table.card["unit"], table.inputs["sensor"]
        if unit == "g" and isinstance(column, Windows):
            scaled = Windows(column.signal * ACCELERATION[unit], column.starts, column.length)
            return replace(table, inputs={"sensor": scaled}, card={**table.card, "unit": "m/s2"})
        if unit not in ACCELERATION:
            raise UserError(
                f"{table.card['name']} has the unit {unit or 'unknown'}; sets are joined where all are in m/s2 or g: "
                "read acceleration alone, or name the unit"
            )
        return table
