"""Judging a protected set that somebody brought: read it, pair it, audit it, and plan what tells whether it holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError

from bench.contracts.budget import Budget
from bench.contracts.dataset import DATASETS
from bench.contracts.method import METHODS
from bench.contracts.network import ARCHITECTURES
from bench.core.errors import SepbenchError
from bench.core.keys import key
from bench.core.validation import describe, first_mistake, shown
from bench.data.images import ImageSet
from bench.data.loading import training_positions
from bench.data.releases import Brought, bring
from bench.data.releases.meaning import Kind
from bench.data.releases.opening import size_made_for
from bench.data.releases.protected_set import Positions
from bench.data.spec import DatasetSpec
from bench.engine.brought import keep
from bench.engine.recipe import Recipe
from bench.flows import choices
from bench.flows.brought_report import report_on
from bench.flows.fitting_budget import check_budget, fitting_budget
from bench.plan.make import plan_experiment
from bench.plan.plan import Plan
from bench.read.evaluated import PREFIX
from bench.run.invocation import Invocation, Summary, run_plan
from bench.spec.cell import Cell
from bench.spec.experiment import Experiment
from bench.spec.names import NAMES_FILES, as_file_name, names_files
from bench.store.home import Home

DEFENSES = ("plain", "grayscale", "jpeg-10")
"""What victims do where nobody says: nothing, and the two cheapest ways that are known to undo much."""

_LONGEST_NAME, _LONGEST_DATA_NAME = 100, 40
"""Characters; a name of a file may have 255, and holds both besides what tells one from another."""

_FEW = 5000
"""Images below which the recipe for a person's own pictures trains victims: fewer are seen more often."""

DILUTED = 0.9
"""The share of protected images of the victims that have some clean ones among them."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What it takes to judge a protected set; nothing has run, and nothing is written.

    Attributes
    ----------
    brought
        The set, read and paired.
    budget
        The track that it belongs to.
    positions
        Of the training images that victims have, int64 [n].
    images
        These, with protected ones where there are any.
    plan
        Methods `none` and this one, whose records carry the name that was given.

    """

    brought: Brought
    budget: Budget
    budget_was_given: bool
    positions: Positions
    images: ImageSet
    plan: Plan

    def report(self) -> str:
        """Return what there is to know of the set before anything is trained: a line for each thing."""
        changed = self.brought.pairing.clean[self.brought.spent.linf > 0]
        protected = int(np.isin(self.positions, changed).sum())
        return report_on(self.brought, self.budget, self.budget_was_given, self.plan.card, self.images, protected)

    def run(self, call: Invocation) -> Summary:
        """Keep the images in the home and run what the plan still needs, as `run_plan` does."""
        keep(call.place.home.store, self.images)
        return run_plan(self.plan, call)


def plan_evaluation(
    protected: Path,
    clean: DatasetSpec,
    *,
    test: Path | None = None,
    victims: Sequence[str] | None = None,
    defenses: Sequence[str] | None = None,
    seeds: Sequence[int] = (0,),
    name: str | None = None,
    budget: str | None = None,
    recipe: str | Mapping[str, Any] | Recipe | None = None,
    holdout: float = 0.2,
    taken_for: Kind | None = None,
    scale: float | None = None,
    overrides: Sequence[str] = (),
    home: Home,
    device: torch.device,
) -> Evaluation:
    """Read a protected set, pair it with its clean images, measure what was spent, and plan its victims.

    Parameters
    ----------
    protected
        Where it lies, in any layout of `bench.data.releases.open_release`.
    clean
        The data set that it was made from, with paths as they were written.
    test
        Other test images, of the same kind of files as the clean ones.
    victims, defenses
        By default a network that the device trains on such images within its time; `plain`, `grayscale` and `jpeg-10`.
        `plain` joins defenses that lack it.
    name
        What records call its method; by default the name of the file or folder.
    budget
        The track that it is to stand in; by default the smallest usual one that every image keeps.
    recipe
        By default one for the device and the number of images.
    holdout
        Share of the training images that becomes the test set where there is none.
    taken_for, scale
        Overrule what an array is taken for, as `meaning_of` says.
    overrides
        How `clean` and `recipe` were changed, as records tell it.

    Raises
    ------
    SepbenchError
        Something is missing or does not fit, an image leaves the budget, or none differs from its clean one.

    """
    called = _checked_name(protected, name)
    given = None if budget is None else Budget.parse(budget)
    _check_victims(victims or ())
    data = _at_size(_with_test_images(clean, test, holdout), protected)
    located = data.located()
    brought = bring(protected, located, taken_for, scale)
    if given is not None:
        check_budget(brought.spent, given, brought.release.what)
    track = given or fitting_budget(brought.spent)
    positions = training_positions(brought.clean.source, located)
    images = brought.training_set(positions)
    chosen = [*victims] if victims else [choices.network(choices.kind_of(device), _size(images))]
    spent = brought.spent.most()
    experiment = _experiment(
        {
            "name": f"{PREFIX}{called}",
            "title": f"{called}: does it hold?",
            "recipe": recipe or _recipe_for(data, images, device),
            "dataset": data,
            "surrogate": chosen[0],
            "budgets": [str(track)],
            "methods": [{"brought": {"called": called, "sha256": images.sha256, "spent": spent}}],
            "victims": chosen,
            "defenses": _with_plain_victims(defenses or DEFENSES),
            "seeds": [*seeds],
            "protected_fractions": [1.0, DILUTED],
            "table": {"rows": "method", "columns": ["defense"]},
            "overrides": [*overrides],
        }
    )
    plan = plan_experiment(experiment, home.cards, _is_asked)
    plan = replace(plan, experiment=experiment.model_copy(update={"name": _name_of(plan)}))
    if plan.card.n_train != len(images):
        raise SepbenchError(
            f"the files of data set '{data.name}' changed while they were read: run the same command again"
        )
    return Evaluation(brought, track, given is not None, positions, images, plan)


