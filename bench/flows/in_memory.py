"""Images in memory: what a person has in an array or tensor, as the bytes that sepbench works on, and back."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.core.errors import SepbenchError

_FORMS = "[N, H, W, 3], [N, 3, H, W], or grey [N, H, W]"


@dataclass(frozen=True)
class Form:
    """How somebody holds images in memory.

    Attributes
    ----------
    channels
        Where the axis of channels is, -1 or 1; None for grey images without one.
    grey
        Whether there is one channel, or none.
    dtype
        Of NumPy: uint8, or floats for values in [0, 1].
    device
        Of a tensor; None for an array.

    """

    channels: int | None
    grey: bool
    dtype: np.dtype[Any]
    device: torch.device | None

    def give_back(self, pixels: NDArray[np.uint8]) -> Any:
        """Return images as they were held, given uint8 [N, H, W, 3], or [N, H, W] where they are grey."""
        images: NDArray[Any] = pixels
        if self.grey and self.channels is not None:
            images = np.expand_dims(pixels, self.channels)
        elif self.channels == 1:
            images = np.moveaxis(pixels, -1, 1)
        if self.dtype != np.uint8:
            # In double precision, so that a byte is the nearest float of the type.
            images = (images / 255).astype(self.dtype)
        images = np.ascontiguousarray(images)
        return images if self.device is None else torch.from_numpy(images).to(self.device)


def read_images(images: Any, what: str = "images") -> tuple[NDArray[np.uint8], Form]:
    """Return images as bytes, uint8 [N, H, W, 3] or grey [N, H, W], and the form that they came in.

    Parameters
    ----------
    images
        An array or tensor, uint8, or floats in [0, 1], which are rounded to the nearest of 255 levels: [N, H, W, 3],
        [N, 3, H, W], or grey [N, H, W], [N, H, W, 1], [N, 1, H, W].
    what
        What messages call them.

    Raises
    ------
    SepbenchError
        They are anything else.

    """
    array, device = _array(images, what)
    if array.ndim in (3, 4) and len(array) == 0:
        raise SepbenchError(f"{what} is empty: give at least one image of each class")
    channels, grey = _channels(array.shape, what)
    form = Form(channels, grey, array.dtype, device)
    pixels = _bytes(array, what)
    if channels == 1:
        pixels = np.moveaxis(pixels, 1, -1)
    return np.ascontiguousarray(pixels[..., 0] if grey and channels is not None else pixels), form


def read_labels(labels: Any, count: int, what: str = "labels") -> NDArray[Any]:
    """Return labels as whole numbers, or names of classes, [N].

    Raises `SepbenchError` where they are neither, or not one for each of `count` images.
    """
    if isinstance(labels, torch.Tensor):
        labels = labels.detach().cpu().numpy()
    try:
        array = np.asarray(labels)
    except (TypeError, ValueError):
        array = np.empty((), object)
    if array.dtype == object and array.ndim == 1 and all(isinstance(one, str) for one in array):
        array = array.astype(str)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2:
        raise SepbenchError(f"{what} has shape {array.shape}: give one label an image, [N], such as {what}.argmax(1)")
    if array.ndim != 1 or array.dtype.kind not in "iuU":
        raise SepbenchError(
            f"{what} has dtype {array.dtype} and shape {array.shape}: give whole numbers or names of classes, [N]"
        )
    if len(array) != count:
        raise SepbenchError(f"{what} has {len(array)} labels for {count} images: give one for each")
    return array


def _array(images: Any, what: str) -> tuple[NDArray[Any], torch.device | None]:
    if isinstance(images, torch.Tensor):
        tensor = images.detach()
        if tensor.dtype == torch.bfloat16:
            raise SepbenchError(f"{what} has dtype torch.bfloat16, which cannot tell 255 levels apart: give float32")
        return tensor.cpu().numpy(), images.device
    try:
        return np.asarray(images), None
    except (TypeError, ValueError) as error:  # of several sizes
        raise SepbenchError(
            f"{what} cannot be made one array: give images of one size, {_FORMS}, or a folder of pictures of any size "
            f"to sepbench protect"
        ) from error


def _channels(shape: tuple[int, ...], what: str) -> tuple[int | None, bool]:
    """Return where the axis of channels is, and whether there is only one."""
    if len(shape) == 3 and shape[2] not in (1, 3, 4):
        return None, True
    if len(shape) != 4:
        one = f": for one image write {what}[None]" if len(shape) in (2, 3) else ""
        raise SepbenchError(f"{what} has shape {shape}: images must be {_FORMS}{one}")
    if shape[3] in (1, 3):
        return -1, shape[3] == 1
    if shape[1] in (1, 3):
        return 1, shape[1] == 1
    alpha = 4 in (shape[1], shape[3])
    how = f": leave alpha out, as in {what}[{'..., :3' if shape[3] == 4 else ':, :3'}]" if alpha else ""
    raise SepbenchError(f"{what} has shape {shape}: images must be {_FORMS}{how}")


def _bytes(array: NDArray[Any], what: str) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind != "f":
        whole = array.dtype.kind == "i" and array.size and array.min() >= 0 and array.max() <= 255
        how = f": make it {what}.astype('uint8')" if whole else ""
        raise SepbenchError(f"{what} has dtype {array.dtype}: images must be uint8, or floats in [0, 1]{how}")
    if not np.isfinite(array).all():
        raise SepbenchError(f"{what} has values that are no numbers (NaN or infinite): floats must lie in [0, 1]")
    low, high = (float(end) for end in (array.min(), array.max())) if array.size else (0.0, 0.0)
    if low < 0 or high > 1:
        as_bytes = low >= 0 and high <= 255
        advice = (
            "divide by 255, or make it uint8" if as_bytes else "undo a normalisation, or add what is a perturbation"
        )
        raise SepbenchError(f"{what} has values from {low:g} to {high:g}: floats must lie in [0, 1], so {advice}")
    return (array.astype(np.float64) * 255).round().astype(np.uint8)
