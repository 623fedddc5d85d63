"""Input gradients of many frozen networks, the engine of every method that uses surrogates."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.contracts.method import CraftData
from bench.contracts.network import Network
from bench.engine.compiled import Backend, Compiled, backend_for
from bench.engine.frozen import Frozen
from bench.engine.microbatches import MicroBatches

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
    backend
        Of torch.compile; what suits the device of the networks if unset, which is nothing on a CPU.

    Attributes
    ----------
    passes
        Forward+backward passes so far, counted in images.
    compiled, micro_batches
        How the networks run, and how many images at a time: device memory holds one micro-batch's activations,
        whatever the number of images.

    """

    def __init__(
        self,
        networks: Sequence[Network],
        loss: Loss = cross_entropy,
        precision: str = "fp32",
        backend: Backend | None = None,
    ) -> None:
        dtype = torch.bfloat16 if precision == "bf16" else None
        self.networks = [Frozen(network, dtype) for network in networks]
        self.loss = loss
        self.passes = 0
        self.compiled = Compiled(self.networks, backend or backend_for(self.networks[0].mean.device))
        self.micro_batches = MicroBatches()

    def __len__(self) -> int:
        return len(self.networks)

    def gradient(self, index: int, x: Tensor, target: Tensor, loss: Loss | None = None) -> Tensor:
        """Return one network's gradient of the loss of each image, [N, 3, H, W], in the format of `x`."""
        return self._sum_of_gradients([index], x, target, loss)

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
        return self._sum_of_gradients(range(len(self)), x, target) / len(self)

    def _sum_of_gradients(self, indices: Sequence[int], x: Tensor, target: Tensor, loss: Loss | None = None) -> Tensor:
        def of_part(images: Tensor, classes: Tensor) -> Tensor:
            total = self._gradient(indices[0], images, classes, loss or self.loss)
            for index in indices[1:]:
                total += self._gradient(index, images, classes, loss or self.loss)
            return total

        # Padded where a new shape would be compiled anew: no image's gradient depends on the others of its batch.
        parts = self.micro_batches.map(of_part, x, target, pad=self.compiled.active)
        self.passes += len(indices) * len(x)
        return torch.cat(parts)[: len(x)]

    def _gradient(self, index: int, x: Tensor, target: Tensor, loss: Loss) -> Tensor:
        def of_images() -> Tensor:
            with torch.enable_grad():
                images = x.detach().requires_grad_()
                return torch.autograd.grad(loss(index, self.networks[index], images, target), images)[0]

        return self.compiled.run(of_images)


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
    micro_batches, sums = MicroBatches(), None
    with torch.no_grad():
        for part in data:
            for total, count in micro_batches.map(partial(_class_sums, network, part.classes), part.x, part.y):
                sums = (total, count) if sums is None else (sums[0] + total, sums[1] + count)
            dtype = part.x.dtype
    assert sums is not None
    return (sums[0] / sums[1].clamp_min(1)[:, None]).to(dtype)


def _class_sums(network: Frozen | Network, classes: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    features = network.features(x).double()
    member = F.one_hot(y, classes).double()
    return member.T @ features, member.sum(0)
