"""The one training loop, of surrogates and victims alike, with the data resident on the device."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.contracts.augment import Draws, augment, draw
from bench.contracts.defense import Defenses
from bench.contracts.promises import check_loss, check_outputs
from bench.core.device import precision
from bench.core.errors import Stopped
from bench.core.seeds import derive
from bench.engine.background import BackgroundDraft, in_background
from bench.engine.batches import batches, explaining_single_images
from bench.engine.capturing import CAPTURE, capturing
from bench.engine.compiling import compiling
from bench.engine.recipe import Recipe
from bench.engine.step import (
    Diverged,
    Weights,
    autocast_for,
    below,
    kept,
    make_optimizer,
    not_finite,
    restore,
    sgd_step,
)
from bench.store.draft import Draft

VERSION = 1
"""Bumped when the loop's result for the same input changes; part of every key that depends on training."""

_SAVE_EVERY_SECONDS = 20.0
_EVALUATION_BATCH = 100  # a CPU is fastest while activations stay in its cache
_EVALUATION_PIXELS = 2000 * 32 * 32  # of a batch on a GPU, whose memory larger images would fill


@dataclass
class History:
    """Curves by epoch: mean training loss, accuracy on the training batches as seen and on the test set, time.

    Accuracies are percent, `seconds` include the judging on the test set; `test_acc` is empty where there is none.
    `compiled` tells whether any epoch ran compiled; compiling counts among the seconds.
    """

    train_loss: list[float] = field(default_factory=list)
    train_acc: list[float] = field(default_factory=list)
    test_acc: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    compiled: bool = False

    def __len__(self) -> int:
        return len(self.train_loss)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Labelled:
    """Images, uint8 [N, 3, H, W], and labels, int64 [N] below `classes`, on the device that trains.

    `as_stored`, bool [N], tells which images are never augmented; None where all are.
    """

    images: Tensor
    labels: Tensor
    classes: int
    as_stored: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)


def train(
    build: Callable[[Tensor], nn.Module],
    data: Labelled,
    test: Labelled,
    recipe: Recipe,
    defenses: Defenses,
    seed: int,
    *,
    draft: Draft,
    checkpoint: Callable[[int], str | None] | None = None,
    compile: bool = False,
    on_epoch: Callable[[History], None] = lambda history: None,
) -> tuple[nn.Module, History]:
    """Train a network, going on from what `draft` holds of an interrupted run.

    Parameters
    ----------
    build
        From the training images as defenses leave them, uint8 [N, 3, H, W], to a freshly initialised network on the
        device that takes images in [0, 1].
    data
        What it trains on; defenses may change it.
    test
        Judged after every epoch, untouched; where it is empty no epoch is judged, and the last one's network is it.
    seed
        Decides order, augmentation and the defenses' draws, each epoch from a stream of its own: a resumed run
        equals an undisturbed one.
    draft
        Receives the state of the run every few epochs, while training goes on; it has all of it in the end, also where
        that is an exception.
    checkpoint
        What the weights after a 0-based epoch are called, which `draft` then receives, too, None for an epoch whose
        weights are not kept; None keeps none at all.
    compile
        Whether to train with torch.compile, which takes a while to start and rounds differently; where it does not
        work, a warning says so. What takes the loss apart image by image (`Defense.innermost`) runs without. On a GPU
        the training pass is then replayed from CUDA graphs, too, where no defense changes the loss.
    on_epoch
        Called after every epoch; may raise `Stopped`: the state is saved first.

    Returns
    -------
    The trained network (a defense may have wrapped it, or chosen an earlier epoch's) in eval mode, and its curves.

    Raises
    ------
    Diverged
        After an epoch its loss, a weight or a statistic of the network, or an output for a test image was not finite.

    """
    device = data.images.device
    number_format = precision(device, recipe.precision)
    for part in defenses.chain:
        part.classes = data.classes
    images = defenses.dataset(data.images, data.labels, _device_generator(device, seed, "dataset"))
    data = replace(data, images=images)
    network = defenses.network(build(images))
    optimizer = defenses.optimizer(make_optimizer(network, recipe))
    history, judged = _resume(network, optimizer, draft)
    saved, began = time.monotonic(), time.perf_counter()
    image_by_image, is_compiled = any(part.innermost for part in defenses.chain), False
    with ExitStack() as faster, in_background(draft, meanwhile=device.type == "cuda") as kept_in:
        if compile and not image_by_image and len(history) < recipe.epochs:
            shape, captured = batch_shape(data, recipe), device.type in CAPTURE and not defenses.with_losses
            # As it is captured, or it would be compiled again.
            autocast = autocast_for(device, number_format, cached=not captured)
            is_compiled = faster.enter_context(compiling(network, shape, autocast))
            if captured:
                faster.enter_context(capturing(network, shape, number_format))
        for epoch in range(len(history), recipe.epochs):
            loss, accuracy = train_epoch(network, optimizer, data, recipe, defenses, seed, epoch)
            _check_weights(network, epoch)
            history.compiled |= is_compiled
            history.train_loss.append(loss)
            history.train_acc.append(accuracy)
            if len(test):
                right = predict(network, test.images, number_format, epoch) == test.labels
                history.test_acc.append(100 * float(right.double().mean()))
            history.seconds.append(time.perf_counter() - began)
            if not len(test) or defenses.judged_epoch(history.test_acc) == epoch:
                judged = {name: value.clone() for name, value in network.state_dict().items()}
            if checkpoint is not None and (name := checkpoint(epoch)) is not None:
                kept_in.put(name, network.state_dict())
            if time.monotonic() - saved > _SAVE_EVERY_SECONDS and epoch + 1 < recipe.epochs:
                _save(network, judged, optimizer, history, kept_in)
                saved = time.monotonic()
            try:
                on_epoch(history)
            except Stopped:
                _save(network, judged, optimizer, history, kept_in)
                raise
            began = time.perf_counter()
    network.load_state_dict(judged)
    return network.eval(), history


