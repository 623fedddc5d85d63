"""Input gradients of many frozen networks, the engine of every method that uses surrogates."""

from collections.abc import Callable, Iterable, Sequence
from copy import copy
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.contracts.method import CraftData
from bench.contracts.network import Network
from bench.core.device import precision as chosen_precision
from bench.engine.batches import explaining_single_images
from bench.engine.compiled import Backend, Compiled, backend_for
from bench.engine.frozen import Frozen
from bench.engine.microbatches import MicroBatches

Precision = Literal["auto", "fp32", "bf16"]

EnsembleLoss = Callable[[int, Frozen, Tensor, Tensor], Tensor]
"""index of the network, network, images [B, 3, H, W], classes [B] -> the sum over images of their losses, a scalar.

A sum and no mean, of terms that depend on one image each: the gradient of an image is then the same in any batch.
Gradients are taken with respect to the images, which are floats in [0, 1]; the logits and features of a network are in
its own format, bfloat16 in `bf16`. An untargeted loss, for true classes in place of target classes:

    def untargeted(index, network, x, y):
        return -F.cross_entropy(network(x).to(x.dtype), y, reduction="sum")
"""


def cross_entropy(index: int, network: Frozen, x: Tensor, target: Tensor) -> Tensor:
    """Return the summed cross-entropy towards the target classes."""
    return F.cross_entropy(network(x).to(x.dtype), target, reduction="sum")


class Ensemble:
    """Frozen networks and their gradients with respect to images, one by one or averaged.

    A call takes any number of images: it splits them into micro-batches that fit the memory of the device, and halves
    those where memory runs out. No image's gradient depends on another image, so splitting changes rounding at most.
    Nothing is drawn: the same call on the same machine and version of torch gives the same bits on a CPU. On a GPU
    kernels of torch may add in another order, and the size of the micro-batches follows the free memory.

    Parameters
    ----------
    networks
        At least one, all on one device, in eval mode. They are copied, and stay as they are: batch norm is folded into
        convolutions where that is exact, and parameters take no gradients.
    loss
        What to descend on; cross-entropy towards the given class by default, else a `FeatureAlignment` or a function
        of one's own, see `EnsembleLoss`.
    precision
        `fp32` computes in the networks' own format, `bf16` keeps weights and activations in bfloat16, `auto` is bf16 on
        GPUs that have it; gradients are summed in the format of the images in any case.
    backend
        Of torch.compile; `auto` is inductor on a GPU and none on a CPU, where compiling takes longer than it saves.
        None runs the networks as they are: for a few calls, which would not pay for compiling. Where compiling fails, a
        warning says why and the networks run uncompiled.

    Attributes
    ----------
    networks
        The frozen copies, in the order given.
    loss
        What is descended on; may be replaced between calls.
    passes
        Forward+backward passes so far, counted in images: a gradient of one image on one network is one.
    compiled, micro_batches
        How the networks run, and how many images at a time.

    Examples
    --------
    Ten signed steps towards the class after the true one, for images `x`, float32 [N, 3, H, W], of classes `y`:

    >>> ensemble, budget, protected = Ensemble(networks), Budget.parse("linf-8"), x
    >>> for _ in range(10):
    ...     gradient = ensemble.mean_gradient(protected, (y + 1) % 10)
    ...     protected = budget.project(x, protected - 2 / 255 * budget.direction(gradient))
    >>> ensemble.passes == 10 * len(networks) * len(x)
    True

    """

    def __init__(
        self,
        networks: Sequence[Network],
        loss: EnsembleLoss = cross_entropy,
        precision: Precision = "fp32",
        backend: Backend | None = "auto",
    ) -> None:
        device = networks[0].mean.device
        dtype = torch.bfloat16 if chosen_precision(device, precision) == "bf16" else None
        self._dtype = dtype
        self.networks = [Frozen(network, dtype) for network in networks]
        self.loss = loss
        self.passes = 0
        self.compiled = Compiled(self.networks, backend_for(device) if backend == "auto" else backend)
        self.micro_batches = MicroBatches()

    def __len__(self) -> int:
        return len(self.networks)

    def with_network(self, index: int, network: Network) -> "Ensemble":
        """Return the ensemble with another network at a 0-based position; both share what is frozen and compiled."""
        other, frozen = copy(self), Frozen(network, self._dtype)
        other.networks = [*self.networks[:index], frozen, *self.networks[index + 1 :]]
        other.passes = 0
        self.compiled.add(frozen)
        return other

    def gradient(self, index: int, x: Tensor, target: Tensor, loss: EnsembleLoss | None = None) -> Tensor:
        """Return one network's gradient of the loss of each image.

        Parameters
        ----------
        index
            0-based position of the network.
        x
            Float [N, 3, H, W] in [0, 1], on the device of the networks.
        target
            int64 [N], class indices.
        loss
            For this call, in place of the ensemble's.

        Returns
        -------
        [N, 3, H, W] in the format of `x`, detached. It costs a pass for each image.

        """
        return self._sum_of_gradients([index], x, target, loss)

    def mean_gradient(self, x: Tensor, target: Tensor) -> Tensor:
        """Return the mean over networks of each image's gradient.

        Parameters
        ----------
        x
            Float [N, 3, H, W] in [0, 1], on the device of the networks.
        target
            int64 [N], class indices.

        Returns
        -------
        [N, 3, H, W] in the format of `x`, detached. It costs a pass for each image and network. Raw gradients are
        averaged, so that a confident network counts for more.

        """
        return self._sum_of_gradients(range(len(self)), x, target) / len(self)

    def _sum_of_gradients(
        self, indices: Sequence[int], x: Tensor, target: Tensor, loss: EnsembleLoss | None = None
    ) -> Tensor:
        def of_part(images: Tensor, classes: Tensor) -> Tensor:
            total = self._gradient(indices[0], images, classes, loss or self.loss)
            for index in indices[1:]:
                total += self._gradient(index, images, classes, loss or self.loss)
            return total

        def trial(images: Tensor, classes: Tensor) -> None:
            with self.compiled.paused():
                of_part(images, classes)

        # Padded where a new shape would be compiled anew: no image's gradient depends on the others of its batch.
        parts = self.micro_batches.map(of_part, x, target, pad=self.compiled.active, trial=trial)
        self.passes += len(indices) * len(x)
        return torch.cat(parts)[: len(x)]

    def _gradient(self, index: int, x: Tensor, target: Tensor, loss: EnsembleLoss) -> Tensor:
        def of_images() -> Tensor:
            with torch.enable_grad():
                images = x.detach().requires_grad_()
                return torch.autograd.grad(loss(index, self.networks[index], images, target), images)[0]

        return self.compiled.run(of_images)


