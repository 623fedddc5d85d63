"""Targeted PGD on one fully trained network: SEP with a single checkpoint.

Fowl et al., "Adversarial Examples Make Strong Poisons", NeurIPS 2021.
"""

from collections.abc import Callable, Iterator
from typing import Literal

from torch import Tensor

from bench.api import METHODS, Budget, CraftContext, CraftData, Ensemble, Field, Surrogate
from methods._pgd import PGD, crops_and_flips
from methods._self_ensemble import SelfEnsembleParams, one_run
from methods._targeted import TargetedMethod, step_length, targets


class SingleCheckpointParams(SelfEnsembleParams):
    """Parameters of targeted PGD; by default SEP with its last checkpoint alone."""

    checkpoints: int = Field(1, ge=1, le=1, description="the last checkpoint alone")
    epochs: tuple[int, ...] | None = Field(
        None, min_length=1, max_length=1, strict=False, description="0-based epoch of another one"
    )
    step_fraction: float | None = Field(None, gt=0, description="step size as a share of the budget, for any budget")
    start: Literal["clean", "normal"] = Field("clean", description="clean, or a normal draw of the budget's size")
    augment: bool = Field(False, description="differentiate through a random crop and flip, drawn anew each step")
    restarts: int = Field(1, ge=1, description="runs, of which each image keeps the one with the lowest loss")


@METHODS.register("single-checkpoint")
class SingleCheckpoint(TargetedMethod[SingleCheckpointParams]):
    """Targeted PGD on the last checkpoint alone: the n = 1 of SEP.

    Starts, restarts and views are there to see what they are worth; `tap` is what was published of that kind.
    """

    cite = "fowl2021adversarial"
    version = 2

    def needs(self) -> list[Surrogate]:
        """Return one run with the checkpoint that is asked for."""
        return one_run(self.params)

    def passes(self) -> float:
        """Return steps times restarts."""
        return self.params.steps * self.params.restarts

    def reach(self, budget: Budget) -> float | None:
        """Return the length of all steps together, as a share of the budget; None from random starts."""
        return self.params.steps * self._step_length(budget) / budget.radius if self.params.start == "clean" else None

    def prepare(self, data: Callable[[], Iterator[CraftData]], ctx: CraftContext) -> None:
        """Freeze the checkpoint."""
        self.ensemble = Ensemble(ctx.networks, precision=self.params.precision)

    def craft(self, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
        """Run targeted PGD from each start and keep, for each image, the run that ends with the lowest loss."""
        pgd = PGD(
            self.params.steps,
            self._step_length(budget),
            self.params.start,
            self.params.restarts,
            crops_and_flips if self.params.augment else None,
        )
        return pgd(data, targets(data, self.params.shift), self.ensemble, budget, ctx)

    def _step_length(self, budget: Budget) -> float:
        if self.params.step_fraction is None:
            return step_length(budget, self.params)
        return self.params.step_fraction * budget.radius
