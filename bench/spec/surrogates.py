"""How the surrogates that a method asks for are trained."""

from pydantic import ValidationError

from bench.contracts.defense import Defense, Defenses
from bench.contracts.method import Surrogate
from bench.core.errors import SepbenchError
from bench.core.validation import describe, first_mistake
from bench.engine.recipe import Recipe


def trained_by(need: Surrogate, recipe: Recipe) -> tuple[Recipe, Defenses]:
    """Return what a surrogate is trained by in an experiment with this recipe, and with which defenses.

    Raises `SepbenchError` where there is no such field or defense, or crafting could not load what was trained.
    """
    try:
        own = recipe.changed(need.recipe)
    except ValidationError as error:
        mistake = first_mistake(error)
        where = ".".join(map(str, mistake["loc"]))
        told = describe(mistake, [*Recipe.model_fields], in_yaml=False)
        raise SepbenchError(f"the recipe of its surrogate: {where}: {told}") from error
    defenses = Defenses.parse(need.defense)
    for part in defenses.chain:
        if type(part).network is not Defense.network or part.files:
            raise SepbenchError(
                f"its surrogate is trained with '{part.name}', which changes the network or reads files: that is for "
                f"victims alone"
            )
    return own, defenses
