"""From an experiment to its plan: which stages there are, and what each result depends on."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

from bench.contracts.defense import Defenses
from bench.contracts.method import Surrogate, total_passes
from bench.contracts.network import ARCHITECTURES
from bench.core.digests import Digests
from bench.core.errors import NotHere, SepbenchError
from bench.core.keys import canonical, key, key_of_texts
from bench.core.paths import content_digest
from bench.data.loading import DataCard, published_card
from bench.data.loading import card as card_of
from bench.engine import release
from bench.engine import training as loop
from bench.engine.batches import joins
from bench.engine.recipe import Recipe
from bench.plan.checkpoints import Checkpoints
from bench.plan.mixture import training_set_key
from bench.plan.plan import Plan, PlannedCell
from bench.plan.stage import CraftJob, Stage, SurrogateJob, VictimJob
from bench.spec.cell import Cell
from bench.spec.experiment import Experiment
from bench.spec.surrogates import trained_by


def plan_experiment(
    experiment: Experiment,
    cards: Path,
    only: Callable[[Cell], bool] = lambda cell: True,
    *,
    without_data: bool = False,
    crafting: bool = False,
) -> Plan:
    """Return the plan; decodes the data set only where the folder `cards` knows nothing of it.

    `without_data` plans with the published sizes of a data set that is not here: nothing can run, and no key is right.
    `crafting` plans the protected sets alone, for which no test images are needed: nobody is trained on them.
    """
    if not any(map(only, experiment.each_cell())):
        raise SepbenchError("--only leaves no cell of the experiment: see sepbench plan for those it has")
    for defense in experiment.defenses:
        defense.check_files()
    try:
        card = card_of(experiment.dataset.located(), cards, experiment.added_images)
    except NotHere as missing:
        if not without_data:
            raise
        card = published_card(experiment.dataset, missing, experiment.added_images)
    if not (crafting or card.n_test):
        raise SepbenchError(
            f"no image of '{experiment.dataset.name}' is held out, so that no victim can be judged: give "
            f"dataset.holdout a share, such as 0.2"
        )
    plan = make_plan(experiment, card, only, Digests(cards))
    return plan.crafting() if crafting else plan


def make_plan(
    experiment: Experiment,
    card: DataCard,
    keep: Callable[[Cell], bool] = lambda cell: True,
    digest: Callable[[Path], str] = content_digest,
) -> Plan:
    """Return the plan of the experiment's cells that `keep` accepts; `digest` is of what defenses read."""
    stages: dict[str, Stage] = {}
    planned = []
    # What many cells share is worked out once: by far most cells differ in nothing but their victim.
    training = _Training(experiment.recipe, card, digest)
    surrogates_of: dict[Hashable, list[tuple[Stage, Checkpoints]]] = {}
    craft_of: dict[Hashable, Stage] = {}
    asked: defaultdict[str, dict[Surrogate, None]] = defaultdict(dict)
    for cell in experiment.cells():
        networks = (id(cell.method), cell.surrogate_seed)
        if networks not in surrogates_of:
            surrogates_of[networks] = list(_surrogate_stages(experiment, training, cell))
            for stage, part in surrogates_of[networks]:
                asked[stage.key][part.need] = None
        if not keep(cell):  # yet what it takes of a surrogate is kept for it
            continue
        surrogates = surrogates_of[networks]
        release_of = (*networks, cell.craft_seed, cell.budget and str(cell.budget))
        if release_of not in craft_of:
            craft_of[release_of] = _craft_stage(experiment, card, cell, surrogates)
        craft = craft_of[release_of]
        victim = _victim_stage(training, cell, craft)
        for stage in (*(stage for stage, _ in surrogates), craft, victim):
            stages.setdefault(stage.key, stage)
        planned.append(PlannedCell(cell, tuple(stage.key for stage, _ in surrogates), craft.key, victim.key))
    for one, needs in asked.items():
        if one in stages:
            job = stages[one].job
            assert isinstance(job, SurrogateJob)
            stages[one] = replace(stages[one], job=replace(job, asked=tuple(needs)))
    return Plan(experiment, card, tuple(planned), stages)


def _surrogate_stages(experiment: Experiment, training: "_Training", cell: Cell) -> Iterator[tuple[Stage, Checkpoints]]:
    needs = cell.method.build().needs()
    apart = max((need.seed for need in needs), default=0) + 1  # or replicates would share networks
    for need in needs:
        architecture = need.network or experiment.surrogate
        recipe, defenses = trained_by(need, experiment.recipe)
        job = SurrogateJob(architecture, recipe, training.same(defenses), cell.surrogate_seed * apart + need.seed)
        card = training.card
        stage_key = key_of_texts(training.identity(job, job.defenses, card.train_sha256, card.n_train))
        yield (
            Stage(stage_key, _surrogate_name(job, experiment.recipe), job, (), _training_passes(job)),
            Checkpoints(stage_key, architecture, need, recipe.epochs),
        )


