"""Targeted PGD on one fully trained network: SEP with a single checkpoint, or TAP with its published settings.

Fowl et al., "Adversarial Examples Make Strong Poisons", NeurIPS 2021.
"""

from collections.abc import Callable, Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.api import (
    METHODS,
    Augmentation,
    Budget,
    CraftContext,
    CraftData,
    Ensemble,
    Field,
    Surrogate,
    augment,
    draw,
)
from methods._self_ensemble import SelfEnsembleParams, one_run
from methods._targeted import TargetedMethod, step_length, targets

_AUGMENTATION = Augmentation(crop_padding=4, flip=True)


class SingleCheckpointParams(SelfEnsembleParams):
    """Parameters of targeted PGD; by default SEP with its last checkpoint alone.

    TAP as published: shift 1, steps 250, step_fraction 0.05, start normal, augment true, restarts 8, on a network
    trained for 40 epochs.
    """

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
    """Targeted PGD on the last checkpoint alone: the n = 1 of SEP, and with its published settings TAP.

    TAP's published code keeps the restart with the lowest mean loss of a batch; here each image keeps its own best,
    so that the result does not depend on batches.
    """

    cite = "fowl2021adversarial"
    version = 2

    def needs(self) -> list[Surrogate]:
        """Return one run with the checkpoint that is asked for."""
        return one_run(self.params)

    def passes(self) -> float:
        """Return steps times restarts."""
        return self.params.steps * self.params.restarts

    def prepare(self, data: Callable[[], Iterator[CraftData]], ctx: CraftContext) -> None:
        """Freeze the checkpoint."""
        self.ensemble = Ensemble(ctx.networks, precision=self.params.precision)

    def craft(self, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
        """Run targeted PGD from each start and keep, for each image, the run that ends with the lowest loss."""
        target, length = targets(data, self.params.shift), self._step_length(budget)
        ticks = ctx.progress(range(self.params.restarts * self.params.steps))
        best, lowest = data.x, torch.full_like(data.x[:, 0, 0, 0], torch.inf)
        for restart in range(self.params.restarts):
            x = self._start(restart, data, budget, ctx)
            for step, _ in zip(range(self.params.steps), ticks, strict=False):
                gradient = self._gradient(restart, step, x, target, data, ctx)
                x = budget.project(data.x, x - length * budget.direction(gradient))
            if self.params.restarts == 1:
                return x
            loss = self._losses(x, target)
            better = loss < lowest if restart else torch.ones_like(loss, dtype=torch.bool)  # also than NaN
            best = torch.where(better[:, None, None, None], x, best)
            lowest = torch.where(better, loss, lowest)
        return best

    def _step_length(self, budget: Budget) -> float:
        if self.params.step_fraction is None:
            return step_length(budget, self.params)
        return self.params.step_fraction * budget.radius

    def _gradient(
        self, restart: int, step: int, x: Tensor, target: Tensor, data: CraftData, ctx: CraftContext
    ) -> Tensor:
        if not self.params.augment:
            return self.ensemble.mean_gradient(x, target)
        # Drawn for the whole training set: what an image gets does not depend on the shard it is in.
        draws = draw(ctx.images, _AUGMENTATION, ctx.generator("augment", restart, step), x.shape[-2:])
        draws = draws[data.index].to(ctx.device)
        x = x.detach().requires_grad_()
        seen = augment(x, draws, _AUGMENTATION.crop_padding)
        gradient = self.ensemble.mean_gradient(seen.detach(), target)
        return torch.autograd.grad(seen, x, gradient)[0]

    def _losses(self, x: Tensor, target: Tensor) -> Tensor:
        with torch.no_grad():
            return F.cross_entropy(self.ensemble.networks[0](x).to(x.dtype), target, reduction="none")

    def _start(self, restart: int, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
        if self.params.start == "clean":
            return data.x
        # One stream for each image: what it starts from does not depend on the shard it is in.
        noise = torch.stack(
            [torch.randn(data.x.shape[1:], generator=ctx.generator("start", restart, i)) for i in data.index.tolist()]
        ).to(data.x)
        scale = budget.radius if budget.norm == "linf" else budget.radius / data.x[0].numel() ** 0.5
        return budget.project(data.x, data.x + scale * noise)
