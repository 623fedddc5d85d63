"""What plug-ins return, held against what their contracts say: what is wrong is one sentence for their author."""

from typing import Any

import torch
from torch import Tensor, nn

from bench.contracts.augment import Augmentation
from bench.core.errors import SepbenchError

_SLACK = 1e-4  # of a value in [0, 1]: the last bits of float32


class BrokenPromise(SepbenchError):  # noqa: N818 - reads as what it is
    """A plug-in returned what its contract does not allow; the message names the plug-in and says what to do."""


def check_crafted(name: str, x: Tensor, crafted: Any) -> None:
    """Raise `BrokenPromise` unless a method returned floats for images, float [N, 3, H, W] on some device."""
    who, shape = f"the method '{name}' returned", list(x.shape)
    if not isinstance(crafted, Tensor):
        raise BrokenPromise(
            f"{who} {_kind_of(crafted)} from craft: return the protected images, a tensor of floats {shape} in [0, 1]"
        )
    if crafted.shape != x.shape:
        raise BrokenPromise(
            f"{who} images of shape {list(crafted.shape)} from craft where it was given {shape}: return an image of "
            f"the same size for each, in their order"
        )
    if not crafted.is_floating_point():
        raise BrokenPromise(
            f"{who} {_dtype(crafted)} from craft, not floats in [0, 1]: leave rounding to the harness, or divide by 255"
        )
    if crafted.device != x.device:
        raise BrokenPromise(
            f"{who} images on {crafted.device} from craft, and was given them on {x.device}: leave them on ctx.device"
        )
    if crafted.requires_grad:
        raise BrokenPromise(f"{who} images from craft that still hold their gradient: return images.detach()")
    finite = crafted.isfinite().flatten(1).all(1)
    if not bool(finite.all()):
        raise BrokenPromise(
            f"{who} NaN or infinite values from craft, in {int((~finite).sum())} of {len(x)} images: look for a "
            f"gradient that is not finite, or a division by zero"
        )
    low, high = float(crafted.amin()), float(crafted.amax())
    if low < -_SLACK or high > 1 + _SLACK:
        raise BrokenPromise(
            f"{who} values from {low:.4g} to {high:.4g} from craft, not in [0, 1]: end with "
            f"budget.project(data.x, images)"
        )


def check_left_alone(name: str, pairs: dict[str, tuple[Tensor, Tensor]]) -> None:
    """Raise `BrokenPromise` where a method has changed what it was given; `pairs` are what it is and what it was."""
    for field, (now, before) in pairs.items():
        if now.shape != before.shape or not torch.equal(now, before):
            raise BrokenPromise(
                f"the method '{name}' changed its input data.{field} in place in craft: work on a copy, "
                f"data.{field}.clone()"
            )


def check_dataset(name: str, images: Tensor, changed: Any, *, overwritten: bool) -> None:
    """Raise `BrokenPromise` unless a defense returned bytes for training images, uint8 [N, 3, H, W]."""
    who, shape = f"the defense '{name}' returned", list(images.shape)
    if not isinstance(changed, Tensor):
        raise BrokenPromise(f"{who} {_kind_of(changed)} from dataset: return the images, a tensor of uint8 {shape}")
    if changed.dtype != images.dtype:
        raise BrokenPromise(
            f"{who} {_dtype(changed)} from dataset, not bytes: round to levels from 0 to 255 and convert to uint8"
        )
    if changed.shape != images.shape:
        raise BrokenPromise(
            f"{who} images of shape {list(changed.shape)} from dataset where it was given {shape}: return an image of "
            f"the same size for each, in their order"
        )
    if overwritten:
        raise BrokenPromise(
            f"the defense '{name}' changed its input in place in dataset: work on copies, images.clone() or "
            f"labels.clone()"
        )


def check_batch(name: str, x: Tensor, returned: Any, classes: int | None, *, values: bool) -> tuple[Tensor, Tensor]:
    """Return the batch and the targets of a defense; raises `BrokenPromise` where they are none.

    Parameters
    ----------
    x
        The images that it was given, float [B, 3, H, W] in [0, 1].
    classes
        How many there are; None where nobody knows.
    values
        Whether to look at them as well, which a GPU has to be waited for.

    """
    who = f"the defense '{name}' returned"
    pair = returned if isinstance(returned, tuple | list) else ()
    if not (len(pair) == 2 and all(isinstance(one, Tensor) for one in pair)):
        raise BrokenPromise(f"{who} {_kind_of(returned)} from batch: return a pair of tensors, images and targets")
    images, targets = pair
    if images.shape != x.shape:
        raise BrokenPromise(
            f"{who} images of shape {list(images.shape)} from batch where it was given {list(x.shape)}: return an "
            f"image of the same size for each"
        )
    if x.is_floating_point() and not images.is_floating_point():
        raise BrokenPromise(f"{who} {_dtype(images)} from batch, not floats in [0, 1]: divide bytes by 255")
    classes = targets.shape[-1] if classes is None else classes
    if targets.shape not in ((len(x),), (len(x), classes)):
        raise BrokenPromise(
            f"{who} targets of shape {list(targets.shape)} from batch for {len(x)} images of {classes} classes: return "
            f"a class for each, [{len(x)}], or probabilities, [{len(x)}, {classes}]"
        )
    if (targets.dim() == 1) != (targets.dtype == torch.int64):
        expected = "int64" if targets.dim() == 1 else "floats"
        raise BrokenPromise(
            f"{who} targets of {_dtype(targets)} from batch, {list(targets.shape)}: these have to be {expected}"
        )
    if values:
        _check_values(who, images, targets, classes)
    return images, targets