def _surrogate_name(job: SurrogateJob, usual: Recipe) -> str:
    """Return its network and seed, and how it is trained where that is not as everything else of the experiment."""
    otherwise = [] if str(job.defenses) == "plain" else [str(job.defenses)]
    otherwise += [f"{job.recipe.epochs} epochs"] if job.recipe != usual else []
    return " · ".join([job.architecture, *otherwise, f"seed {job.seed}"])


def _training_passes(job: SurrogateJob | VictimJob) -> float:
    return job.recipe.epochs * (1 + job.defenses.extra_passes())


def _craft_stage(
    experiment: Experiment, card: DataCard, cell: Cell, surrogates: list[tuple[Stage, Checkpoints]]
) -> Stage:
    method = cell.method.build()
    label = cell.method_label or cell.method.known_as
    job = CraftJob(
        cell.method,
        cell.budget,
        cell.craft_seed,
        tuple(checkpoints for _, checkpoints in surrogates),
        label,
        experiment.surrogate if method.trains else None,
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
    if method.revision > 1:
        identity |= {"revision": method.revision}
    if job.architecture is not None:
        identity |= {"trains": [job.architecture, _version(job.architecture), loop.VERSION]}
    if card.protected_classes is not None:  # named only then, as it came later than the first results
        identity |= {"protected_classes": card.protected_classes}
    name = f"{label} {cell.budget}" if cell.budget else label
    inputs = tuple(part.surrogate for part in job.checkpoints)
    forward = method.forward_passes() * card.n_protected / card.n_train
    return Stage(key(identity), name, job, inputs, total_passes(method, card.n_protected, card.n_train), forward)


def _victim_stage(training: "_Training", cell: Cell, craft: Stage) -> Stage:
    card = training.card
    extra = card.extra_sha256[cell.clean_images] if cell.clean_images else None
    training_set = training_set_key(craft.key, cell.protected_fraction, cell.seed, extra)
    job = VictimJob(
        cell.victim,
        training.recipe,
        training.defenses_on(training_set, cell.defense),
        cell.seed,
        craft.key,
        cell.protected_fraction,
        cell.clean_images,
        training_set,
    )
    identity = training.identity(job, job.defenses, craft.key, card.n_train + job.clean_images)
    # Named only where they are set, as they came later than the first results.
    if job.protected_fraction < 1:
        share, clean = canonical(job.protected_fraction), canonical(card.train_sha256)
        identity |= {"protected_fraction": share, "clean": clean}
    if not job.recipe.augment_protected:
        identity |= {"augment_protected": canonical(False)}
    if extra is not None:
        identity |= {"clean_images": canonical(extra)}
    passes = _training_passes(job) * _share_of_training_set(job, card)
    return Stage(key_of_texts(identity), str(cell), job, (craft.key,), passes)


def _version(architecture: str) -> int:
    version: int = getattr(ARCHITECTURES.get(architecture), "version", 1)
    return version


def _share_of_training_set(job: VictimJob, card: DataCard) -> float:
    return (card.n_train + job.clean_images) / card.n_train


class _Training:
    """What the keys of one plan's trained networks depend on; what these have in common is written once."""

    def __init__(self, recipe: Recipe, card: DataCard, digest: Callable[[Path], str]) -> None:
        self.recipe, self.card = recipe, card
        self._common = {
            "training": canonical(loop.VERSION),
            "test": canonical(card.test_sha256),
        }
        self._recipe = cache(lambda recipe: canonical(recipe.training_fields()))
        self._called: dict[str, Defenses] = {}
        # Of this plan alone: files that a defense reads may change.
        digest = cache(digest)
        self._on = cache(lambda training_set, defenses: defenses.on(training_set, digest))
        self._identity = cache(lambda defenses: canonical(defenses.identity()))

    def same(self, defenses: Defenses) -> Defenses:
        """Return one object for all defenses that are called so."""
        return self._called.setdefault(str(defenses), defenses)

    def defenses_on(self, training_set: str, defenses: Defenses) -> Defenses:
        """Return what victims of a training set are trained with; one object for all sets that make no difference."""
        found: Defenses = self._on(training_set if defenses.reads_copies else "", defenses)
        return found

    def identity(self, job: SurrogateJob | VictimJob, defenses: Defenses, data: str, images: int) -> dict[str, str]:
        """Return what the key of a training run is made of, each as canonical JSON.

        `data` tells what it trains on, `images` how many these are.
        """
        # Named only then: when it came there were results of all others.
        last = {"last_image": canonical("joins")} if joins(images, job.recipe.batch_size) else {}
        return {
            **last,
            **self._common,
            "recipe": self._recipe(job.recipe),
            "stage": canonical(job.kind),
            "architecture": canonical(job.architecture),
            "version": canonical(_version(job.architecture)),
            "defenses": self._identity(defenses),
            "seed": canonical(job.seed),
            "data": canonical(data),
        }
