"""Changes within the parts of a format, with lengths and checksums that are right afterwards."""

import hashlib
import io
import json
import struct
import zlib
from contextlib import suppress
from typing import Any

import numpy as np
from hypothesis import strategies as st

from bench.store.sealed import seal
from tests.strangers.edits import NUMBERS, Change, of_bytes, of_json

_TYPES = (
    *("|u1", "<f8", "|O", "<U1", "<U1000000000", "|S0", "<U0", "|V8", "<M8[s]", "<c16", ">f4", "|b1", "<f2"),
    *("", "a,b", "<i9", "<i1", "<u8"),
)
_SIZES = st.one_of(st.sampled_from((*NUMBERS, -1, -(2**63))), st.integers(0, 9))


@st.composite
def of_array(draw: st.DrawFn) -> Change:
    """Draw another shape or type in the head of an array of NumPy."""
    shape, kind = tuple(draw(st.lists(_SIZES, max_size=5))), draw(st.sampled_from(_TYPES))
    what = draw(st.sampled_from(("shape", "descr", "text", "both", "one", "fortran")))
    at, size = draw(st.integers(0, 3)), draw(_SIZES)

    def change(data: bytes) -> bytes:
        with suppress(ValueError, SyntaxError):
            file = io.BytesIO(data)
            np.lib.format.read_magic(file)
            old, _, dtype = np.lib.format.read_array_header_1_0(file)
            new = tuple(size if place == at else one for place, one in enumerate(old)) if what == "one" else shape
            head = {
                "descr": kind if what in ("descr", "both") else dtype.str,
                "fortran_order": what == "fortran",
                "shape": new if what in ("shape", "both", "one") else old,
            }
            text = ("(" * 5000 if what == "text" else repr(head)).encode("latin1") + b"\n"
            return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + file.read()
        return data

    return change


@st.composite
def of_tensors(draw: st.DrawFn) -> Change:
    """Draw a change of the head of a safetensors file."""
    inner = draw(st.one_of(of_json(), of_bytes()))

    def change(data: bytes) -> bytes:
        end = 8 + int.from_bytes(data[:8], "little")
        head = inner(data[8:end])
        return len(head).to_bytes(8, "little") + head + data[end:]

    return change


@st.composite
def of_footer(draw: st.DrawFn) -> Change:
    """Draw a change of the footer of a Parquet file."""
    inner = draw(of_bytes())

    def change(data: bytes) -> bytes:
        length = int.from_bytes(data[-8:-4], "little")
        footer = inner(data[-8 - length : -8])
        return data[: -8 - length] + footer + len(footer).to_bytes(4, "little") + data[-4:]

    return change


@st.composite
def of_chunk(draw: st.DrawFn) -> Change:
    """Draw a change of one chunk of a PNG file."""
    inner, at = draw(of_bytes()), draw(st.floats(0, 1, exclude_max=True))

    def change(data: bytes) -> bytes:
        chunks, place = [], 8
        while place + 8 <= len(data):
            length = int.from_bytes(data[place : place + 4], "big")
            chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
            place += 12 + length
        chosen = int(at * len(chunks))
        made = data[:8]
        for number, (name, content) in enumerate(chunks):
            new = inner(content) if number == chosen else content
            made += struct.pack(">I", len(new)) + name + new + struct.pack(">I", zlib.crc32(name + new))
        return made

    return change


@st.composite
def of_sealed(draw: st.DrawFn, packed: bool = False) -> Change:
    """Draw a change of a document that holds its own digest, which is right afterwards."""
    inner = draw(of_json())

    def change(data: bytes) -> bytes:
        with suppress(zlib.error):
            data = zlib.decompress(data) if packed else data
        with suppress(ValueError, KeyError, RecursionError, AttributeError):
            body: dict[str, Any] = json.loads(data)
            body.pop("sha256")
            data = seal(json.loads(inner(json.dumps(body).encode())))
        return zlib.compress(data) if packed else data

    return change


def digest(data: bytes) -> str:
    """Return the hex SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()
