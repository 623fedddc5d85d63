"""Pictures as people have them: files of every kind, in folders of classes."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.contracts.dataset import Source
from bench.data.decoding import decode, stack
from bench.data.originals import Originals, Output, Writer

Pixels = NDArray[np.uint8]


def photo(height: int, width: int, *, channels: int = 3, seed: int = 0) -> Pixels:
    """Return smooth random pixels, uint8 [H, W, channels], or [H, W] for one channel, which reach 0 and 255."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, channels), dtype=np.uint8)
    layers = [
        Image.fromarray(coarse[..., k]).resize((width, height), Image.Resampling.BICUBIC) for k in range(channels)
    ]
    pixels = np.stack([np.asarray(layer) for layer in layers], 2)
    return pixels[..., 0] if channels == 1 else pixels


def file_of(pixels: Pixels | Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Return an encoded picture."""
    image = Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def put(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files below a folder, by their paths."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def as_networks_see(data: bytes) -> Pixels:
    """Return a picture as a data set gives it to networks, at its own size."""
    source = Source(np.zeros(1, np.int64), ("a",), lambda positions: (decode(data, "it") for _ in positions))
    images, _ = stack(source, np.zeros(1, np.int64), None)
    seen: Pixels = images[0].transpose(1, 2, 0)
    return seen


def claimed(originals: Originals, out: Path, form: str = "png", **how: Any) -> Writer:
    """Return what writes protected pictures to a folder, which it has claimed; `how` is as in `Output`."""
    writer = originals.writer(Output(out, form, **how))
    writer.claim()
    return writer


def protect(originals: Originals, out: Path, form: str = "png", **how: Any) -> None:
    """Write every picture to a folder, as `changed` makes it, and end."""
    writer = claimed(originals, out, form, **how)
    write_all(originals, writer)
    writer.finish()


def write_all(originals: Originals, writer: Writer, by: int = 3) -> None:
    """Write each picture that is not done, as `changed` makes it."""
    for index in range(len(originals)):
        if writer.done(index) is None:
            picture = originals.picture(index)
            writer.write(index, picture, changed(picture.rgb, by))


def changed(rgb: Pixels, by: int = 3) -> Pixels:
    """Return pixels moved up by some levels, down where there is no room."""
    return np.where(rgb > 255 - by, rgb - by, rgb + by).astype(np.uint8)


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder by its path."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