def _is_asked(cell: Cell) -> bool:
    """Leave out victims that have some clean images and defend themselves, too."""
    return cell.protected_fraction == 1 or str(cell.defense) == "plain"


def _with_plain_victims(defenses: Sequence[str]) -> list[str]:
    """Return defenses with `plain` among them: what a defense gives back is told by what there was without it."""
    return [*([] if "plain" in defenses else ["plain"]), *defenses]


def _check_victims(victims: Sequence[object]) -> None:
    for one in victims:
        if not isinstance(one, str):
            raise SepbenchError(f"victims: must be names of architectures, such as resnet8, not {shown(one)}")
        ARCHITECTURES.get(one)


def _name_of(plan: Plan) -> str:
    """Return a name for what belongs into one table: one protected set, on one data set, in one track, one recipe."""
    experiment, card = plan.experiment, plan.card
    data = as_file_name(experiment.dataset.name, _LONGEST_DATA_NAME) or "data"
    apart = {
        "method": experiment.methods[-1].params_json(),
        "budgets": [str(budget) for budget in experiment.budgets],
        "recipe": experiment.recipe.model_dump(mode="json"),
        "data": [experiment.dataset.name, card.train_sha256, card.test_sha256],
    }
    return f"{experiment.name}-on-{data}-{key(apart)[:8]}"


def _checked_name(protected: Path, name: str | None) -> str:
    taken = {one.casefold() for one in METHODS.names()} - {"brought"}
    if name is None:
        stem = as_file_name(protected.resolve().stem, _LONGEST_NAME) or "brought"
        return f"{stem}-brought" if stem.casefold() in taken else stem
    if not names_files(name):
        raise SepbenchError(f"--name '{name}' cannot name files: use {NAMES_FILES}")
    if len(name) > _LONGEST_NAME:
        raise SepbenchError(
            f"--name {name[:20]}… has {len(name)} characters, too many for names of files: at most {_LONGEST_NAME} do"
        )
    if name.casefold() in taken:
        raise SepbenchError(
            f"--name {name} is a method of sepbench, whose results these are not: give the set another name"
        )
    return name


def _with_test_images(clean: DatasetSpec, test: Path | None, holdout: float) -> DatasetSpec:
    takes_files = "test" in DATASETS.get(clean.format).Params.model_fields
    if test is not None:
        if not takes_files or clean.params.get("path") is not None:
            raise SepbenchError(f"--test {test}: '{clean.name}' has test images of its own: leave --test out")
        return clean.model_copy(update={"params": {**clean.params, "test": str(test)}, "holdout": None})
    has_its_own = not takes_files or any(clean.params.get(field) is not None for field in ("test", "path"))
    return clean if has_its_own or clean.holdout is not None else clean.model_copy(update={"holdout": holdout})


def _at_size(data: DatasetSpec, protected: Path) -> DatasetSpec:
    """Return the data set at the size that pictures were protected for, where nobody says another."""
    made_for = size_made_for(protected) if data.resize is None else None
    return data if made_for is None else data.model_copy(update={"resize": made_for[0], "fit": made_for[1]})


def _recipe_for(data: DatasetSpec, images: ImageSet, device: torch.device) -> Any:
    if data.format == "digits":
        return "digits"
    on = choices.kind_of(device)
    if len(images) < _FEW:
        return choices.recipe(len(images), on, _size(images))
    return "fast" if on == "cuda" else "cpu-small"


def _size(images: ImageSet) -> choices.Size:
    height, width = images.images.shape[2:]
    return choices.Size(None, height, width)


def _experiment(content: dict[str, object]) -> Experiment:
    try:
        return Experiment.model_validate(content)
    except ValidationError as error:
        mistake = first_mistake(error)
        field = ".".join(str(part) for part in mistake["loc"][:1])
        clause = describe(mistake, list(Experiment.model_fields), in_yaml=False)
        raise SepbenchError(clause if clause.startswith(field) else f"{field}: {clause}") from error
