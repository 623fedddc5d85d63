"""Somebody else's protected set."""

from torch import Tensor

from bench.api import METHODS, Brought, Budget, CraftContext, CraftData, Field, Method, Params, SepbenchError, Surrogate


class BroughtParams(Params):
    """Which images, and what they are called."""

    sha256: str = Field("", description="digest of the training set with these images; sepbench evaluate tells it")
    spent: dict[str, int | float] = Field({}, description="what its files differ by from the clean ones, at their size")
    called: str = Field("brought", min_length=1, exclude=True, description="name of their method, which is in no key")


@METHODS.register("brought")
class BroughtImages(Method[BroughtParams]):
    """Exactly the images that somebody brought, made elsewhere: what `sepbench evaluate` judges."""

    norms = ("linf", "l2", "l0", "unbounded")
    per_sample = True

    @property
    def brought(self) -> Brought:
        """Which images these are."""
        return Brought(self.params.called, self.params.sha256, self.params.spent)

    def needs(self) -> list[Surrogate]:
        """Return nothing, where images are named; refuse to do without."""
        if not self.params.sha256:
            raise SepbenchError("no images are named: sepbench evaluate PROTECTED --clean DATA brings and judges some")
        return []

    def craft(self, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
        """Return the images that were brought."""
        assert ctx.brought is not None, "the harness gives what `brought` names"
        return ctx.brought[data.index].to(data.x.device).float() / 255
