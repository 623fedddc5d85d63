"""Files of tensors made small without a loss: what they differ by from known bytes, like beside like, compressed."""

import json
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

BLOCK = 4 * 2**20
"""Bytes that are packed at a time, at most."""

_SMALL = 2**16
"""Tensors of fewer bytes share blocks; larger ones have their own, so that of equal tensors blocks are equal."""


class NotPacked(ValueError):  # noqa: N818 - reads as what it is
    """Bytes are not what was packed; the message says what is wrong with them."""


def blocks_of(data: bytes, like: Mapping[str, Bytes]) -> Iterator[bytes]:
    """Yield a safetensors file in blocks that compress well; `restored` makes it of them again, byte by byte.

    Parameters
    ----------
    data
        The file.
    like
        By the name of a tensor bytes that it is thought to be like: of tensors of that size only the difference
        is kept, byte by byte modulo 256, in which nothing is lost.

    """
    start, tensors = _header(data)
    small, large = [data[:start]], list[bytes]()
    for name, tensor in tensors:
        begin, end = (start + offset for offset in tensor["data_offsets"])
        turned = _turned(np.frombuffer(data, np.uint8)[begin:end], like.get(name), _width(tensor)).tobytes()
        (small if len(turned) < _SMALL else large).append(turned)
    for stream in (b"".join(small), *large):
        yield from (stream[at : at + BLOCK] for at in range(0, len(stream), BLOCK))


def restored(blocks: bytes, like: Mapping[str, Bytes]) -> bytes:
    """Return the file of which these are the blocks, one after the other; raises `NotPacked` for anything else."""
    start, tensors = _header(blocks)
    sizes = [tensor["data_offsets"][1] - tensor["data_offsets"][0] for _, tensor in tensors]
    if start + sum(sizes) != len(blocks):
        raise NotPacked("its header names tensors of another size")
    at_small = start
    at_large = start + sum(size for size in sizes if size < _SMALL)
    parts = [blocks[:start]]
    for (name, tensor), size in zip(tensors, sizes, strict=True):
        at = at_small if size < _SMALL else at_large
        turned = np.frombuffer(blocks, np.uint8)[at : at + size]
        parts.append(_turned_back(turned, like.get(name), _width(tensor)).tobytes())
        if size < _SMALL:
            at_small += size
        else:
            at_large += size
    return b"".join(parts)


def squeezed(block: bytes) -> bytes:
    """Return a block compressed; runs and frequencies are all that perturbations and weights have to squeeze."""
    packer = zlib.compressobj(6, zlib.DEFLATED, zlib.MAX_WBITS, 9, zlib.Z_RLE)
    return packer.compress(block) + packer.flush()


def unsqueezed(data: bytes, size: int) -> bytes:
    """Return the block of `size` bytes that was compressed; raises `NotPacked` for one of another size, or none."""
    unpacker = zlib.decompressobj()
    try:
        block = unpacker.decompress(data, size + 1)  # never more, whatever it would come to
    except zlib.error as error:
        raise NotPacked(f"it cannot be unpacked ({error})") from error
    if len(block) != size or not unpacker.eof or unpacker.unused_data:
        raise NotPacked(f"it does not unpack to the {size} bytes that it declares")
    return block


def without_last_bits(data: bytes) -> bytes:
    """Return a safetensors file whose float32 matrices and kernels hold the nearest bfloat16 numbers.

    Vectors, such as the statistics of batch norm, and whatever is no float32 stay as they are.
    """
    start, tensors = _header(data)
    changed = bytearray(data)
    for _, tensor in tensors:
        if tensor["dtype"] == "F32" and len(tensor["shape"]) > 1:
            begin, end = (start + offset for offset in tensor["data_offsets"])
            bits = np.frombuffer(changed[begin:end], "<u4")
            nearest = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)  # ties to even
            changed[begin:end] = nearest.astype("<u4").tobytes()
    return bytes(changed)


def _header(data: bytes) -> tuple[int, list[tuple[str, dict[str, Any]]]]:
    """Return where the numbers of a safetensors file begin, and its tensors in the order in which they lie there."""
    try:
        start = 8 + int.from_bytes(data[:8], "little")
        if start > len(data):
            raise ValueError
        header = {name: one for name, one in json.loads(data[8:start]).items() if name != "__metadata__"}
        tensors = sorted(header.items(), key=lambda item: item[1]["data_offsets"])
        at = 0
        for _, tensor in tensors:
            begin, end = tensor["data_offsets"]
            if begin != at or end < begin or (end - begin) % _width(tensor):
                raise ValueError
            at = end
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise NotPacked("its header is no safetensors header") from error
    return start, tensors


def _width(tensor: Mapping[str, Any]) -> int:
    """Return the bytes of a number."""
    widths = {"64": 8, "32": 4, "16": 2}
    return widths.get(str(tensor["dtype"])[-2:], 1)


def _turned(part: Bytes, like: Bytes | None, width: int) -> Bytes:
    """Return what a tensor differs by from what it is like, or all first bytes of its numbers, then all second ones."""
    if like is not None and like.size == part.size:
        return part - like
    return part.reshape(-1, width).T.ravel()


def _turned_back(turned: Bytes, like: Bytes | None, width: int) -> Bytes:
    if like is not None and like.size == turned.size:
        return turned + like
    return turned.reshape(width, -1).T.ravel()
