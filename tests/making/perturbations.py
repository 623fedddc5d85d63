"""What becomes of perturbations."""

import numpy as np
from numpy.typing import NDArray

from bench.data.decoding import Fit
from bench.engine.native import seen_at
from tests.making.pictures import Pixels


def lost(picture: Pixels, protected: Pixels, crafted: Pixels | NDArray[np.floating], fit: Fit) -> float:
    """Return what is lost of a perturbation on its way through a file of the picture's own size.

    The mean difference between what a network sees of the protected picture and what was crafted for it, bytes or
    shares of 1, as a share of the mean change that was crafted; 0 where nothing was crafted.
    """
    scale = 1 if crafted.dtype == np.uint8 else 255
    wanted = crafted.astype(np.float32).transpose(1, 2, 0) * scale
    change = np.abs(wanted - seen_at(picture, crafted.shape[-1], fit)).mean()
    return float(np.abs(wanted - seen_at(protected, crafted.shape[-1], fit)).mean() / change) if change else 0.0