def _check_values(who: str, images: Tensor, targets: Tensor, classes: int) -> None:
    if not bool(images.isfinite().all()):
        raise BrokenPromise(f"{who} NaN or infinite values from batch: look for a division by zero")
    low, high = float(images.detach().amin()), float(images.detach().amax())
    if low < -_SLACK or high > 1 + _SLACK:
        raise BrokenPromise(
            f"{who} values from {low:.4g} to {high:.4g} from batch, not in [0, 1]: divide or clamp them, x.clamp(0, 1)"
        )
    if targets.dim() == 1 and not (int(targets.amin()) >= 0 and int(targets.amax()) < classes):
        raise BrokenPromise(
            f"{who} targets from {int(targets.amin())} to {int(targets.amax())} from batch where there are {classes} "
            f"classes: these count from 0"
        )
    if targets.dim() == 2:
        sums = targets.detach().sum(1)
        off = float((sums - 1).abs().amax())
        if not (float(targets.detach().amin()) >= -_SLACK and off <= 1e-2):
            raise BrokenPromise(
                f"{who} targets from batch that are no probabilities: each row has none below 0 and adds up to 1"
            )


def check_loss(names: str, loss: Any, *, called: bool) -> None:
    """Raise `BrokenPromise` unless the loss of defenses is one number that came from the network."""
    who = f"the loss of the defense '{names}'"
    if not isinstance(loss, Tensor) or loss.dim() > 0:
        what = f"of shape {list(loss.shape)}" if isinstance(loss, Tensor) else _kind_of(loss)
        raise BrokenPromise(f"{who} is {what}, not one number: return the mean over the batch")
    if not called:
        raise BrokenPromise(f"{who} never calls the network it is given: it has to be of network(x)")
    if not loss.requires_grad:
        raise BrokenPromise(f"{who} has no gradient: take it from network(x) without detach() or no_grad()")


def check_augmentation(name: str, returned: Any) -> Augmentation:
    """Return the augmentation of a defense; raises `BrokenPromise` where it is none."""
    if not isinstance(returned, Augmentation):
        raise BrokenPromise(
            f"the defense '{name}' returned {_kind_of(returned)} from augmentation: return a bench.api.Augmentation, "
            f"such as the one that it was given"
        )
    return returned


def check_network(name: str, returned: Any) -> nn.Module:
    """Return the network of a defense; raises `BrokenPromise` where it is none."""
    if not isinstance(returned, nn.Module):
        raise BrokenPromise(
            f"the defense '{name}' returned {_kind_of(returned)} from network: return the network, wrapped or not"
        )
    return returned


def check_optimizer(name: str, returned: Any) -> torch.optim.Optimizer:
    """Return the optimizer of a defense; raises `BrokenPromise` where it is none."""
    if not all(hasattr(returned, one) for one in ("step", "zero_grad", "param_groups", "state_dict")):
        raise BrokenPromise(
            f"the defense '{name}' returned {_kind_of(returned)} from optimizer: return the optimizer, wrapped or not"
        )
    optimizer: torch.optim.Optimizer = returned
    return optimizer


def check_epoch(name: str, returned: Any, epochs: int) -> int:
    """Return the epoch that a defense has judged; raises `BrokenPromise` where there is none such."""
    if not isinstance(returned, int) or not 0 <= returned < epochs:
        raise BrokenPromise(
            f"the defense '{name}' returned {returned!r} from judged_epoch after {epochs} epochs: return one of 0 to "
            f"{epochs - 1}"
        )
    return returned


def check_outputs(who: str, outputs: Any, images: int | None, classes: int) -> Tensor:
    """Return the logits of a network; raises `BrokenPromise` where they are none, `images` None where any number is."""
    count = "B" if images is None else images
    if not isinstance(outputs, Tensor):
        raise BrokenPromise(f"{who} returns {_kind_of(outputs)}: it has to return logits, [{count}, {classes}]")
    fits = outputs.dim() == 2 and outputs.shape[1] == classes and images in (None, len(outputs))
    if not fits or not outputs.is_floating_point():
        raise BrokenPromise(
            f"{who} returns {_dtype(outputs)} of shape {list(outputs.shape)} for {classes} classes: it has to return "
            f"logits, floats [{count}, {classes}]"
        )
    return outputs


def check_classifier(name: str, network: nn.Module, classes: int, size: tuple[int, int]) -> None:
    """Raise `BrokenPromise` unless a network gives finite logits for two images and for one, in eval mode.

    Parameters
    ----------
    network
        Takes images in [0, 1]; it is in the mode that it was in before.
    size
        Height and width of the images.

    """
    who, before = f"the architecture '{name}'", network.training
    parameter = next(network.parameters(), torch.zeros(()))
    network.eval()
    try:
        for images in (2, 1):
            with torch.inference_mode(), torch.random.fork_rng(devices=[]):
                outputs = network(torch.full((images, 3, *size), 0.5, device=parameter.device, dtype=parameter.dtype))
            if not bool(check_outputs(who, outputs, images, classes).isfinite().all()):
                raise BrokenPromise(
                    f"{who} returns NaN or infinite values with its first weights: look at what divides and what "
                    f"initialises it"
                )
    finally:
        network.train(before)


def _kind_of(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, tuple | list):
        return f"{len(value)} values"
    return f"a {type(value).__name__}"


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
