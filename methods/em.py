"""Error-minimising noise: a network and the noise are trained in turns, until there is nothing left to learn.

Huang et al., "Unlearnable Examples: Making Personal Data Unexploitable", ICLR 2021.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from bench.api import (
    METHODS,
    Budget,
    CraftContext,
    CraftData,
    Ensemble,
    Field,
    Learner,
    Method,
    Params,
    Rounding,
    SepbenchError,
    Steps,
    sent,
)
from methods._online import Batches, blocks, error, learn, recipe_of, search
from methods._pgd import PGD


class EMParams(Params):
    """Parameters of the alternation; the defaults are the published ones for CIFAR-10."""

    noise: Literal["sample-wise", "class-wise"] = Field(
        "sample-wise", description="one perturbation for each image, or one for each class"
    )
    rounds: int = Field(50, ge=1, description="after so many without reaching stop_error it fails")
    stop_error: float = Field(0.01, ge=0, le=1, description="share of protected images that the network may mistake")
    batches: int = Field(10, ge=1, description="that the network learns from in a round")
    batch_size: int = Field(512, ge=2, description="images in such a batch")
    steps: int | None = Field(
        None, ge=1, description="of the noise in a round; unset, 20 sample-wise and 1 class-wise, as published"
    )
    step_fraction: float = Field(0.1, gt=0, description="step size as a share of the budget")
    portion: float = Field(0.2, gt=0, le=1, description="of the images that class-wise noise is made from")
    lr: float = Field(0.1, gt=0, description="of the network, constant")
    momentum: float = Field(0.9, ge=0, lt=1, description="of its SGD")
    weight_decay: float = Field(5e-4, ge=0, description="of its SGD")
    clip_gradient: float = Field(5.0, gt=0, description="largest norm of its gradient")
    positive_half_only: bool = Field(
        False, description="as released: victims are shown no perturbation that darkens a value"
    )
    truncate: bool = Field(False, description="as released: cut to uint8 instead of rounding; leaves the budget")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of the networks; auto is bf16 on GPUs that have it"
    )


@METHODS.register("em")
class EM(Method[EMParams]):
    """Lowers the loss of a network that learns meanwhile: in turns, some batches of SGD, then steps of the noise.

    The network is the experiment's surrogate, freshly initialised, on images in [0, 1] without augmentation or
    normalisation. Sample-wise, it learns from the next batches of the protected set in its order, at a constant rate;
    then all images take signed steps that lower their loss, from where they are. Class-wise, both see full batches of a
    random portion of the images; a class's perturbation becomes the mean of those that its images in a batch would have
    after a step, batch after batch, and the network learns from sums that are not clipped to [0, 1]. Rounds end once
    the network, in eval mode, mistakes no more than a share of the images, or of the portion; only the last noise
    counts. The released loop has no limit of rounds.
    """

    trains = True
    cite = "huang2021unlearnable"

    @property
    def rounding(self) -> Rounding:
        """How the harness turns the crafted images into bytes."""
        return "truncate" if self.params.truncate else "nearest"

    @property
    def _steps(self) -> int:
        return self.params.steps or (20 if self.params.noise == "sample-wise" else 1)

    def passes(self) -> float:
        """Return the steps of the noise in all rounds that there may be."""
        return self.params.rounds * self._steps * (1 if self.params.noise == "sample-wise" else self.params.portion)

    def image_passes(self) -> float:
        """Return the images that the network learns from."""
        return self.params.rounds * self.params.batches * self.params.batch_size

    def craft(self, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
        """Train the network and the noise."""
        recipe = recipe_of(self, Steps(at=()), normalise=False, clip_gradient=self.params.clip_gradient)
        learner = Learner(ctx, data, recipe)
        by_class = self.params.noise == "class-wise"
        protected = (self._by_class if by_class else self._by_sample)(learner, data, budget, ctx)
        if self.params.positive_half_only:
            protected = torch.maximum(protected, data.x)
        return protected

    def _by_sample(self, learner: Learner, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
        protected = data.x.clone()
        order = Batches(len(data.x), self.params.batch_size, shuffled=False)
        pgd = PGD(self._steps, self.params.step_fraction * budget.radius)
        rounds = ctx.rounds(self.params.rounds, learner=learner, protected=protected)
        for round_ in self._until_learnt(rounds, lambda: error(learner, protected, data.y)):
            learn(learner, self._steps_of(round_), order, protected, data.y, ctx)
            search(learner, pgd, data, protected, budget, ctx, self.params.precision)
        return protected

    def _by_class(self, learner: Learner, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
        noise = torch.zeros(data.classes, *data.x.shape[1:], device=data.x.device)
        count = min(max(round(self.params.portion * len(data.x)), 2), len(data.x))
        subset = torch.randperm(len(data.x), generator=ctx.generator("portion"))[:count].to(data.x.device)
        x, y = data.x[subset], data.y[subset]
        labels = y.cpu()
        _check_classes(data.y.cpu(), labels)
        order = Batches(count, self.params.batch_size, shuffled=True)
        searched = replace(order, purpose="noise")
        rounds = ctx.rounds(self.params.rounds, learner=learner, noise=noise)
        for round_ in self._until_learnt(rounds, lambda: error(learner, x + noise[y], y)):
            learn(learner, self._steps_of(round_), order, x + noise[y], y, ctx)
            ensemble = Ensemble([learner.network], precision=self.params.precision, backend=None)
            for batch in ctx.progress(range(len(searched))):
                here = searched(round_ * len(searched) + batch, ctx, labels.device)
                chosen = sent(here, data.x.device)
                self._renew(noise, x[chosen], y[chosen], labels[here], ensemble, budget)
            ctx.spent += ensemble.passes
        protected = torch.empty_like(data.x)
        for part in blocks(data):
            protected[part] = budget.project(data.x[part], data.x[part] + noise[data.y[part]])
        return protected

    def _steps_of(self, round_: int) -> range:
        """Return the steps of the network in a round, counted from the first of all."""
        return range(round_ * self.params.batches, (round_ + 1) * self.params.batches)

    def _renew(self, noise: Tensor, x: Tensor, y: Tensor, labels: Tensor, ensemble: Ensemble, budget: Budget) -> None:
        """Let the perturbation of each class that is there be the mean of those of its images after their steps.

        `labels` are `y` on the CPU: looking for classes on a GPU would have to wait for it.
        """
        moved, length = budget.project(x, x + noise[y]), self.params.step_fraction * budget.radius
        for _ in range(self._steps):
            moved = budget.project(x, moved - length * budget.direction(ensemble.mean_gradient(moved, y)))
        for label in labels.unique().tolist():
            own = sent((labels == label).nonzero()[:, 0], x.device)
            noise[label] = (moved[own] - x[own]).mean(0)

    def _until_learnt(self, rounds: Iterator[int], error: Callable[[], float]) -> Iterator[int]:
        """Yield the rounds until the error is small enough; raises `SepbenchError` where it does not become so."""
        for round_ in rounds:
            if round_ and error() <= self.params.stop_error:
                return
            yield round_
        left = error()
        if left > self.params.stop_error:
            count = "1 round" if self.params.rounds == 1 else f"{self.params.rounds} rounds"
            raise SepbenchError(
                f"em: after {count} its network mistakes {100 * left:.3g} % of the protected "
                f"images, and is to mistake {100 * self.params.stop_error:g} % at most: raise rounds, batches or "
                f"stop_error, and it begins anew"
            )


def _check_classes(all_labels: Tensor, shown: Tensor) -> None:
    """Raise `SepbenchError` where a class would stay clean, as none of its images is in the portion."""
    missing = sorted({*all_labels.tolist()} - {*shown.tolist()})
    if missing:
        raise SepbenchError(
            f"em: of class {missing[0]} no image is among the {len(shown)} that class-wise noise is made from: raise "
            f"portion"
        )
