"""One picture of a person: its pixels at its own size, and whatever of it no pixel holds."""

import hashlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import SepbenchError
from bench.data.decoding import decode, opened, to_rgb, turn_upright

if TYPE_CHECKING:
    from PIL.Image import Image

_GREY = {"1", "L", "LA"}
_LOSSLESS = _GREY | {"P", "PA", "RGB", "RGBA"}
_GPS, _COMMENT = 0x8825, ("comment", "Comment", "Description")


class Unfit(SepbenchError):  # noqa: N818 - reads as what it is
    """A picture that cannot be protected without losing some of it.

    Attributes
    ----------
    where
        What leads a person to it.
    reason
        Why, as it follows that: `is animated (3 frames)`.
    kind
        What it is one of, to count others: `animated`.

    """

    def __init__(self, where: str, reason: str, kind: str) -> None:
        super().__init__(f"{where} {reason}: convert it to 8-bit RGB or grey, such as PNG, or move it elsewhere")
        self.where, self.reason, self.kind = where, reason, kind


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture, upright.

    Attributes
    ----------
    rgb
        uint8 [H, W, 3], as networks see it: grey three times, palettes looked up, without alpha.
    alpha
        uint8 [H, W]; None where there is none.
    grey
        Whether it came in with one channel of colour.
    sha256
        Of the stored bytes, hex.
    icc
        Its colour profile; None where there is none.
    metadata
        What else came with it: of `EXIF`, `GPS`, `XMP`, `text`.
    notes
        What a person has to know of how it was read, clauses without a point.

    """

    rgb: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None
    grey: bool
    sha256: str
    icc: bytes | None = None
    metadata: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.rgb.shape[0], self.rgb.shape[1]


def picture_of(data: bytes, where: str) -> Picture:
    """Decode an encoded picture.

    Raises `SepbenchError` that says `where` for one that cannot be decoded, and `Unfit` for one whose pixels are more
    than 8-bit RGB or grey with alpha can hold: 16 bits a channel, CMYK and other colours, several frames or pages.
    """
    image = decode(data, where)
    _refuse(image, data, where)
    notes = [] if image.mode != "1" else ["its 1 bit became 8"]
    icc = image.info.get("icc_profile") or None
    mode = image.mode
    with warnings.catch_warnings():
        # Of broken EXIF data the notes tell.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.TiffImagePlugin")
        metadata = tuple(_metadata(image))
        upright = turn_upright(image)
    if not upright:
        notes.append("its EXIF data, which may hold an orientation, cannot be read: taken as stored")
    alpha = None
    if mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        image = image.convert("LA" if mode in _GREY else "RGBA")
        alpha = np.array(image.getchannel("A"))
    return Picture(
        rgb=np.array(to_rgb(image, where)),
        alpha=alpha,
        grey=mode in _GREY,
        sha256=hashlib.sha256(data).hexdigest(),
        icc=icc,
        metadata=metadata,
        notes=tuple(notes),
    )


def _refuse(image: "Image", data: bytes, where: str) -> None:
    try:
        frames, raw = _as_stored(data)
    # Where its first picture is whole and what follows is not, readers raise SyntaxError, TypeError and more.
    except Exception as error:
        raise SepbenchError(f"{where} is damaged behind its first picture ({error}): repair or remove it") from error
    if frames > 1 and image.format != "MPO":  # of which phones store the picture first, and views of it after it
        what, each = ("has several pages", "pages") if image.format == "TIFF" else ("is animated", "frames")
        raise Unfit(where, f"{what} ({frames} {each})", "of several frames")
    # Of colours of 16 bits Pillow keeps the upper 8 without a word.
    if image.mode[0] in "IF" or ";16" in raw:
        raise Unfit(where, "has more than 8 bits a channel", "of more than 8 bits a channel")
    if image.mode not in _LOSSLESS:
        raise Unfit(where, f"has the colours {image.mode}, which RGB cannot hold without loss", f"in {image.mode}")


def _as_stored(data: bytes) -> tuple[int, str]:
    """Return the number of frames or pages, and what Pillow calls the layouts of stored pixels."""
    with warnings.catch_warnings(), opened(data) as image:
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.TiffImagePlugin")
        layouts = " ".join(str(tile[3]) for tile in getattr(image, "tile", ()))
        return int(getattr(image, "n_frames", 1)), layouts


def _metadata(image: "Image") -> Iterator[str]:
    info = image.info
    if info.get("exif"):
        yield "EXIF"
        try:
            if image.getexif().get_ifd(_GPS):
                yield "GPS"
        except Exception:  # what a broken block makes of a reader is without bounds
            return
    if info.get("xmp") or info.get("XML:com.adobe.xmp"):
        yield "XMP"
    if getattr(image, "text", None) or any(info.get(key) for key in _COMMENT):
        yield "text"
