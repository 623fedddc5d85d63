"""From a person's pictures to what will be done to them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from bench.contracts.budget import Budget
from bench.contracts.method import METHODS
from bench.contracts.network import ARCHITECTURES
from bench.core.errors import FieldError, SepbenchError
from bench.core.registry import UnknownName
from bench.core.validation import describe, first_mistake, shown
from bench.data.originals import open_originals
from bench.engine.recipe import Recipe
from bench.flows import choices
from bench.flows.protection import Protection
from bench.plan.make import plan_experiment
from bench.spec.experiment import Experiment
from bench.store.home import Home


def plan_protection(
    images: Path,
    *,
    method: str | Mapping[str, Any] = "sep-fast",
    budget: str | Budget = "linf-8",
    recipe: str | Mapping[str, Any] | None = None,
    surrogate: str | None = None,
    size: int | None = None,
    seed: int = 0,
    home: Home,
    device: torch.device,
    progress: Callable[[int], object] = lambda read: None,
) -> Protection:
    """Return what will be done to the pictures; every one of them is decoded, and nothing is written beside the home.

    Parameters
    ----------
    images
        A folder with one folder of pictures a class, parquet files in the Hugging Face layout, or an .npz.
    method
        Its name, or a mapping of the name to its parameters; parameters left out suit the device and the budget.
    budget
        Such as `linf-8`: no value of a pixel moves by more than 8 of 255 levels.
    recipe
        How the surrogate is trained: a recipe's name, or a mapping of its fields; None for what suits the number of
        pictures, their size and the device.
    surrogate
        Architecture of the protecting network; None for what the device trains within its time.
    size
        Side in pixels of the square at which perturbations are crafted; None for the pictures' own size, or what the
        device can work with.
    seed
        Of the surrogate and of crafting.
    progress
        Told how many pictures are read.

    Raises
    ------
    SepbenchError
        There are no such pictures, some cannot be protected, they are of one class, or an option is wrong.

    """
    name, given = _method(method)
    allowed = budget if isinstance(budget, Budget) else Budget.parse(budget)
    _check_norm(name, allowed)
    if surrogate is not None:
        ARCHITECTURES.get(surrogate)
    originals = open_originals(images)
    if len(originals.classes) < 2:
        raise SepbenchError(
            f"all {len(originals):,} pictures of {images} are of one class, '{originals.classes[0]}': a protection "
            f"hides what tells classes apart, so give pictures of two or more"
        )
    survey = originals.survey(progress)
    on = choices.kind_of(device)
    crafting = choices.crafting_size(survey.sizes, on, size)
    if allowed.norm == "l0" and crafting.side is not None:
        raise SepbenchError(
            f"budget {allowed} counts pixels, so pictures have to be crafted at their own size, and for these it would "
            f"be {crafting}: give pictures of one size, with sides of at most {choices.LARGEST[on]} pixels and no "
            f"other size asked for, or a method and a budget of norm linf or l2"
        )
    training = _recipe(recipe or choices.recipe(len(originals), on, crafting))
    fields = {
        "name": "protect",
        "recipe": training,
        "dataset": originals.spec(holdout=0.0, resize=crafting.side, fit=choices.FIT),
        "surrogate": surrogate or choices.network(on, crafting),
        "budgets": [allowed],
        "methods": [{name: choices.effort(name, given, allowed, training.epochs, on)}],
        "victims": [surrogate or choices.network(on, crafting)],
        "surrogate_seeds": [seed],
        "craft_seeds": [seed],
    }
    try:
        experiment = Experiment.model_validate(fields)
    except ValidationError as error:
        raise SepbenchError(_told(error)) from error
    if sum(row.name == name for row in experiment.methods) > 1:
        raise SepbenchError(f"method {name}: a list of values is several protections, give one value")
    _check_placement(experiment)
    plan = plan_experiment(experiment, home.cards, lambda cell: cell.method.name == name, crafting=True)
    return Protection(originals, survey, crafting, plan, home, device)


def _method(method: str | Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return name and parameters of the method; raises `SepbenchError` for what is no method or protects nothing."""
    written = {method: {}} if isinstance(method, str) else method
    if len(written) != 1:
        raise SepbenchError(f"method {shown(method)}: write its name, or one name with its parameters")
    name, given = next(iter(written.items()))
    if not METHODS.get(name).norms:
        raise SepbenchError(f"method '{name}' takes no budget and protects nothing: see sepbench ls methods for others")
    if not isinstance(given or {}, Mapping):
        raise SepbenchError(f"method {name}: parameters are a mapping, such as {{steps: 10}}, not {shown(given)}")
    return name, dict(given or {})


def _check_norm(method: str, budget: Budget) -> None:
    norms = METHODS.get(method).norms
    if budget.norm not in norms:
        raise SepbenchError(f"budget {budget}: method '{method}' keeps budgets of norm {' or '.join(norms)}, no others")
    if budget.size == 0:
        raise SepbenchError(f"budget {budget} lets nothing change: give a positive one")


def _recipe(recipe: str | Mapping[str, Any]) -> Recipe:
    try:
        return Recipe.model_validate(recipe if isinstance(recipe, str) else dict(recipe))
    except UnknownName:
        raise
    except ValidationError as error:
        mistake = first_mistake(error)
        field = ".".join(["recipe", *map(str, mistake["loc"])])
        raise SepbenchError(f"{field}: {describe(mistake, list(Recipe.model_fields))}") from error


def _told(error: ValidationError) -> str:
    """Return the first mistake in what was asked of a method, by the field that holds it."""
    mistake = first_mistake(error)
    cause = mistake.get("ctx", {}).get("error")
    path = cause.path[1:] if isinstance(cause, FieldError) else ()  # less the place in the list of methods
    return f"method {'.'.join(map(str, path))}: {describe(mistake, [])}" if path else describe(mistake, [])


def _check_placement(experiment: Experiment) -> None:
    """Raise `SepbenchError` where checkpoints are chosen by test images, which a person's own pictures lack."""
    for row in experiment.methods:
        if any(need.at is None and need.placement == "improving" for need in row.build().needs()):
            raise SepbenchError(
                f"method '{row.name}': placement improving looks at test images, and there are none: choose "
                f"equidistant, first or last"
            )
