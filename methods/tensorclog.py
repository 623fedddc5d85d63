"""Images that leave a trained network little to learn: the gradient of its parameters vanishes.

Shen, Zhu, and Ma, "TensorClog: An Imperceptible Poisoning Attack on Deep Neural Network Applications", IEEE Access
2019; signed steps within a budget as in Fowl et al., "Adversarial Examples Make Strong Poisons", NeurIPS 2021.
"""

from collections.abc import Callable, Iterator

from torch import Tensor

from bench.api import METHODS, Budget, CraftContext, CraftData, Field, Method, Params, Surrogate
from methods._adversarial_poisons import Training, trained
from methods._parameter_gradients import OfBatch, ParameterGradient, descend_by_batches, passes
from methods._pgd import PGD, ShiftsAndFlips, colour_of_zero


class TensorClogParams(Params):
    """Parameters of the descent; the defaults are those of the repository of adversarial poisons."""

    steps: int = Field(250, ge=1, description="gradient steps from each start")
    step_fraction: float = Field(0.05, gt=0, description="step size as a share of the budget")
    restarts: int = Field(8, ge=1, description="random starts, of which each batch keeps the best")
    batch_size: int = Field(512, ge=1, description="images whose mean gradient is to vanish, in their order")
    surrogate: Training = Field(
        "published", description="trained for 40 epochs as published, or as the experiment's recipe says"
    )


@METHODS.register("tensorclog")
class TensorClog(Method[TensorClogParams]):
    """Moves batches of images to where the cross-entropy gives a trained network's parameters no gradient.

    What later tables call TensorClog: PGD from random starts, through random views, down the norm of the gradient of
    all parameters in one vector. The gradient is the mean of a batch, as in the repository of adversarial poisons, and
    an image depends on its batch: images go in their order, `batch_size` at a time, and 1 takes each image alone. There
    one restart is kept for all images, by its last losses; here each batch keeps the start that ends with the lowest
    norm without a random view.

    The original setting is not offered. Its budget, 0.1 in normalised units, is none of ours, and its victim learns
    nothing but a last layer on features trained elsewhere; there each image descends alone and without signs, by 100
    steps of 1, on the norms of that layer's gradients + 0.01 * ||x - z||.
    """

    cite = "shen2019tensorclog"

    def needs(self) -> list[Surrogate]:
        """Return one run, trained as published or as everything else."""
        return trained(self.params.surrogate)

    def passes(self) -> float:
        """Return three a step, and one to compare each restart.

        A step differentiates twice; it takes one more where a batch is held in parts.
        """
        return passes(self.params.steps, self.params.restarts)

    def prepare(self, data: Callable[[], Iterator[CraftData]], ctx: CraftContext) -> None:
        """Take the network."""
        self.parameters = ParameterGradient(ctx.networks[-1])
        self.views = ShiftsAndFlips(colour_of_zero(ctx.networks[-1]))

    def craft(self, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
        """Run PGD on each batch and keep the run that ends best."""
        length = self.params.step_fraction * budget.radius
        pgd = PGD(self.params.steps, length, "normal", self.params.restarts, self.views)

        def loss(batch: CraftData) -> OfBatch:
            return OfBatch(self.parameters, batch.y, norm)

        return descend_by_batches(pgd, data, self.params.batch_size, loss, budget, ctx)


def norm(gradient: Tensor) -> Tensor:
    """Return the Euclidean norm of a vector, with a slope at 0 too."""
    return (gradient.square().sum() + 1e-12).sqrt()
