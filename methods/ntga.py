"""Neural tangent generalization attack: a network of infinite width learns nothing of use from the images.

Yuan and Wu, "Neural Tangent Generalization Attacks", ICML 2021.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.api import METHODS, Budget, CraftContext, CraftData, Field, Method, Params, SepbenchError
from methods._tangent_kernel import WideNetwork, descended

_VALIDATED_AT_ONCE = 1_000  # images: what autograd keeps of their kernel with a block is some hundred MB


class NTGAParams(Params):
    """Parameters of the attack and of the infinitely wide network."""

    t: float = Field(64.0, gt=0, description="how long the network is trained, in steps of gradient descent of rate 1")
    steps: int = Field(10, ge=1, description="gradient steps")
    reach: float = Field(1.1, gt=0, description="length of all steps together, in budgets")
    block: int = Field(512, ge=1, description="images at most that the network is trained on together")
    validation: float = Field(0.2, gt=0, le=0.5, description="share of the images that the others are validated on")
    layers: int = Field(5, ge=1, description="hidden layers, with the error function as activation")
    weight_variance: float = Field(1.76, gt=0, description="of a layer's weights, times its fan-in")
    bias_variance: float = Field(0.18, ge=0, description="of a layer's biases")
    ridge: float = Field(1e-4, gt=0, description="added to the kernel's diagonal, as a share of the diagonal's mean")
    one_step: bool = Field(
        False,
        description="as released: each step starts at the clean images, as long as the budget: one is enough",
    )


@METHODS.register("ntga")
class NTGA(Method[NTGAParams]):
    """Makes a network of infinite width err on clean images after some time of gradient descent on the protected ones.

    Steps climb the cross-entropy of clean validation images. Their predictions by a fully connected network, trained on
    a block of protected images on the squared error, follow in closed form from its neural tangent kernel, in double
    precision. The authors' convolutional kernel is not offered.

    The published code leaves the last fifth of the shuffled images unprotected and validates on it, drops those that
    fill no block of 512, and returns the shuffled order. Here the order stays and every image is protected: a share,
    drawn at random, is what the others are validated on, and itself is validated on as many of these. Blocks are as
    equal in size as can be. No network is trained, so no passes are counted.
    """

    cite = "yuan2021neural"

    def craft(self, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
        """Move the images of each block up the loss of its validation images, all of which are clean."""
        protected, work = data.x.clone(), list(self._blocks(len(data.x), ctx))
        for index in ctx.rounds(len(work), "blocks", protected=protected):
            (block, validation), length = work[index], self._length(budget)
            clean = x = data.x[block].double()
            for _ in ctx.progress(range(self._steps)):
                gradient = self._gradient(x, data.y[block], data.x[validation], data.y[validation], data.classes)
                x = budget.project(clean, x + length * budget.direction(gradient))
            protected[block] = x.to(protected)
        return protected

    def _blocks(self, count: int, ctx: CraftContext) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield positions of the images of each block, and of those that it is validated on."""
        if count < 2:
            raise SepbenchError("ntga validates images on others, and there is only one: protect at least two")
        order = torch.randperm(count, generator=ctx.generator("order")).to(ctx.device)
        held = max(1, int(self.params.validation * count))
        others, share = order[:-held], order[-held:]
        for part, validation in ((others, share), (share, others[:held])):
            for block in part.tensor_split(-(-len(part) // self.params.block)):
                yield block, validation

    @property
    def _steps(self) -> int:
        # As released, every step is the same: a single one gives what the last would.
        return 1 if self.params.one_step else self.params.steps

    def _length(self, budget: Budget) -> float:
        return budget.radius if self.params.one_step else self.params.reach * budget.radius / self.params.steps

    def _gradient(self, x: Tensor, y: Tensor, validation: Tensor, labels: Tensor, classes: int) -> Tensor:
        """Return the gradient of the summed cross-entropy of the validation images, [B, 3, H, W]."""
        network = WideNetwork(self.params.layers, self.params.weight_variance, self.params.bias_variance)
        rows = x.flatten(1).requires_grad_()
        kernel = network.kernel(rows, rows)
        kernel = kernel + self.params.ridge * kernel.diagonal().mean() * torch.eye(
            len(x), dtype=kernel.dtype, device=kernel.device
        )
        weights = descended(kernel, F.one_hot(y, classes).to(kernel), self.params.t)
        fixed = weights.detach().requires_grad_()
        total, of_weights = torch.zeros_like(rows), torch.zeros_like(weights)
        parts = zip(validation.flatten(1).split(_VALIDATED_AT_ONCE), labels.split(_VALIDATED_AT_ONCE), strict=True)
        for seen, target in parts:
            loss = F.cross_entropy(network.kernel(seen.double(), rows) @ fixed, target, reduction="sum")
            for sum_, gradient in zip((total, of_weights), torch.autograd.grad(loss, (rows, fixed)), strict=True):
                sum_ += gradient
        return (total + torch.autograd.grad(weights, rows, of_weights)[0]).view_as(x)
