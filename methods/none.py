"""The clean reference."""

from torch import Tensor

from bench.api import METHODS, Budget, CraftContext, CraftData, Method


@METHODS.register("none")
class Nothing(Method):
    """The clean images: the reference of every victim and defense."""

    norms = ()

    def craft(self, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
        """Return the images as they are."""
        return data.x
