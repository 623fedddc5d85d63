"""Images that teach a network what wrong labels would: gradients of parameters align. Reconstructed.

Fowl et al., "Preventing Unauthorized Use of Proprietary Data: Poisoning for Secure Dataset Release", 2021.
"""

from collections.abc import Callable, Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.api import METHODS, Budget, CraftContext, CraftData, Field, Method, Params, Surrogate
from methods._parameter_gradients import OfBatch, ParameterGradient, cross_entropy, descend_by_batches, passes
from methods._pgd import PGD, ShiftsAndFlips, colour_of_zero
from methods._targeted import targets


class GradientAlignmentParams(Params):
    """Parameters of the descent and of what is aligned to."""

    target: Literal["reverse-ce", "target-class"] = Field(
        "reverse-ce", description="gradient to align to: of -log(1 - p) of the own class, or of another class"
    )
    shift: int = Field(1, ge=1, description="the other class is y + shift")
    steps: int = Field(250, ge=1, description="gradient steps from each start")
    step_fraction: float = Field(0.05, gt=0, description="step size as a share of the budget")
    restarts: int = Field(1, ge=1, description="random starts, of which each batch keeps the best")
    batch_size: int = Field(256, ge=1, description="images whose mean gradients are aligned, in their order")


@METHODS.register("gradient-alignment")
class GradientAlignment(Method[GradientAlignmentParams]):
    """Reconstructed: turns the gradient of a batch's parameters to that which wrong labels would give.

    No code was released; this follows the paper's summary and what the same authors keep in their later repository. On
    one network, trained as everything else, PGD from a normal start and through random views descends on 1 - cos(G, t).
    G is the gradient of the batch's mean cross-entropy for all parameters in one vector; t is computed once, from the
    clean images of the batch: the gradient of -log(1 - p) of their classes (`reverse-ce`, the authors' loss), or of the
    cross-entropy of the next class (`target-class`, as the SEP paper describes it).

    An image depends on its batch: images go in their order, `batch_size` at a time. That size, restarts and the
    number of networks are not known of the original.
    """

    cite = "fowl2021preventing"

    def needs(self) -> list[Surrogate]:
        """Return one run."""
        return [Surrogate(placement="last")]

    def passes(self) -> float:
        """Return three a step, one for the targets, and one to compare each restart.

        A step differentiates twice; it takes one more where a batch is held in parts.
        """
        return 1 + passes(self.params.steps, self.params.restarts)

    def prepare(self, data: Callable[[], Iterator[CraftData]], ctx: CraftContext) -> None:
        """Take the network."""
        self.parameters = ParameterGradient(ctx.networks[-1])
        self.views = ShiftsAndFlips(colour_of_zero(ctx.networks[-1]))

    def craft(self, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
        """Run PGD on each batch, towards what its clean images would teach with wrong labels."""
        length = self.params.step_fraction * budget.radius
        pgd = PGD(self.params.steps, length, "normal", self.params.restarts, self.views)

        def loss(batch: CraftData) -> OfBatch:
            target = self._target(batch)
            return OfBatch(self.parameters, batch.y, lambda gradient: 1 - F.cosine_similarity(gradient, target, dim=0))

        return descend_by_batches(pgd, data, self.params.batch_size, loss, budget, ctx)

    def _target(self, batch: CraftData) -> Tensor:
        if self.params.target == "reverse-ce":
            return self.parameters.of(batch.x, batch.y, reverse_cross_entropy)
        return self.parameters.of(batch.x, targets(batch, self.params.shift), cross_entropy)


def reverse_cross_entropy(logits: Tensor, classes: Tensor) -> Tensor:
    """Return the sum over images of -log(1 - p) of their classes, finite where p is nearly 1."""
    others = logits.scatter(1, classes[:, None], -torch.inf)
    return (logits.logsumexp(1) - others.logsumexp(1)).sum()
