"""What guessing reaches, as a thin line in every figure of test accuracies."""

from collections.abc import Iterable, Mapping, Sequence

from matplotlib.axes import Axes

from bench.read.chance import chance_of
from bench.read.plots.labels import Label
from bench.read.plots.style import CHANCE_LOOK
from bench.read.tables import Setting
from bench.record.record import Record
from bench.record.values import OF_TEST_IMAGES

Chances = Mapping[str, float]
"""What guessing gets right, in percent, by data set; empty where a figure is of no test accuracies."""

CHANCE = "guessing"
"""What the line is called, as below tables."""


def chances_of(records: Sequence[Record], value: str = "test_acc") -> Chances:
    """Return what guessing gets right of each data set, as far as `value` is compared with it and records tell it.

    Captions say it in the words of the table.
    """
    if value not in OF_TEST_IMAGES:
        return {}
    known = {name: chance_of(one for one in records if one.dataset == name) for name in _datasets(records)}
    return {name: chance for name, chance in known.items() if chance is not None}


def chance_level(chances: Chances, settings: Iterable[Setting]) -> float | None:
    """Return the level that settings share that stand on one pair of axes, None where they have none or several."""
    found = {chances.get(one["dataset"]) for one in settings}
    return found.pop() if len(found) == 1 else None


def mark_chance(axes: Axes, level: float | None) -> list[Label]:
    """Draw chance as a level across the axes, and return the label to write beside it, if there is one."""
    if level is None:
        return []
    look = CHANCE_LOOK
    axes.axhline(level, color=look.colour, linestyle=look.dashes, linewidth=0.8, zorder=1, label=CHANCE)
    return [Label(CHANCE, 0, level, look)]


def _datasets(records: Sequence[Record]) -> Iterable[str]:
    return dict.fromkeys(one.dataset for one in records)
