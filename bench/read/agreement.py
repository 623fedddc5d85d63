"""Where a published number is of the same setting as ours, and in what it is known to differ all the same.

Plug-ins and recipes need torch, which takes a second to import; a table without published numbers goes without.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from pydantic import ValidationError

from bench.core.errors import SepbenchError
from bench.record.published import Published
from bench.spec.names import as_text

_CONSTANTS = "the constants of normalisation are fixed there, and measured on the training images here"


def differences(recipe: str, number: Published) -> tuple[str, ...] | None:
    """Return in what a number is known to differ from ours under a recipe; None where recipes are not comparable.

    One that fixes the constants of normalisation is comparable with one that measures them and is the same otherwise.
    """
    stated = (*_uneven(recipe, number), *([number.differs] if number.differs else []))
    if recipe == number.recipe:
        return stated
    ours, theirs = _fields(recipe), _fields(number.recipe)
    fixed = "normalisation" in theirs
    same_otherwise = ours == {name: value for name, value in theirs.items() if name != "normalisation"}
    return (_CONSTANTS, *stated) if fixed and same_otherwise else None


def same_method(method: str, params: Mapping[str, Any], number: Published) -> bool:
    """Return whether a number is of a method with these parameters, where those left out have their defaults."""
    from bench.contracts.method import METHODS
    from bench.spec.method_row import changed_parameters

    if method != number.method:
        return False
    if not METHODS.is_ours(method):  # whose defaults not everybody knows
        return {name: as_text(value) for name, value in params.items()} == published_parameters(number)
    return changed_parameters(method, params) == published_parameters(number)


def published_defense(number: Published) -> str:
    """Return the defense as records call it, or as the source does where this benchmark does not have it."""
    from bench.contracts.defense import DEFENSES, Defenses

    try:
        parsed = Defenses.parse(number.defense)
        return str(parsed) if all(DEFENSES.is_ours(part.name) for part in parsed.chain) else number.defense
    except (SepbenchError, ValidationError):
        return number.defense


def published_parameters(number: Published) -> dict[str, Any]:
    """Return the parameters of the method that are not its defaults, as records have them.

    Raises pydantic's ValidationError where the method does not have them.
    """
    complete = _parameters(number)
    if isinstance(complete, dict):
        return complete
    changed: dict[str, Any] = complete.model_dump(mode="json", exclude_defaults=True)
    return changed


def _parameters(number: Published) -> Any:
    """Return the validated parameters of the method, or what is written where this benchmark does not have it."""
    from bench.contracts.method import METHODS

    pairs = (pair.partition("=") for pair in (number.method_params or "").split(",") if pair)
    written: dict[str, Any] = {name: value for name, _, value in pairs}
    if not METHODS.is_ours(number.method):
        return written
    return METHODS.get(number.method).Params.model_validate(written, strict=False)


def _uneven(recipe: str, number: Published) -> Iterator[str]:
    """Say so where equidistant checkpoints do not divide the epochs: scripts then take others than this benchmark."""
    params, epochs = _parameters(number), _fields(recipe).get("epochs", 0)
    spaced = getattr(params, "placement", None) == "equidistant" and params.epochs is None
    if spaced and params.checkpoints < epochs and epochs % params.checkpoints:
        yield f"{params.checkpoints} checkpoints do not divide {epochs} epochs, and are spaced evenly here"


@cache
def _fields(recipe: str) -> dict[str, Any]:
    """Return what trainings under a recipe depend on; nothing where it is none of those that are shipped."""
    from bench.engine.recipe import Recipe, recipe_names

    return Recipe.model_validate(recipe).training_fields() if recipe in recipe_names() else {}
