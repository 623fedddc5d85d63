"""Noise that draws the features of a class together and away from those of others, as a network learns.

Zhu et al., "Why Do Unlearnable Examples Work: A Novel Perspective of Mutual Information", ICLR 2026.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.api import METHODS, Budget, CraftContext, CraftData, Field, Learner, Network
from methods._epochwise import Epochwise, EpochwiseParams

_ABOVE_ZERO = 1e-8


class MIUEParams(EpochwiseParams):
    """Parameters of the alternation; the defaults are the published ones for CIFAR-10."""

    epochs: int = Field(100, ge=1, description="of the network, each followed by steps of the noise")
    steps: int = Field(10, ge=1, description="signed steps of the noise after an epoch")
    noise_batch_size: int = Field(512, ge=2, description="images whose features are compared with each other")
    step_fraction: float = Field(0.025, gt=0, description="step size after the first epoch as a share of the budget")
    last_step_fraction: float = Field(0.05, gt=0, description="that it goes towards, by as much after each epoch")
    temperature: float = Field(0.1, gt=0, description="that cosines of features are divided by")
    distance_weight: float = Field(
        0.1, ge=0, description="of distances in a class beside the cosines; as released 0, though the paper has 0.1"
    )


@dataclass(frozen=True)
class Scatter:
    """How far the features of a class lie apart in a batch, by cosines against those to all images, and by distances.

    Attributes
    ----------
    temperature
        That cosines are divided by before their exponentials are summed.
    distance_weight
        Of the logarithm of one and the summed distances to the images of the class, a dimension of the features.

    """

    temperature: float
    distance_weight: float

    def __call__(self, network: Network, x: Tensor, y: Tensor) -> Tensor:
        """Return the mean over images, [B, 3, H, W] of classes [B], as a scalar."""
        features = network.features(x).to(x.dtype)
        same = (y[:, None] == y).to(x.dtype)
        with torch.autocast(x.device.type, enabled=False):  # bfloat16 would not tell exponentials apart
            directions = F.normalize(features)
            alike = torch.exp(directions @ directions.T / self.temperature) + _ABOVE_ZERO
            scatter = -((alike * same).sum(1) / alike.sum(1)).log().mean()
            if self.distance_weight:
                # Not by matrix products: to them an image may be at a distance from itself.
                apart = torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")
                scatter = scatter + self.distance_weight * ((apart * same).sum(1) / features.shape[1]).log1p().mean()
        return scatter


@METHODS.register("mi-ue")
class MIUE(Epochwise[MIUEParams]):
    """Draws the features of each class together and away from all others, on a network that learns meanwhile.

    In turns, the network learns for an epoch from the protected images as they are, and all images take signed steps,
    from where they are, that draw the features of a class together in eval mode. What an image gets depends on its
    batch, whose order is drawn anew for each epoch. The network is the experiment's surrogate, freshly initialised, on
    images in [0, 1]; images that do not fill its last batch wait for the next epoch. Left out is the adversary that
    the authors' script can let the network learn against.
    """

    cite = "zhu2026why"

    def _move(
        self, epoch: int, protected: Tensor, learner: Learner, data: CraftData, budget: Budget, ctx: CraftContext
    ) -> None:
        params = self.params
        scatter = Scatter(params.temperature, params.distance_weight)
        grown = epoch / params.epochs
        fraction = params.step_fraction + (params.last_step_fraction - params.step_fraction) * grown
        shuffled = torch.randperm(len(data.x), generator=ctx.generator("noise", epoch)).to(data.x.device)
        for chosen in ctx.progress(shuffled.split(params.noise_batch_size)):
            x, y, images = data.x[chosen], data.y[chosen], protected[chosen]
            for _ in range(params.steps):
                direction = budget.direction(learner.gradient(images, y, scatter))
                images = budget.project(x, images - fraction * budget.radius * direction)
            protected[chosen] = images