class FeatureAlignment:
    """Mean squared error between an image's features and the mean clean features of its target class.

    A loss for `Ensemble`, of Chen et al., "Self-Ensemble Protection", ICLR 2023.

    Parameters
    ----------
    means
        For each network of the ensemble, in that order, [classes, D] as `class_means` returns them, on the device of
        the networks. The list is copied, the tensors are not.

    Attributes
    ----------
    means
        Entries may be replaced between calls.

    Examples
    --------
    With the networks, images and classes of the example of `Ensemble`, and the same images as `CraftData`:

    >>> means = [class_means(network, [data]) for network in networks]
    >>> aligned = Ensemble(networks, FeatureAlignment(means))
    >>> aligned.mean_gradient(x, (y + 1) % 10).shape == x.shape
    True

    """

    def __init__(self, means: Sequence[Tensor]) -> None:
        self.means = list(means)

    def __call__(self, index: int, network: Frozen, x: Tensor, target: Tensor) -> Tensor:
        """Return the sum over images, in the format of the means; the square is averaged over an image's D features."""
        features = network.features(x).to(self.means[index].dtype)
        return F.mse_loss(features, self.means[index][target], reduction="none").mean(1).sum()


def class_means(network: Frozen | Network, data: Iterable[CraftData], *, whole: bool = False) -> Tensor:
    """Return the mean penultimate features of the images of each class.

    Sums run in float64, so that neither order nor batches show but in the last bits.

    Parameters
    ----------
    network
        In the mode that the features are wanted in. It is not copied: one in train mode gets other running statistics.
        `Frozen(network)` computes the same as a network in eval mode, and faster.
    data
        Parts of the clean images on the device of the network, such as `data()` in `Method.prepare`. One at a time is
        held, and split further where memory runs out.
    whole
        Whether each part is one batch, whatever memory it takes: a network in train mode normalises by it.

    Returns
    -------
    [classes, D] in the format of the images, on their device; zeros for a class without images. It costs a forward
    pass for each image and no gradient.

    Raises
    ------
    ValueError
        There are no images.
    torch.OutOfMemoryError
        Not even one image fits, or not the whole of a part.
    SepbenchError
        The network is in train mode, and cannot normalise a part that is one image.

    Examples
    --------
    >>> means = class_means(Frozen(networks[0]), [data])
    >>> means.shape == (data.classes, networks[0].classifier.head.in_features)
    True

    """
    micro_batches, sums = MicroBatches(), None
    with torch.no_grad():
        for part in data:
            of_batch = partial(_class_sums, network, part.classes)
            with explaining_single_images("take the means in eval mode, or of another number of images"):
                batches = [of_batch(part.x, part.y)] if whole else micro_batches.map(of_batch, part.x, part.y)
            for total, count in batches:
                sums = (total, count) if sums is None else (sums[0] + total, sums[1] + count)
            dtype = part.x.dtype
    if sums is None:
        raise ValueError("class means need at least one image")
    return (sums[0] / sums[1].clamp_min(1)[:, None]).to(dtype)


def _class_sums(network: Frozen | Network, classes: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    features = network.features(x).double()
    member = F.one_hot(y, classes).double()
    return member.T @ features, member.sum(0)
