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
from bench.read.plots.frame import canvas, finish
from bench.read.plots.style import theme

if TYPE_CHECKING:
    from torch import Tensor

_SIDE = 0.82  # inches of an image


def examples(
    clean: "Tensor", names: list[str], protected: Mapping[str, "Tensor"], title: str, footnote: str = ""
) -> Figure:
    """Draw images as they are and under each protection, with the difference amplified, one row per image.

    Grey is no change; the factor is the same throughout, and the largest that keeps every change in range. PSNR (dB)
    and SSIM of each image stand below it.

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
    with theme():
        figure = canvas(0.4 + columns * (_SIDE + 0.06), 0.3 + len(clean) * (_SIDE + 0.25), title, about)
        grid = figure.subplots(len(clean), columns, squeeze=False)
        for i, row in enumerate(grid):
            _show(row[0], clean[i], "clean" if i == 0 else "")
            row[0].set_ylabel(names[i])
            for j, (label, released) in enumerate(protected.items()):
                one, other = row[1 + 2 * j : 3 + 2 * j]
                _show(one, released[i], _heading(label) if i == 0 else "")
                _show(other, difference(clean[i], released[i], factor), "")
                other.set_xlabel(f"change, {factor}x", labelpad=2)
                one.set_xlabel(_distance(clean[i : i + 1], released[i : i + 1]), labelpad=2)
        return finish(figure)


def difference(clean: "Tensor", released: "Tensor", factor: int) -> NDArray[np.uint8]:
    """Return 128 + factor * (released - clean), cut to 0 to 255, of one image, uint8 [H, W, 3]."""
    amplified = 128 + factor * (_levels(released) - _levels(clean))
    return np.asarray(amplified.clamp(0, 255).permute(1, 2, 0), dtype=np.uint8)


def _levels(images: "Tensor") -> "Tensor":
    import torch

    return images.to(torch.int32)


def _show(axes: Axes, image: Any, title: str) -> None:
    pixels = image if isinstance(image, np.ndarray) else image.permute(1, 2, 0).numpy()
    axes.imshow(pixels, interpolation="nearest")
    axes.set_title(title, pad=3, loc="left")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _heading(label: str) -> str:
    """Break a label that is wider than two images."""
    return textwrap.fill(label, 25, break_long_words=False)


def _distance(clean: "Tensor", released: "Tensor") -> str:
    found = audit(clean, released)
    psnr = "identical" if found.psnr is None else f"{found.psnr:.1f} dB"
    return psnr if found.ssim is None else f"{psnr} · {found.ssim:.3f}"