def batch_shape(data: Labelled, recipe: Recipe) -> tuple[int, ...]:
    """Return the shape of the first training batch, [B, 3, H, W], which is that of all but the last."""
    return (batches(len(data), recipe.batch_size)[0].stop, *data.images.shape[1:])


def predict(network: nn.Module, images: Tensor, number_format: str, epoch: int) -> Tensor:
    """Return the predicted class, int64 [N], of each image, uint8 [N, 3, H, W], on their device.

    `number_format` is what `precision` returns, `epoch` the 0-based one that the network is from. Raises `Diverged`
    where an output is not finite: the largest of such outputs is no prediction.
    """
    network.eval()
    size = _evaluation_batch(images)
    with torch.inference_mode(), autocast_for(images.device, number_format):
        judged = [(logits.argmax(1), logits.isfinite().all(1)) for logits in _logits(network, images, size)]
    predicted, finite = (torch.cat(parts) for parts in zip(*judged, strict=True))
    if not bool(finite.all()):
        bad = int((~finite).sum())
        raise Diverged(f"outputs for {bad} of {len(images)} test images are not finite after epoch {epoch + 1}")
    return predicted


def _evaluation_batch(images: Tensor) -> int:
    height, width = images.shape[-2:]
    return _EVALUATION_BATCH if images.device.type == "cpu" else max(_EVALUATION_PIXELS // (height * width), 1)


def _logits(network: nn.Module, images: Tensor, size: int) -> Iterator[Tensor]:
    for batch in images.split(size):
        yield network(_as_float(batch))


def _check_weights(network: nn.Module, epoch: int) -> None:
    """Raise `Diverged` where the last step has left a weight or a statistic that is not finite.

    No loss tells of what comes after it.
    """
    if name := not_finite(network):
        raise Diverged(f"{name} holds values that are not finite after the last step of epoch {epoch + 1}")


def train_epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: Labelled,
    recipe: Recipe,
    defenses: Defenses,
    seed: int,
    epoch: int,
) -> tuple[float, float]:
    """Train for one 0-based epoch; return the mean loss and the accuracy, percent, on the batches as trained on.

    Raises `Diverged` where the mean loss is not finite, `SepbenchError` where the network cannot learn from a batch of
    one image.
    """
    device = data.images.device
    on_cpu = torch.Generator().manual_seed(derive(seed, "epoch", epoch))
    generator = _device_generator(device, seed, "defense", epoch)
    augmentation = defenses.augmentation(recipe.augmentation)
    order = torch.randperm(len(data), generator=on_cpu).to(device)
    draws = draw(len(data), augmentation, on_cpu, data.images.shape[-2:]).to(device)
    loss_of, with_losses = defenses.loss(_cross_entropy, epoch), defenses.with_losses
    parts = batches(len(data), recipe.batch_size)
    total, correct = torch.zeros((), device=device), torch.zeros((), device=device)
    network.train()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(derive(seed, "network", epoch))  # what the network itself draws, such as dropout
        for step, part in enumerate(parts):
            x, y = _batch(data, order[part], draws[part], augmentation.crop_padding)
            x, y = defenses.batch(x, y, generator, look=step == 0)
            watched, rate = _LastLogits(), recipe.rate(epoch * len(parts) + step, len(parts))

            def watched_loss(x: Tensor = x, y: Tensor = y, step: int = step, watched: _LastLogits = watched) -> Tensor:
                advice = "train on more images, in batches of two or more (recipe.batch_size)"
                with watched.on(network), explaining_single_images(advice):
                    loss = loss_of(network, x, y, generator)
                if with_losses:
                    check_loss(with_losses, loss, called=watched.logits is not None)
                if step == 0:
                    check_outputs("the network", watched.logits, None, data.classes)
                return loss

            loss = sgd_step(network, optimizer, recipe, rate, watched_loss)
            total += loss * len(x)
            correct += watched.correct(y)
    mean_loss = float(total) / len(data)
    if not math.isfinite(mean_loss):
        raise Diverged(f"the training loss of epoch {epoch + 1} is {mean_loss}")
    return mean_loss, 100 * float(correct) / len(data)


