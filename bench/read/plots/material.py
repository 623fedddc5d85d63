"""Where figures get their data from: the records of an experiment, its store, its data set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.core.errors import SepbenchError
from bench.data.images import Splits
from bench.data.loading import load_planned
from bench.plan.make import plan_experiment
from bench.plan.plan import Plan
from bench.read.plots.frame import SCREEN, Sheet
from bench.read.tables import Table, TableCell
from bench.read.tables.selection import choose
from bench.read.tabulation import experiment_records, tabulate
from bench.record.record import Record
from bench.spec.experiment import Experiment
from bench.store.home import Home


@dataclass(frozen=True)
class Sources:
    """All there is about an experiment, each part read when a figure first asks for it.

    `folder` holds records; where it is None they come from MLflow. `method` is the one to look at closely, by default
    the strongest. `where` are record fields with the text that their value must have, as `table --where` takes them.
    `sheet` is what figures are drawn on.
    """

    experiment: Experiment
    home: Home
    folder: Path | None = None
    method: str | None = None
    where: Mapping[str, str] = field(default_factory=dict)
    sheet: Sheet = SCREEN

    @property
    def title(self) -> str:
        """The experiment's title."""
        return self.experiment.title or self.experiment.name

    @cached_property
    def records(self) -> list[Record]:
        """The experiment's records; raises `SepbenchError` where there are none."""
        return choose(experiment_records(self.experiment, self.home, self.folder), [], self.where)[0]

    @cached_property
    def table(self) -> Table:
        """The experiment's table."""
        return tabulate(self.experiment, self.records, self.where)

    @cached_property
    def plan(self) -> Plan:
        """The plan of the experiment; raises `SepbenchError` where the data set cannot be found."""
        return plan_experiment(self.experiment, self.home.cards)

    @cached_property
    def splits(self) -> Splits:
        """The data set that the plan is for."""
        experiment = self.experiment
        return load_planned(experiment.dataset.located(), self.plan.card, self.home.cards, experiment.added_images)

    def victims(self, cell: TableCell) -> list[dict[str, Any]]:
        """Return the meta data of the artifacts of a cell's victims, as far as the store has them."""
        store = self.home.store
        return [store.meta("victim", key) for key in cell.keys if store.has("victim", key)]

    def class_names(self, count: int) -> Sequence[str]:
        """Return the names of the classes, or their numbers where the data set is not at hand."""
        try:
            return self.plan.card.classes
        except SepbenchError:
            return [str(number) for number in range(count)]
