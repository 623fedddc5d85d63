"""Game Unlearnable Examples: generator and classifier as leader and follower of a game, by first-order steps.

Liu et al., "Game-Theoretic Unlearnable Example Generator", AAAI 2024.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.api import METHODS, Budget, CraftContext, CraftData, Field, Learner, Method, Steps
from methods._generators import Generator, GeneratorParams
from methods._online import Batches, recipe_of

_OTHER_PASSES = 4
"""Gradients of an image besides those of the follower's answer: of the leader's loss, of both networks of the gap, of
the generator."""


class GUEParams(GeneratorParams):
    """Parameters of the game; the defaults are the published ones for CIFAR-10."""

    epochs: int = Field(50, ge=1, description="that generator and classifier learn for")
    generator_lr: float = Field(0.1, gt=0, description="of the generator, by SGD without momentum")
    inner_steps: int = Field(10, ge=1, description="of Adam, from where the classifier is to what it would answer with")
    inner_lr: float = Field(1e-4, gt=0, description="of these steps")
    eta: float = Field(1.5, gt=0, description="how fast the gap to that answer is to close, against the leader's loss")


@METHODS.register("gue")
class GUE(Method[GUEParams]):
    """Noise of a U-Net, the leader of a game in which a classifier answers by learning from the noisy images.

    The leader wants the classifier, the experiment's surrogate, to take clean images for their least likely wrong
    class; the follower wants a low loss on protected ones. For each batch a copy of the follower takes some steps of
    Adam on the protected images, and how much lower its loss is then is the gap. The follower steps down the leader's
    loss and down the gap, by the least weight with which the gap closes at a rate of eta; the generator steps down the
    gap by the same weight. Images are in [0, 1], neither normalised nor augmented, and each epoch has an order of its
    own. All networks go by the statistics of the batch; the running ones of the generator are of the images that it was
    shown, once in a batch. The last generator, in eval mode, makes the images.

    A gradient of the generator counts like one of the classifier.

    The released script keeps the generator on whose images a network trained for five epochs has the lowest test
    accuracy, which is a leak: there is no such choice here. Of its variant against adversarial training there is none.
    """

    norms = ("linf",)
    trains = True
    cite = "liu2024game"

    def passes(self) -> float:
        """Return the gradients of a step in each epoch, at most: images that fill no batch wait for the next epoch."""
        return self.params.epochs * (self.params.inner_steps + _OTHER_PASSES)

    def craft(self, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
        """Let generator and classifier play, and the last generator make the images."""
        params = self.params
        recipe = recipe_of(self, Steps(at=()), momentum=0.0, weight_decay=0.0, normalise=False)
        learner = Learner(ctx, data, recipe)
        generator = Generator(ctx, budget, params, lambda weights: torch.optim.SGD(weights, lr=params.generator_lr))
        generator.network.train()
        order = Batches(len(data.x), params.batch_size, shuffled=True)
        before_the_end = self.passes() / (self.passes() + 1)
        rounds = ctx.rounds(
            params.epochs * len(order), "training", (0.0, before_the_end), generator=generator, learner=learner
        )
        for step in rounds:
            chosen = order(step, ctx, data.x.device)
            with learner.learning(step):
                self._play(data.x[chosen], data.y[chosen], generator, learner)
            ctx.spent += (params.inner_steps + _OTHER_PASSES) * len(chosen)
            if (step + 1) % len(order) == 0:
                learner.check(f"epoch {(step + 1) // len(order)}")
                generator.check(f"epoch {(step + 1) // len(order)}")
        return generator.all_images(data, ctx, before_the_end)

    def _play(self, x: Tensor, y: Tensor, generator: Generator, learner: Learner) -> None:
        """Let both step, by the gradients that they have before it."""
        protected, weights = generator.images(x), list(learner.network.parameters())
        answer = self._answer(protected.detach(), y, learner)
        of_leader = torch.autograd.grad(_least_likely_loss(learner.logits(x), y), weights)
        gap = F.cross_entropy(learner.logits(protected), y) - F.cross_entropy(learner.logits(protected, answer), y)
        of_gap = torch.autograd.grad(gap, [*generator.parameters, *weights])
        of_generator, of_follower = of_gap[: -len(weights)], of_gap[-len(weights) :]
        weight = self._weight(of_gap, of_leader, of_follower)
        generator.descend([weight * one for one in of_generator])
        learner.descend([leader + weight * one for leader, one in zip(of_leader, of_follower, strict=True)])

    def _answer(self, protected: Tensor, y: Tensor, learner: Learner) -> dict[str, Tensor]:
        """Return the parameters that the follower would have after some steps on the protected images."""
        answer = {name: value.detach().clone().requires_grad_() for name, value in learner.network.named_parameters()}
        optimizer = torch.optim.Adam(answer.values(), lr=self.params.inner_lr)
        for _ in range(self.params.inner_steps):
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(learner.logits(protected, answer), y).backward()
            optimizer.step()
        return {name: value.detach() for name, value in answer.items()}

    def _weight(self, of_gap: Sequence[Tensor], of_leader: Sequence[Tensor], of_follower: Sequence[Tensor]) -> Tensor:
        """Return how much the gap counts: least so that, to first order, it closes at a share of eta; a scalar."""
        square, along = _product(of_gap, of_gap), _product(of_leader, of_follower)
        # Where the gap has no slope there is nothing that a weight would change.
        return torch.where(square > 0, (self.params.eta - along / square).clamp_min(0), 0)


def _least_likely_loss(logits: Tensor, y: Tensor) -> Tensor:
    """Return the mean over images of the largest cross-entropy that a wrong class has, a scalar."""
    losses = -logits.log_softmax(1)
    own = F.one_hot(y, logits.shape[1]).bool()
    return losses.masked_fill(own, -torch.inf).amax(1).mean()


def _product(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
    return torch.stack([(one * other).sum() for one, other in zip(first, second, strict=True)]).sum()
