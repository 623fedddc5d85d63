"""From stored images of any kind to one array of RGB bytes."""

import warnings
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from bench.contracts.dataset import Source
from bench.core.errors import SepbenchError
from bench.core.impostors import what_it_is
from bench.core.outside import memory

if TYPE_CHECKING:
    from PIL.Image import Image

RUN = {"EPS"}
"""Kinds of images that Pillow gives to another program, Ghostscript, which runs what is in them."""

_ANYWAY, _PER_BYTE = 2**24, 1000
"""Pixels that any picture may have, and those of larger ones for each byte of the file."""

Fit = Literal["crop", "squeeze"]
"""How an image is brought to a square: the middle of it, or all of it in other proportions."""


def decode(data: bytes | Path, where: str) -> "Image":
    """Decode one encoded image, given as bytes or as a file; raises `SepbenchError` that says `where`."""
    from PIL import Image, UnidentifiedImageError  # not needed by those who import `bench.api` for other names

    try:
        with opened(data) as image:
            _refuse_empty(image, len(data) if isinstance(data, bytes) else data.stat().st_size, where)
            image.load()
            return image
    except Image.DecompressionBombError as error:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise SepbenchError(f"{where} declares more than {most:,} pixels: make it smaller or remove it") from error
    except SepbenchError:
        raise
    except UnidentifiedImageError as error:
        named = what_it_is(data) if data else "is empty (0 bytes): repair or remove it"
        raise SepbenchError(
            f"{where} {named or 'is not an image that Pillow can read: repair or remove it'}"
        ) from error
    except OSError as error:
        if error.errno is None:  # Pillow's own
            raise SepbenchError(f"{where} cannot be decoded ({error}): repair or remove it") from error
        raise SepbenchError(f"{where} cannot be read ({error.strerror}): make it readable or remove it") from error
    # Decoders raise OSError, SyntaxError, ValueError, struct.error, zlib.error and more.
    except Exception as error:
        raise SepbenchError(f"{where} cannot be decoded ({error}): repair or remove it") from error


def _refuse_empty(image: "Image", size: int, where: str) -> None:
    """Refuse many pixels in next to no bytes, before memory is taken for them: a picture of something takes some."""
    pixels = image.width * image.height
    if pixels > max(_ANYWAY, _PER_BYTE * size):
        raise SepbenchError(
            f"{where} declares {image.width}x{image.height} pixels and has {size:,} bytes: make it smaller or remove it"
        )


def opened(data: bytes | Path) -> "Image":
    """Open an encoded image whose pixels are not decoded yet, as Pillow does, but of no kind that runs a program."""
    from PIL import Image

    Image.preinit()  # the usual kinds come first
    Image.init()
    kinds = [kind for kind in Image.ID if kind not in RUN]
    with warnings.catch_warnings():
        # Pillow warns at half of what it refuses; cameras take such pictures.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(BytesIO(data) if isinstance(data, bytes) else data, formats=kinds)


def stack(
    source: Source, positions: NDArray[np.int64], resize: int | None, fit: Fit = "crop"
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Decode the images at `positions` as RGB, upright, bring them to one size, stack them.

    An image is turned as its EXIF orientation says, so that it is seen as viewers show it; one whose EXIF data cannot
    be read stays as it is stored. Else Pillow's conversion decides: grey is repeated, palettes are looked up, an alpha
    channel is dropped without blending. `resize` is bicubic, antialiased where it shrinks; an image of that size
    already stays as it is. With `fit` "crop" its shorter side is resized and the square is its middle, else both sides
    are.

    Returns
    -------
    The images, uint8 [n, 3, H, W], and the positions of those whose EXIF data cannot be read, int64.

    Raises
    ------
    SepbenchError
        For images of different sizes without `resize`; for float and 16-bit images, which would be clipped.

    """
    stacked: NDArray[np.uint8] | None = None
    unclear = []
    with warnings.catch_warnings():
        # Of broken EXIF data `unclear` tells, once.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.TiffImagePlugin")
        for row, (position, image) in enumerate(zip(positions.tolist(), source.read(positions), strict=True)):
            if not turn_upright(image):
                unclear.append(position)
            image = to_rgb(image, source.where(position))
            if resize:
                image = to_square(image, resize, fit)
            if stacked is None:
                _refuse_large(len(positions), image)
                stacked = np.empty((len(positions), 3, image.height, image.width), np.uint8)
            if stacked.shape[2:] != (image.height, image.width):
                first = source.where(int(positions[0]))
                raise SepbenchError(
                    f"images differ in size: {first} is {stacked.shape[3]}x{stacked.shape[2]}, "
                    f"{source.where(position)} is {image.width}x{image.height}: "
                    f"set dataset.resize to the side that all shall have, in pixels"
                )
            stacked[row] = np.asarray(image).transpose(2, 0, 1)
    assert stacked is not None, "a split was opened without images"
    return stacked, np.array(unclear, np.int64)


def _refuse_large(count: int, image: "Image") -> None:
    needed = count * 3 * image.width * image.height
    if needed > memory():
        raise SepbenchError(
            f"{count:,} images of {image.width}x{image.height} take {needed / 2**30:.1f} GiB, more than this machine's "
            f"memory: set dataset.resize to a smaller side, or dataset.limit to fewer images"
        )


def to_square(image: "Image", side: int, fit: Fit) -> "Image":
    """Bring an image to a square of `side` pixels; one that is of that size already stays as it is."""
    from PIL.Image import Resampling

    if image.size == (side, side):
        return image
    width, height = covering(image.size, side) if fit == "crop" else (side, side)
    left, top = round((width - side) / 2), round((height - side) / 2)
    return image.resize((width, height), Resampling.BICUBIC).crop((left, top, left + side, top + side))


def pictures(source: Source, positions: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
    """Yield the images at `positions` as `stack` sees them before it brings them to one size, uint8 [H, W, 3]."""
    for position, image in zip(positions.tolist(), source.read(positions), strict=True):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.TiffImagePlugin")
            turn_upright(image)
        yield np.asarray(to_rgb(image, source.where(position)))


def turn_upright(image: "Image") -> bool:
    """Turn an image as its EXIF orientation says; return False where nothing of its EXIF data can be read."""
    from PIL import ImageOps

    try:
        readable = _has_readable_exif(image)
        ImageOps.exif_transpose(image, in_place=True)
    # Parsers of what a broken file holds raise SyntaxError, ValueError, struct.error, KeyError and more.
    except Exception:
        return False
    return readable


def _has_readable_exif(image: "Image") -> bool:
    from PIL.Image import Exif

    if image.getexif() or not (block := image.info.get("exif")):
        return True
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of an empty block Pillow says nothing, of a broken one it only warns
        Exif().load(block)
    return True


def covering(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return the size, rounded down, of an image of these proportions whose shorter side is `side`."""
    width, height = size
    shorter = min(size)
    return side * width // shorter, side * height // shorter


def to_rgb(image: "Image", where: str) -> "Image":
    """Return an image as networks see it; raises `SepbenchError` for one of more than 8 bits a channel."""
    if image.mode == "F" or image.mode.startswith("I"):
        raise SepbenchError(
            f"{where} has float or 16-bit values (Pillow mode {image.mode}): save it with 8 bits a channel"
        )
    return image if image.mode == "RGB" else image.convert("RGB")
