"""Arrays of text, as files from anywhere hold them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.api import SepbenchError


def checked_text(array: NDArray[Any], what: str) -> NDArray[Any]:
    """Return an array of text; raises `SepbenchError` where it holds what is no character, of which Python breaks down.

    Parameters
    ----------
    array
        Of any shape; of another kind than `U` it is returned as it is.
    what
        What it is called, for the message.

    """
    if array.dtype.kind != "U" or not array.size or not array.dtype.itemsize:
        return array
    letters = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("=")))
    if letters.view(np.uint32).max() > 0x10FFFF:
        raise SepbenchError(f"{what} holds text that is damaged: no character has such a number")
    return array
