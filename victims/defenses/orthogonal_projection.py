"""Orthogonal projection: what a linear model can tell the classes apart by is taken out of the images."""

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.api import DEFENSES, Defense, Field, Params

_CHUNK = 1024


class OrthogonalProjectionParams(Params):
    """Parameters of the linear model's training."""

    epochs: int = Field(20, ge=1, description="passes over the training images")
    lr: float = Field(0.1, gt=0, le=100, description="learning rate of plain SGD, constant")
    batch_size: int = Field(128, ge=1, description="images a step")


@DEFENSES.register("orthogonal-projection")
class OrthogonalProjection(Defense[OrthogonalProjectionParams]):
    """A linear model learns the protected images, and its weights are projected out of them, once.

    A softmax classifier without bias on raw pixels in [0, 1] has a weight vector for each class; every image goes to
    the orthogonal complement of all of them, clipped and rounded to bytes. Test images stay as they are. The authors'
    code takes 1,024 images a step in stored order and divides the learning rate by ten after half and three quarters
    of the epochs.

    Source: Sandoval-Segura et al., What Can We Learn from Unlearnable Datasets?, NeurIPS 2023.
    """

    cite = "sandoval2023can"
    words = "projecting out what a linear model learns"

    def dataset(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Project the images, uint8 [N, 3, H, W]."""
        weights = self._trained_weights(images, labels, generator)
        basis = torch.linalg.qr(weights.T.double()).Q

        def projected(part: Tensor) -> Tensor:
            flat = part.flatten(1).double()  # TF32 would be off by levels
            rest: Tensor = flat - flat @ basis @ basis.T
            return rest.round_().clamp_(0, 255).to(torch.uint8).view_as(part)

        return torch.cat([projected(part) for part in images.split(_CHUNK)])

    def _trained_weights(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return the linear model's weights, [C, 3HW]."""
        pixels, device = images[0].numel(), images.device
        # The initial weights of torch.nn.Linear.
        weights: Tensor = torch.rand(self.classes, pixels, generator=generator, device=device) * 2 - 1
        weights /= pixels**0.5
        for _ in range(self.params.epochs):
            order = torch.randperm(len(images), generator=generator, device=device)
            for chosen in order.split(self.params.batch_size):
                x = images[chosen].flatten(1).float() / 255
                error = torch.softmax(x @ weights.T, 1) - F.one_hot(labels[chosen], self.classes)
                weights -= self.params.lr * error.T @ x / len(x)  # the gradient of the mean cross-entropy
        return weights
