"""From an experiment to its plan: which stages there are, and what each result depends on."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.contracts.defense import Defenses
from bench.contracts.network import ARCHITECTURES
from bench.core.errors import SepbenchError
from bench.core.keys import key
from bench.data.loading import DataCard
from bench.data.loading import card as card_of
from bench.engine import release, training
from bench.plan.checkpoints import Checkpoints
from bench.plan.plan import Plan, PlannedCell
from bench.plan.stage import CraftJob, Stage, SurrogateJob, VictimJob
from bench.spec.cell import Cell
from bench.spec.experiment import Experiment


def plan_experiment(experiment: Experiment, cards: Path, only: Callable[[Cell], bool] = lambda cell: True) -> Plan:
    """Return the plan; decodes the data set only where the folder `cards` knows nothing of it."""
    if not any(map(only, experiment.cells())):
        raise SepbenchError("--only leaves no cell of the experiment: see sepbench plan for those it has")
    for defense in experiment.defenses:
        defense.check_files()
    return make_plan(experiment, card_of(experiment.dataset.located(), cards, experiment.added_images), only)


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
        job = SurrogateJob(architecture, experiment.recipe, cell.surrogate_seed + need.seed)
        stage_key = key(_training_identity(job, Defenses.parse("plain"), card.train_sha256, card))
        yield (
            Stage(stage_key, f"{architecture} · seed {job.seed}", job, (), job.recipe.epochs),
            Checkpoints(stage_key, architecture, need, experiment.recipe.epochs),
        )


def _craft_stage(card: DataCard, cell: Cell, surrogates: list[tuple[Stage, Checkpoints]]) -> Stage:
    method = cell.method.build()
    label = cell.method_label or cell.method.name
    job = CraftJob(
        cell.method, cell.budget, cell.craft_seed, tuple(checkpoints for _, checkpoints in surrogates), label
    )
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
    name = f"{label} {cell.budget}" if cell.budget else label
    inputs = tuple(part.surrogate for part in job.checkpoints)
    return Stage(key(identity), name, job, inputs, method.passes() * card.n_protected / card.n_train)


def _victim_stage(experiment: Experiment, card: DataCard, cell: Cell, craft: Stage) -> Stage:
    job = VictimJob(
        cell.victim,
        experiment.recipe,
        cell.defense,
        cell.seed,
        craft.key,
        cell.protected_fraction,
        cell.clean_images,
    )
    identity = _training_identity(job, job.defenses, craft.key, card)
    # Named only where they are set, as they came later than the first results.
    if job.protected_fraction < 1:
        identity |= {"protected_fraction": job.protected_fraction, "clean": card.train_sha256}
    if job.clean_images:
        identity |= {"clean_images": card.extra_sha256[job.clean_images]}
    passes = job.recipe.epochs * (1 + job.defenses.extra_passes()) * _share_of_training_set(job, card)
    return Stage(key(identity), str(cell), job, (craft.key,), passes)


def _share_of_training_set(job: VictimJob, card: DataCard) -> float:
    return (card.n_train + job.clean_images) / card.n_train


def _training_identity(job: SurrogateJob | VictimJob, defenses: Defenses, data: str, card: DataCard) -> dict[str, Any]:
    return {
        "stage": job.kind,
        "training": training.VERSION,
        "architecture": job.architecture,
        "version": getattr(ARCHITECTURES.get(job.architecture), "version", 1),
        "recipe": job.recipe.training_fields(),
        "defenses": defenses.identity(),
        "seed": job.seed,
        "data": data,
        "test": card.test_sha256,
    }
