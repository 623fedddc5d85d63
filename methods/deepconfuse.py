"""DeepConfuse: a U-Net learns which noise, learnt by a classifier, makes it wrong about clean images.

Feng et al., "Learning to Confuse: Generating Training Time Adversarial Data with Auto-Encoder", NeurIPS 2019.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.api import METHODS, Budget, CraftContext, CraftData, Field, Learner, Method, Steps
from methods._generators import Generator, GeneratorParams
from methods._online import Batches, recipe_of

_PASSES_OF_A_STEP = 6
"""Gradients of an image: three of the step that is looked ahead, one of the loss after it, one of the generator, one of
the classifier's own step."""


class DeepConfuseParams(GeneratorParams):
    """Parameters of the trials; the defaults are those of the released script for CIFAR-10."""

    trials: int = Field(1000, ge=1, description="fresh classifiers, one after the other; 500 in the paper, 50 in short")
    epochs: int = Field(20, ge=1, description="that each of them learns for; the paper does not say; 1 in short")
    generator_lr: float = Field(1e-4, gt=0, description="of the generator, by Adam")


@METHODS.register("deepconfuse")
class DeepConfuse(Method[DeepConfuseParams]):
    """Noise of a U-Net that learns what misleads a classifier: its loss on clean images rises with its next step.

    In each trial a fresh classifier, the experiment's surrogate, learns from the images of the generator as it was when
    the trial began. Before each step of it, Adam raises the loss that it would have on the clean batch after a step on
    the images of the new generator, which replaces the old one at the end of the trial. Images are in [0, 1], neither
    normalised nor augmented, and each epoch has an order of its own. The new generator and the classifier go by the
    statistics of the batch, the old generator by its running ones; looking ahead leaves those of the classifier alone.
    The last generator, in eval mode, makes the images.

    As published this takes 120,000 passes. A short profile is `trials: 50, epochs: 1`, of 300; it stands in the row. A
    gradient of the generator counts like one of the classifier.

    The released script keeps the generator with the lowest test accuracy, which is a leak: there is no such choice
    here. It was published with a VGG-11 and noise of up to 0.032, or 8.16 levels; here the budget is the experiment's.
    """

    norms = ("linf",)
    trains = True
    cite = "feng2019learning"

    def passes(self) -> float:
        """Return six for each epoch of each trial, at most: images that fill no batch wait for the next epoch."""
        return _PASSES_OF_A_STEP * self.params.trials * self.params.epochs

    def craft(self, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
        """Train generator and classifiers, and let the last generator make the images."""
        params = self.params
        recipe = recipe_of(self, Steps(at=()), momentum=0.0, weight_decay=0.0, normalise=False)
        new, old = (
            Generator(ctx, budget, params, lambda weights: torch.optim.Adam(weights, lr=params.generator_lr))
            for _ in range(2)
        )
        new.network.train()
        old.network.eval()
        learner = Learner(ctx, data, recipe)
        order = Batches(len(data.x), params.batch_size, shuffled=True)
        of_trial, before_the_end = params.epochs * len(order), self.passes() / (self.passes() + 1)
        rounds = ctx.rounds(
            params.trials * of_trial, "training", (0.0, before_the_end), new=new, old=old, learner=learner
        )
        for step in rounds:
            if step % of_trial == 0:
                old.become(new)
                learner.restore(Learner(ctx, data, recipe, "trial", step // of_trial).state())
            chosen = order(step, ctx, data.x.device)
            x, y = data.x[chosen], data.y[chosen]
            new.descend([-one for one in self._of_the_loss_ahead(x, y, new, learner, step)])
            with torch.no_grad():
                seen = old.images(x)
            learner.step(seen, y, step, len(order))
            ctx.spent += (_PASSES_OF_A_STEP - 1) * len(x)
            if (step + 1) % len(order) == 0:
                learner.check(f"epoch {(step + 1) // len(order)}")
                new.check(f"epoch {(step + 1) // len(order)}")
        return new.all_images(data, ctx, before_the_end)

    def _of_the_loss_ahead(
        self, x: Tensor, y: Tensor, generator: Generator, learner: Learner, step: int
    ) -> tuple[Tensor, ...]:
        """Return the generator's gradient of the loss on a clean batch after a step of the classifier on its images."""
        with learner.learning("ahead", step):
            now = dict(learner.network.named_parameters())
            loss = F.cross_entropy(learner.logits(generator.images(x), now), y)
            gradient = torch.autograd.grad(loss, list(now.values()), create_graph=True)
            ahead = {
                name: value - self.params.lr * one for (name, value), one in zip(now.items(), gradient, strict=True)
            }
            return torch.autograd.grad(F.cross_entropy(learner.logits(x, ahead), y), generator.parameters)
