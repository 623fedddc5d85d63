"""Self-Ensemble Protection: the checkpoints of one training run as an ensemble.

Chen et al., "Self-Ensemble Protection: Training Checkpoints Are Good Data Protectors", ICLR 2023.
"""

from collections.abc import Callable, Iterator

from torch import Tensor

from bench.api import METHODS, Budget, CraftContext, CraftData, Field, Method, Params, Surrogate
from methods._ensemble import Ensemble


class SEPParams(Params):
    """Parameters of SEP."""

    checkpoints: int = Field(30, ge=1, description="how many checkpoints of the one run, equidistant")
    steps: int = Field(30, ge=1, description="gradient steps")
    step_size: float | None = Field(
        None, gt=0, description="levels of 1/255 (linf) or [0, 1] scale (l2); unset: 1 level, 2.5 radius / steps"
    )
    shift: int | None = Field(None, ge=1, description="target class y + shift; half the number of classes if unset")
    network: str | None = Field(None, description="architecture of the surrogate; the experiment's if unset")


@METHODS.register("sep")
class SEP(Method):
    """Self-Ensemble Protection: signed steps along the mean gradient of a run's checkpoints.

    Every image is moved towards the class half the number of classes ahead, by targeted PGD on the raw gradients
    of cross-entropy averaged over the checkpoints.
    """

    cite = "chen2023selfensemble"
    per_sample = True
    Params = SEPParams

    def needs(self) -> list[Surrogate]:
        """Return one run with equidistant checkpoints."""
        return [Surrogate(checkpoints=self.params.checkpoints, network=self.params.network)]

    def passes(self) -> float:
        """Return checkpoints times steps."""
        return float(self.params.checkpoints * self.params.steps)

    def prepare(self, data: Callable[[], Iterator[CraftData]], ctx: CraftContext) -> None:
        """Freeze the checkpoints."""
        self.ensemble = Ensemble(ctx.surrogates[0])

    def craft(self, data: CraftData, budget: Budget | None, ctx: CraftContext) -> Tensor:
        """Descend on the cross-entropy towards the target class."""
        assert budget is not None
        target = (data.y + (self.params.shift or data.classes // 2)) % data.classes
        step = self._step(budget)
        x = data.x
        for _ in ctx.progress(range(self.params.steps)):
            gradient = self.ensemble.mean_gradient(x, target)
            x = budget.project(data.x, x - step * budget.direction(gradient))
        return x

    def _step(self, budget: Budget) -> float:
        if budget.norm == "linf":
            return float(self.params.step_size or 1.0) / 255
        return float(self.params.step_size or 2.5 * budget.radius / self.params.steps)
