"""The cells of an experiment with the stages they come from."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from bench.data.loading import DataCard
from bench.plan.checkpoints import Checkpoints, lacks
from bench.plan.stage import CraftJob, Kind, Stage
from bench.spec.cell import Cell
from bench.spec.experiment import Experiment
from bench.store.artifacts import Store


@dataclass(frozen=True)
class PlannedCell:
    """A cell with the keys of the stages it comes from."""

    cell: Cell
    surrogates: tuple[str, ...]
    craft: str
    victim: str


@dataclass(frozen=True)
class Plan:
    """Every cell of an experiment and every stage they need, in an order in which each can run.

    A stage that several cells share stands once. A plan of the protected sets alone has no cells.
    """

    experiment: Experiment
    card: DataCard
    cells: tuple[PlannedCell, ...]
    stages: dict[str, Stage]

    @cached_property
    def cell_of(self) -> Mapping[str, PlannedCell]:
        """The cell of each victim by the key of its stage; the first where several share it."""
        return {planned.victim: planned for planned in reversed(self.cells)}

    def crafting(self) -> "Plan":
        """Return the plan of the protected sets alone, with the surrogates they need: nobody is trained on them."""
        return replace(
            self, cells=(), stages={key: stage for key, stage in self.stages.items() if stage.kind != "victim"}
        )

    def missing(self, has: Callable[[Kind, str], bool]) -> list[Stage]:
        """Return the stages to run, given which artifacts are there: nothing that only finished stages need."""
        taken_in = {one for stage in self.stages.values() for one in stage.inputs}
        return self._closure([key for key in self.stages if key not in taken_in], has)

    def todo(self, store: Store) -> list[Stage]:
        """Return the stages to run with what a store has now.

        A surrogate that was kept without checkpoints that are still needed is to be trained again.
        """
        has = store.inventory()
        wanted = self.missing(has)
        without = {
            part.surrogate for part in taken_by(wanted) if has("surrogate", part.surrogate) and lacks(part, store)
        }
        return self.missing(lambda kind, key: key not in without and has(kind, key)) if without else wanted

    def advice(self, kind: Kind, has: Callable[[Kind, str], bool]) -> str:
        """Return how stages of a kind come about that are not there, also where their victims are finished."""
        if any(stage.kind == kind for stage in self.missing(has)):
            return "run the experiment first"
        return f"run the experiment with --force {kind} (without it a run makes only what unfinished victims need)"

    def upstream(self, stage_key: str, has: Callable[[Kind, str], bool]) -> list[Stage]:
        """Return what has to run for one stage: itself and its inputs, as far as they are not there."""
        return self._closure([stage_key], has)

    def _closure(self, goals: list[str], has: Callable[[Kind, str], bool]) -> list[Stage]:
        wanted: set[str] = set()
        open_ends = list(goals)
        while open_ends:
            stage = self.stages[open_ends.pop()]
            if stage.key not in wanted and not has(stage.kind, stage.key):
                wanted.add(stage.key)
                open_ends.extend(stage.inputs)
        return [stage for stage_key, stage in self.stages.items() if stage_key in wanted]


def taken_by(stages: Iterable[Stage]) -> set[Checkpoints]:
    """Return the checkpoints that crafting takes in some stages."""
    return {part for stage in stages if isinstance(stage.job, CraftJob) for part in stage.job.checkpoints}
