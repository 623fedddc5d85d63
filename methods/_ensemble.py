"""Input gradients of many frozen networks, the engine of every method that uses surrogates."""

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.api import CraftData, Network
from methods._freeze import Frozen

# Activations of a pass take about this many times the memory of the images, for the networks of this field.
_ACTIVATIONS = 700
_SHARE_OF_FREE_MEMORY = 0.6
_CPU_BATCH = 256

Loss = Callable[[int, Frozen, Tensor, Tensor], Tensor]
"""index of the network, network, images [B, 3, H, W], target classes [B] -> the sum over images of their losses."""


def cross_entropy(index: int, network: Frozen, x: Tensor, target: Tensor) -> Tensor:
    """Return the summed cross-entropy towards the target classes."""
    return F.cross_entropy(network(x).to(x.dtype), target, reduction="sum")


class Ensemble:
    """Frozen networks whose gradients with respect to the images are averaged.

    Gradients of a sum over images: no image's depends on another's, whatever the batches.

    Parameters
    ----------
    networks
        On one device, in eval mode; they are copied.
    loss
        What to descend on; cross-entropy towards the target class by default.
    precision
        `fp32` computes in the networks' own format, `bf16` keeps weights and activations in bfloat16; gradients
        are summed in the format of the images either way.

    Attributes
    ----------
    passes
        Forward+backward passes so far, counted in images.

    """

    def __init__(self, networks: Sequence[Network], loss: Loss = cross_entropy, precision: str = "fp32") -> None:
        dtype = torch.bfloat16 if precision == "bf16" else None
        self.networks = [Frozen(network, dtype) for network in networks]
        self.loss = loss
        self.passes = 0
        self._size: int | None = None

    def __len__(self) -> int:
        return len(self.networks)

    def gradient(self, index: int, x: Tensor, target: Tensor, loss: Loss | None = None) -> Tensor:
        """Return one network's gradient of the loss of each image, [N, 3, H, W], in the format of `x`."""
        return torch.cat([self._gradient(index, *part, loss) for part in self._batches(x, target)])

    def mean_gradient(self, x: Tensor, target: Tensor) -> Tensor:
        """Return the mean over networks of each image's gradient.

        Parameters
        ----------
        x
            float [N, 3, H, W] in [0, 1].
        target
            int64 [N] class indices.

        Returns
        -------
        float [N, 3, H, W]; raw gradients are averaged, so that a confident network counts for more.

        """
        return torch.cat([self._mean_gradient(*part) for part in self._batches(x, target)])

    def _mean_gradient(self, x: Tensor, target: Tensor) -> Tensor:
        total = self._gradient(0, x, target)
        for index in range(1, len(self)):
            total += self._gradient(index, x, target)
        return total / len(self)

    def _gradient(self, index: int, x: Tensor, target: Tensor, loss: Loss | None = None) -> Tensor:
        self.passes += len(x)
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return torch.autograd.grad((loss or self.loss)(index, self.networks[index], x, target), x)[0]

    def _batches(self, x: Tensor, target: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        # Once: what the first batches leave in the allocator's cache is not free memory, but it is there to be used.
        self._size = self._size or _batch_size(x)
        for images, classes in zip(x.split(self._size), target.split(self._size), strict=True):
            yield images.to(memory_format=torch.channels_last), classes


class FeatureAlignment:
    """Mean squared error between an image's features and the mean clean features of its target class.

    Parameters
    ----------
    means
        For each network of the ensemble, [classes, D].

    """

    def __init__(self, means: Sequence[Tensor]) -> None:
        self.means = list(means)

    def __call__(self, index: int, network: Frozen, x: Tensor, target: Tensor) -> Tensor:
        """Return the sum over images; the square is averaged over the D features of each."""
        features = network.features(x).to(self.means[index].dtype)
        return F.mse_loss(features, self.means[index][target], reduction="none").mean(1).sum()


def class_means(network: Frozen | Network, data: Iterator[CraftData]) -> Tensor:
    """Return the mean features of the clean images of each class, [classes, D], in the format of the images.

    Sums run in float64, so that neither order nor batches show. A class without images has a mean of zero.
    """
    sums, counts = [], []
    with torch.no_grad():
        for part in data:
            size = _batch_size(part.x)
            for x, y in zip(part.x.split(size), part.y.split(size), strict=True):
                features = network.features(x.to(memory_format=torch.channels_last)).double()
                member = F.one_hot(y, part.classes).double()
                sums.append(member.T @ features)
                counts.append(member.sum(0))
            dtype = part.x.dtype
    total, count = torch.stack(sums).sum(0), torch.stack(counts).sum(0)
    return (total / count.clamp_min(1)[:, None]).to(dtype)


def _batch_size(x: Tensor) -> int:
    if x.device.type != "cuda":
        return _CPU_BATCH
    free, _ = torch.cuda.mem_get_info(x.device)
    return max(int(free * _SHARE_OF_FREE_MEMORY / (x[0].numel() * x.element_size() * _ACTIVATIONS)), 16)
