"""Differentially private SGD: no single image decides where a step goes.

Abadi et al., "Deep Learning with Differential Privacy", CCS 2016, algorithm 1.
"""

import math

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.modules.batchnorm import _BatchNorm

from bench.api import DEFENSES, Defense, Field, Loss, Params, SepbenchError
from victims.defenses._side_passes import uncached

_TOGETHER = 16  # images whose gradients exist at once: each takes the memory of the network's weights twice

ByName = dict[str, Tensor]
"""A tensor for each weight of a network."""


class DPSGDParams(Params):
    """Parameters of DP-SGD."""

    clip: float = Field(1.0, gt=0, description="l2 norm to which the gradient of each image is clipped")
    noise: float = Field(0.01, ge=0, description="standard deviation of the noise on their sum, in units of clip")


@DEFENSES.register("dp-sgd")
class DPSGD(Defense[DPSGDParams]):
    """Clip the gradient of every image, add Gaussian noise to their sum, and step along the mean.

    The optimizer is the recipe's; its weight decay and its own clipping come after the noise. Batch norm mixes the
    images of a batch, so each is replaced by a group norm of 32 groups, or of the largest smaller power of two that
    divides its channels. Batches are those of the recipe, not Poisson samples: no privacy budget is accounted for.
    """

    innermost = True
    cite = "abadi2016deep"
    words = "training on clipped and noisy gradients"

    def network(self, network: nn.Module) -> nn.Module:
        """Replace every batch norm by a group norm; raise `SepbenchError` where one cannot be replaced."""
        return _grouped(network)

    def extra_passes(self) -> float:
        """Return a forward pass, and what images one by one cost more, which about doubles a pass."""
        return 4 / 3

    def loss(self, loss: Loss, epoch: int) -> Loss:
        """Return the loss with its value, and with the private gradient in place of its own."""

        def private(network: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
            if x.requires_grad:  # an attack, which moves images and no weights
                return loss(network, x, y, generator)
            weights: ByName = {name: weight for name, weight in network.named_parameters() if weight.requires_grad}
            gradients = self._gradients(loss, network, weights, x, y, generator)
            with uncached(x.device), torch.no_grad():
                value = loss(network, x, y, generator)
            # Nothing is added to the value, and the gradient of what is added is the private one.
            return value + sum(((weights[name] - weights[name].detach()) * gradients[name]).sum() for name in weights)

        return private

    def _gradients(
        self, loss: Loss, network: nn.Module, weights: ByName, x: Tensor, y: Tensor, generator: torch.Generator
    ) -> ByName:
        def loss_of_one(weights: ByName, image: Tensor, target: Tensor) -> Tensor:
            return loss(_With(network, weights), image[None], target[None], generator)

        def clipped(weights: ByName, image: Tensor, target: Tensor) -> ByName:
            gradients = grad(loss_of_one)(weights, image, target)
            norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(one) for one in gradients.values()]))
            share = (self.params.clip / norm).clamp_max(1)
            return {name: share * gradient for name, gradient in gradients.items()}

        clipped_each = vmap(clipped, in_dims=(None, 0, 0), randomness="different")
        fixed = {name: weight.detach() for name, weight in weights.items()}
        total = {
            name: self.params.noise * self.params.clip * _normal(weight, generator) for name, weight in fixed.items()
        }
        with uncached(x.device):
            for images, targets in zip(x.split(_TOGETHER), y.split(_TOGETHER), strict=True):
                for name, gradients in clipped_each(fixed, images, targets).items():
                    total[name] += gradients.sum(0)
        return {name: gradient / len(x) for name, gradient in total.items()}


class _With(nn.Module):
    """A network with other weights."""

    def __init__(self, network: nn.Module, weights: ByName) -> None:
        super().__init__()
        self.network, self.weights = network, weights

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = functional_call(self.network, self.weights, (x,))
        return logits


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator, device=like.device, dtype=like.dtype)


def _grouped(module: nn.Module) -> nn.Module:
    if type(module) is nn.BatchNorm2d:
        channels = module.num_features
        norm = nn.GroupNorm(math.gcd(32, channels), channels, eps=module.eps, affine=module.affine)
        return norm.to(next(module.parameters(), torch.empty(0)).device)
    if isinstance(module, _BatchNorm):
        raise SepbenchError(
            f"dp-sgd cannot take the batch norm out of a network that has it as {type(module).__name__}: "
            "train another victim, or without dp-sgd"
        )
    for name, child in module.named_children():
        setattr(module, name, _grouped(child))
    return module
