"""Networks that a method trains while it crafts, by the steps that everything else here is trained by."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from bench.contracts.context import CraftContext
from bench.contracts.method import CraftData
from bench.contracts.network import Network, build_network
from bench.core.device import precision
from bench.core.errors import SepbenchError
from bench.core.norms import to_bytes
from bench.core.seeds import derive
from bench.engine.batches import explaining_single_images
from bench.engine.recipe import Recipe
from bench.engine.step import autocast_for, make_optimizer, sgd_step
from bench.engine.trained import Trained

BatchLoss = Callable[[Network, Tensor, Tensor], Tensor]
"""network, images [B, 3, H, W], classes [B] -> loss, a scalar."""


def mean_cross_entropy(network: Network, x: Tensor, y: Tensor) -> Tensor:
    """Return the mean cross-entropy, in the format of the images."""
    return F.cross_entropy(network(x).to(x.dtype), y)


def summed_cross_entropy(network: Network, x: Tensor, y: Tensor) -> Tensor:
    """Return the summed cross-entropy: the gradient of an image then does not depend on how many there are."""
    return F.cross_entropy(network(x).to(x.dtype), y, reduction="sum")


class Learner(Trained):
    """A freshly initialised network of the experiment's surrogate that a method trains step by step.

    It is trained as surrogates and victims are: SGD, rate, clipped gradient and number format of a recipe. Each step
    and each gradient counts in `ctx.spent`. Given to `ctx.rounds`, it is kept with its optimizer.

    Parameters
    ----------
    ctx
        Of the method that trains.
    data
        What is protected: the network gets its classes and its size and, where the recipe measures them, its channel
        statistics.
    recipe
        Its augmentation and its defenses are not applied: the method shows the network what it is to see.
    purpose
        Tells this network from others that the method trains: initial weights and the draws of dropout follow from it.

    Attributes
    ----------
    network
        In train mode during `step` and in the block of `learning`, else in eval mode.
    recipe, optimizer
        What trains it.

    Examples
    --------
    Two rounds of one step each on images `x`, float [N, 3, H, W], and a gradient for the noise; `data` holds them:

    >>> ctx = CraftContext([], seed=0, device=torch.device("cpu"), architecture="resnet8")
    >>> recipe = Recipe(name="own", source="-", epochs=2, batch_size=len(x), lr=0.1, schedule=Steps(at=()))
    >>> learner, protected = Learner(ctx, data, recipe), x.float()
    >>> for round_ in ctx.rounds(2, learner=learner, protected=protected):
    ...     loss = learner.step(protected, y, round_, of_epoch=1)
    ...     protected -= 1 / 255 * learner.gradient(protected, y).sign()
    >>> ctx.spent == 4 * len(x)
    True

    """

    network: Network

    def __init__(self, ctx: CraftContext, data: CraftData, recipe: Recipe, *purpose: str | int) -> None:
        if not ctx.architecture:
            raise SepbenchError("a Learner is a network that the method trains while it crafts: set trains = True")
        self._ctx, self._purpose = ctx, purpose
        self.recipe = recipe
        network = build_network(
            ctx.architecture,
            data.classes,
            to_bytes(data.x) if recipe.normalise and recipe.constants is None else to_bytes(data.x[:1]),
            normalise=recipe.normalise,
            constants=recipe.constants,
            seed=derive(ctx.seed, "weights", *purpose),
            device=ctx.device,
        ).eval()
        super().__init__(network, make_optimizer(network, recipe))

    def step(self, x: Tensor, y: Tensor, step: int, of_epoch: int, loss: BatchLoss = mean_cross_entropy) -> Tensor:
        """Train on a batch.

        Parameters
        ----------
        x
            Float [B, 3, H, W] in [0, 1].
        y
            int64 [B].
        step
            0-based, of all: rate and the draws of dropout follow from it.
        of_epoch
            How many steps an epoch of the recipe has.
        loss
            In train mode; the mean cross-entropy by default.

        Returns
        -------
        The loss, a detached scalar.

        Raises
        ------
        SepbenchError
            The batch is one image, which a batch norm cannot learn from.

        """
        network = self.network
        with self.learning(step):
            rate = self.recipe.rate(step, of_epoch)
            seen = x.contiguous(memory_format=torch.channels_last)
            found = sgd_step(network, self.optimizer, self.recipe, rate, lambda: loss(network, seen, y))
        self._ctx.spent += len(x)
        return found

    @contextmanager
    def learning(self, *draws: str | int) -> Iterator[None]:
        """Let the network be in train mode in the block, where its dropout draws from a stream of these `draws`.

        Raises `SepbenchError` where a batch norm of it is shown a single image.
        """
        device = self._ctx.device
        self.network.train().requires_grad_(True)
        try:
            with (
                torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
                explaining_single_images("protect more images, or take a batch size that leaves no single one"),
            ):
                torch.manual_seed(derive(self._ctx.seed, "network", *self._purpose, *draws))
                yield
        finally:
            self.network.eval()

    def logits(self, x: Tensor, parameters: Mapping[str, Tensor] | None = None) -> Tensor:
        """Return what the network makes of a batch with other parameters than its own, as a function of both.

        It can be differentiated twice. Statistics of batch norms stay as they were, in train mode too: they are of what
        the network has learnt. Nothing is counted: gradients of it are to be added to `ctx.spent`.

        Parameters
        ----------
        x
            Float [B, 3, H, W] in [0, 1].
        parameters
            By the names that the network has for them; its own if unset.

        Returns
        -------
        [B, classes], float32, or of the type of the images where that is wider.

        """
        values = dict(self.network.named_parameters()) if parameters is None else parameters
        statistics = {name: buffer.clone() for name, buffer in self.network.named_buffers()}
        number_format = precision(self._ctx.device, self.recipe.precision)
        # Of attention torch differentiates no other kernel twice.
        with autocast_for(self._ctx.device, number_format), sdpa_kernel(SDPBackend.MATH):
            seen = x.contiguous(memory_format=torch.channels_last)
            found: Tensor = functional_call(self.network, {**values, **statistics}, (seen,))
        return found.to(torch.promote_types(found.dtype, torch.float32))

    def gradient(self, x: Tensor, y: Tensor, loss: BatchLoss = summed_cross_entropy) -> Tensor:
        """Return the gradient of a loss with respect to a batch, [B, 3, H, W], with the network in eval mode."""
        with self._still(), torch.enable_grad():
            images = x.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
            (found,) = torch.autograd.grad(loss(self.network, images, y), images)
        self._ctx.spent += len(x)
        return found

    def error(self, parts: Iterator[tuple[Tensor, Tensor]]) -> float:
        """Return the share of images, in [0, 1], that the network takes for another class, in eval mode."""
        wrong, count = torch.zeros((), dtype=torch.int64, device=self._ctx.device), 0
        with self._still(), torch.no_grad():
            for x, y in parts:
                wrong += (self.network(x.contiguous(memory_format=torch.channels_last)).argmax(1) != y).sum()
                count += len(x)
        return float(wrong) / max(count, 1)

    @contextmanager
    def _still(self) -> Iterator[None]:
        self.network.requires_grad_(False)
        with autocast_for(self._ctx.device, precision(self._ctx.device, self.recipe.precision)):
            yield
