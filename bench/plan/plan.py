"""From an experiment to stages with keys: what depends on what, and what each result depends on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from bench import release, training
from bench.budget import Budget
from bench.data.loading import DataCard
from bench.defense import Defenses
from bench.keys import key
from bench.method import Surrogate
from bench.method_row import MethodRow
from bench.networks import ARCHITECTURES
from bench.recipe import Recipe
from bench.spec import Cell, Experiment

Kind = Literal["surrogate", "craft", "victim"]


@dataclass(frozen=True)
class TrainJob:
    """Train a network: a surrogate on the clean set, or a victim on the protected set of stage `protected`.

    A victim may have only a fraction of the images protected, and further clean images.
    """

    architecture: str
    recipe: Recipe
    defenses: Defenses
    seed: int
    protected: str | None = None
    protected_fraction: float = 1.0
    clean_images: int = 0


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints that crafting takes of one surrogate stage, trained for `trained` epochs."""

    surrogate: str
    architecture: str
    need: Surrogate
    trained: int

    def identity(self) -> Any:
        """Return what decides the weights, as JSON: epochs, or how they are found once the run is trained."""
        epochs = self.need.epochs(self.trained)
        return epochs if epochs is not None else [self.need.placement, self.need.checkpoints]


@dataclass(frozen=True)
class CraftJob:
    """Craft a protected set."""

    method: MethodRow
    budget: Budget | None
    seed: int
    checkpoints: tuple[Checkpoints, ...]


@dataclass(frozen=True)
class Stage:
    """One unit of work with one artifact.

    Attributes
    ----------
    inputs
        Keys of the stages whose artifacts it reads.
    passes
        Forward+backward passes over the training set.

    """

    kind: Kind
    key: str
    label: str
    job: TrainJob | CraftJob
    inputs: tuple[str, ...]
    passes: float


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

    A stage that several cells share stands once.
    """

    experiment: Experiment
    card: DataCard
    cells: tuple[PlannedCell, ...]
    stages: dict[str, Stage]

    def missing(self, has: Callable[[Kind, str], bool]) -> list[Stage]:
        """Return the stages to run, given which artifacts are there: nothing that only finished stages need."""
        return self._closure([planned.victim for planned in self.cells], has)

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


def make_plan(experiment: Experiment, card: DataCard, keep: Callable[[Cell], bool] = lambda cell: True) -> Plan:
    """Return the plan of the experiment's cells that `keep` accepts."""
    stages: dict[str, Stage] = {}
    planned = []
    for cell in experiment.cells():
        if not keep(cell):
            continue
        surrogates = list(_surrogate_stages(experiment, card, cell))
        craft = _craft_stage(card, cell, surrogates)
        victim = _victim_stage(experiment, card, cell, craft)
        for stage in (*(stage for stage, _ in surrogates), craft, victim):
            stages.setdefault(stage.key, stage)
        planned.append(PlannedCell(cell, tuple(stage.key for stage, _ in surrogates), craft.key, victim.key))
    return Plan(experiment, card, tuple(planned), stages)


def _surrogate_stages(experiment: Experiment, card: DataCard, cell: Cell) -> Iterator[tuple[Stage, Checkpoints]]:
    for need in cell.method.build().needs():
        architecture = need.network or experiment.surrogate
        job = TrainJob(architecture, experiment.recipe, Defenses.parse("plain"), cell.surrogate_seed + need.seed)
        stage_key = key(_training_identity("surrogate", job, card.train_sha256, card))
        label = f"surrogate {architecture} · seed {job.seed}"
        yield (
            Stage("surrogate", stage_key, label, job, (), job.recipe.epochs),
            Checkpoints(stage_key, architecture, need, experiment.recipe.epochs),
        )


def _craft_stage(card: DataCard, cell: Cell, surrogates: list[tuple[Stage, Checkpoints]]) -> Stage:
    method = cell.method.build()
    job = CraftJob(cell.method, cell.budget, cell.craft_seed, tuple(checkpoints for _, checkpoints in surrogates))
    identity = {
        "stage": "craft",
        "release": release.VERSION,
        "method": cell.method.name,
        "version": method.version,
        "params": cell.method.params_json(),
        "budget": str(cell.budget) if cell.budget else None,
        "seed": cell.craft_seed,
        "checkpoints": [[part.surrogate, part.identity()] for part in job.checkpoints],
        "data": card.train_sha256,
    }
    if card.protected_classes is not None:  # named only then, as it came later than the first results
        identity |= {"protected_classes": card.protected_classes}
    label = f"craft {cell.method_label or cell.method.name}{f' {cell.budget}' if cell.budget else ''}"
    inputs = tuple(part.surrogate for part in job.checkpoints)
    return Stage("craft", key(identity), label, job, inputs, method.passes() * card.n_protected / card.n_train)


def _victim_stage(experiment: Experiment, card: DataCard, cell: Cell, craft: Stage) -> Stage:
    job = TrainJob(
        cell.victim,
        experiment.recipe,
        cell.defense,
        cell.seed,
        craft.key,
        cell.protected_fraction,
        cell.clean_images,
    )
    identity = _training_identity("victim", job, craft.key, card)
    # Named only where they are set, as they came later than the first results.
    if job.protected_fraction < 1:
        identity |= {"protected_fraction": job.protected_fraction, "clean": card.train_sha256}
    if job.clean_images:
        identity |= {"clean_images": card.extra_sha256[job.clean_images]}
    passes = job.recipe.epochs * (1 + job.defenses.extra_passes()) * _share_of_training_set(job, card)
    return Stage("victim", key(identity), f"victim {cell}", job, (craft.key,), passes)


def _share_of_training_set(job: TrainJob, card: DataCard) -> float:
    return (card.n_train + job.clean_images) / card.n_train


def _training_identity(stage: Kind, job: TrainJob, data: str, card: DataCard) -> dict[str, Any]:
    return {
        "stage": stage,
        "training": training.VERSION,
        "architecture": job.architecture,
        "version": getattr(ARCHITECTURES.get(job.architecture), "version", 1),
        "recipe": job.recipe.training_fields(),
        "defenses": job.defenses.identity(),
        "seed": job.seed,
        "data": data,
        "test": card.test_sha256,
    }
