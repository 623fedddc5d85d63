"""What methods share that let a network learn for an epoch, and then move the noise of all images, in turns."""

from typing import Literal, Self, TypeVar

from pydantic import model_validator
from torch import Tensor

from bench.api import Budget, Cosine, CraftContext, CraftData, Field, Learner, Method, Params
from methods._online import Batches, learn, recipe_of


class EpochwiseParams(Params):
    """Parameters of the alternation; the defaults are the published ones for CIFAR-10."""

    epochs: int = Field(60, ge=1, description="of the network, each followed by steps of the noise")
    batch_size: int = Field(128, ge=2, description="images in a batch of the network")
    steps: int = Field(5, ge=1, description="signed steps of the noise after an epoch")
    lr: float = Field(0.1, gt=0, description="of the network")
    final_lr: float = Field(1e-6, ge=0, description="that half a cosine over the epochs leads to")
    momentum: float = Field(0.9, ge=0, lt=1, description="of its SGD")
    weight_decay: float = Field(1e-4, ge=0, description="of its SGD")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of the network; auto is bf16 on GPUs that have it"
    )

    @model_validator(mode="after")
    def _the_rate_falls(self) -> Self:
        if self.final_lr > self.lr:
            raise ValueError(f"final_lr is {self.final_lr:g} and above lr, {self.lr:g}, from which it falls: lower it")
        return self


P_co = TypeVar("P_co", bound=EpochwiseParams, covariant=True)


class Epochwise(Method[P_co]):
    """Base: the network learns from the protected images for an epoch, then they move from where they are.

    The network is the experiment's surrogate, freshly initialised, on images in [0, 1]. Each epoch has an order of its
    own, and images that do not fill its last batch wait for the next one.
    """

    trains = True

    def passes(self) -> float:
        """Return one for the network and the steps of the noise, in each epoch."""
        return self.params.epochs * (1 + self.params.steps)

    def craft(self, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
        """Train the network and the noise."""
        schedule = Cosine(each="epoch", final=self.params.final_lr / self.params.lr)
        recipe = recipe_of(self, schedule, self.params.epochs, normalise=False)
        protected, learner = data.x.clone(), Learner(ctx, data, recipe)
        order = Batches(len(data.x), self.params.batch_size, shuffled=True)
        for epoch in ctx.rounds(self.params.epochs, learner=learner, protected=protected):
            steps = range(epoch * len(order), (epoch + 1) * len(order))
            learn(learner, steps, order, protected, data.y, ctx, lambda batch, step: self._shown(batch, step, ctx))
            self._move(epoch, protected, learner, data, budget, ctx)
        return protected

    def _shown(self, batch: Tensor, step: int, ctx: CraftContext) -> Tensor:
        """Return what the network sees of a batch at a 0-based step."""
        return batch

    def _move(
        self, epoch: int, protected: Tensor, learner: Learner, data: CraftData, budget: Budget, ctx: CraftContext
    ) -> None:
        """Move the protected images in place after a 0-based epoch of the network."""
        raise NotImplementedError