class _LastLogits:
    """The logits of the last forward pass, whichever loss asked for it: training accuracy without a pass of its own."""

    def __init__(self) -> None:
        self.logits: Tensor | None = None

    def on(self, network: nn.Module) -> Any:
        def remember(module: nn.Module, inputs: Any, output: Tensor) -> None:
            self.logits = output.detach()

        return network.register_forward_hook(remember)

    def correct(self, y: Tensor) -> Tensor:
        assert self.logits is not None
        truth = y if y.dim() == 1 else y.argmax(1)
        return (self.logits.argmax(1) == truth).sum()


def _batch(data: Labelled, chosen: Tensor, draws: Draws, padding: int) -> tuple[Tensor, Tensor]:
    stored = data.images[chosen]
    images = augment(stored, draws, padding)
    if data.as_stored is not None:
        images = torch.where(data.as_stored[chosen][:, None, None, None], stored, images)
    return _as_float(images), data.labels[chosen]


def _as_float(images: Tensor) -> Tensor:
    return images.to(torch.float32, memory_format=torch.channels_last).div_(255)


def _cross_entropy(network: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
    return F.cross_entropy(network(x), y)


def _device_generator(device: torch.device, seed: int, *purpose: str | int) -> torch.Generator:
    return torch.Generator(device=device).manual_seed(derive(seed, *purpose))


def _save(
    network: nn.Module, judged: Weights, optimizer: torch.optim.Optimizer, history: History, draft: BackgroundDraft
) -> None:
    tensors = kept(network, optimizer) | {f"judged.{name}": value for name, value in judged.items()}
    draft.put("state", tensors, {"history": history.to_dict()})


def _resume(network: nn.Module, optimizer: torch.optim.Optimizer, draft: Draft) -> tuple[History, Weights]:
    if "state" not in draft.names():
        return History(), {}
    tensors = draft.tensors("state")
    restore(network, optimizer, tensors)
    return History(**draft.info("state")["history"]), below("judged.", tensors)
