"""JPEG compression: what the eye does not miss is thrown away, perturbations among it."""

from io import BytesIO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from bench.api import DEFENSES, Defense, Field, Params


class JpegParams(Params):
    """Parameters of the compression."""

    quality: int = Field(10, ge=1, le=100, description="quality of libjpeg: less is stronger; papers sweep 10 to 90")


@DEFENSES.register("jpeg")
class Jpeg(Defense[JpegParams]):
    """The training images are compressed by a real JPEG codec and read back, once; test images stay as they are.

    Pillow's codec with its defaults: colour at half the resolution (4:2:0).

    Source: Liu et al., Image Shortcut Squeezing: Countering Perturbative Availability Poisons with Compression,
    ICML 2023.
    """

    cite = "liu2023image"
    short = "quality"
    words = "JPEG compression at quality {quality}"

    def dataset(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Return the images, uint8 [N, 3, H, W], as they are read back."""
        pixels = images.permute(0, 2, 3, 1).cpu().numpy().copy("C")
        for index, image in enumerate(pixels):
            pixels[index] = _read_back(image, self.params.quality)
        return torch.from_numpy(pixels).to(images.device).permute(0, 3, 1, 2).contiguous()


def _read_back(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    file = BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))
