"""What protection does to images."""

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.core.errors import SepbenchError
from bench.engine.release import audit
from bench.read.plots.frame import SCREEN, Sheet, canvas, finish
from bench.read.plots.style import theme

if TYPE_CHECKING:
    from torch import Tensor

_SIDE = 0.82  # inches of an image


def examples(
    clean: "Tensor",
    names: list[str],
    protected: Mapping[str, "Tensor"],
    title: str,
    footnote: str = "",
    sheet: Sheet = SCREEN,
) -> Figure:
    """Draw images as they are and under each protection, with the difference amplified, one row per image.

    On a sheet that is too narrow for that images stand beside and protections below each other. Grey is no change; the
    factor is the same throughout, and the largest that keeps every change in range. PSNR (dB) and SSIM of each image
    stand below it.

    Parameters
    ----------
    clean
        uint8 [N, 3, H, W].
    names
        Of the images, N.
    protected
        By the method's label, the released images in the same order, uint8 [N, 3, H, W].
    title, footnote
        What stands around the images.
    sheet
        What is drawn on.

    Raises
    ------
    SepbenchError
        There is nothing protected.

    """
    if not protected:
        raise SepbenchError("there are no protected images to show: run the experiment first")
    worst = max(int((_levels(released) - _levels(clean)).abs().amax()) for released in protected.values())
    factor = max(1, 127 // max(worst, 1))
    about = (
        f"Changes are amplified {factor} times around mid-grey, which is no change; PSNR and SSIM below each image. "
        f"{footnote}"
    ).strip()
    columns = 1 + 2 * len(protected)
    wide, high = 0.4 + columns * (_SIDE + 0.06), 0.3 + len(clean) * (_SIDE + 0.25)
    upright = sheet.width is not None and sheet.width < 0.8 * wide
    with theme():
        if upright:
            figure = canvas(wide, 0.3 + columns * (_SIDE + 0.25), title, about, sheet)
            grid = figure.subplots(columns, len(clean), squeeze=False).T
        else:
            figure = canvas(wide, high, title, about, sheet)
            grid = figure.subplots(len(clean), columns, squeeze=False)
        for i, row in enumerate(grid):
            _show(row[0], clean[i])
            _head(row[0], names[i], "clean" if i == 0 else "", upright=upright)
            for j, (label, released) in enumerate(protected.items()):
                one, other = row[1 + 2 * j : 3 + 2 * j]
                _show(one, released[i])
                _head(one, "", _heading(label, 13 if upright else 25) if i == 0 else "", upright=upright)
                _show(other, difference(clean[i], released[i], factor))
                other.set_xlabel(f"change, {factor}x", labelpad=2)
                one.set_xlabel(_distance(clean[i : i + 1], released[i : i + 1], upright=upright), labelpad=2)
        return finish(figure)


def _head(axes: Axes, of_image: str, of_protection: str, *, upright: bool) -> None:
    """Write left of the first image of a row what it shows, and above the first of a column."""
    left, above = (of_protection, of_image) if upright else (of_image, of_protection)
    axes.set_ylabel(left)
    axes.set_title(above, pad=3, loc="left")


def difference(clean: "Tensor", released: "Tensor", factor: int) -> NDArray[np.uint8]:
    """Return 128 + factor * (released - clean), cut to 0 to 255, of one image, uint8 [H, W, 3]."""
    amplified = 128 + factor * (_levels(released) - _levels(clean))
    return np.asarray(amplified.clamp(0, 255).permute(1, 2, 0), dtype=np.uint8)


def _levels(images: "Tensor") -> "Tensor":
    import torch

    return images.to(torch.int32)


def _show(axes: Axes, image: Any) -> None:
    pixels = image if isinstance(image, np.ndarray) else image.permute(1, 2, 0).numpy()
    axes.imshow(pixels, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _heading(label: str, letters: int) -> str:
    """Break a label that is wider than its images."""
    return textwrap.fill(label, letters, break_long_words=False)


def _distance(clean: "Tensor", released: "Tensor", *, upright: bool) -> str:
    found = audit(clean, released)
    psnr = "identical" if found.psnr is None else f"{found.psnr:.1f} dB"
    between = "\n" if upright else " · "
    return psnr if found.ssim is None else f"{psnr}{between}{found.ssim:.3f}"
