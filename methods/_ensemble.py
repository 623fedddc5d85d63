"""Input gradients of many frozen networks."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.api import Network

_BATCH = {"cpu": 256, "cuda": 1024}


class Ensemble:
    """Frozen networks in eval mode whose gradients with respect to the images are averaged.

    Parameters
    ----------
    networks
        On one device; their parameters get no gradients.

    """

    def __init__(self, networks: Sequence[Network]) -> None:
        self.networks = list(networks)
        for network in self.networks:
            network.eval().requires_grad_(False)

    def mean_gradient(self, x: Tensor, target: Tensor) -> Tensor:
        """Return the mean over networks of each image's cross-entropy gradient towards its target.

        Parameters
        ----------
        x
            float [N, 3, H, W] in [0, 1].
        target
            int64 [N] class indices.

        Returns
        -------
        float [N, 3, H, W]; raw gradients are averaged, no image's depends on another's.

        """
        batch = _BATCH.get(x.device.type, 256)
        parts = zip(x.split(batch), target.split(batch), strict=True)
        return torch.cat([self._mean_gradient(images, classes) for images, classes in parts])

    def _mean_gradient(self, x: Tensor, target: Tensor) -> Tensor:
        x = x.detach().to(memory_format=torch.channels_last).requires_grad_()
        total = torch.zeros_like(x)
        for network in self.networks:
            loss = F.cross_entropy(network(x), target, reduction="sum")
            total += torch.autograd.grad(loss, x)[0]
        return total / len(self.networks)
