"""What a stranger's file may be: a valid one with bytes, numbers or fields changed, drawn by hypothesis."""

import io
import json
import math
import zipfile
from collections.abc import Callable
from typing import Any, Literal

from hypothesis import strategies as st

NUMBERS = (0, 1, 2**7, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1)
VALUES: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 0.5, 2**31, 2**63, 10**400, -(10**30), math.inf, -math.inf, math.nan, 1e308),
    *("", "..", "../../../etc/passwd", "/dev/zero", "a\0b", "\x1b[2Jgone", "\u202eback", "=cmd()", "</script><b>", "|"),
    *("\ud800", "x" * 5000, "0" * 64, [], {}, [[]], {"": {}}, [None] * 50, "nan", "2001-99-99", "${HOME}", "{a: [b"),
)

Change = Callable[[bytes], bytes]


@st.composite
def of_bytes(draw: st.DrawFn) -> Change:
    """Draw one change of bytes: some flipped, cut off, taken out, put in, copied, or a number in place of them."""
    kind = draw(st.sampled_from(["flip", "cut", "drop", "insert", "copy", "number", "zeros"]))
    at, length = draw(st.floats(0, 1)), draw(st.sampled_from((1, 2, 4, 8, 64, 4096)))
    number, width = draw(st.sampled_from(NUMBERS)), draw(st.sampled_from((1, 2, 4, 8)))
    order: Literal["little", "big"] = draw(st.sampled_from(("little", "big")))
    other, noise = draw(st.floats(0, 1)), draw(st.binary(min_size=1, max_size=8))

    def change(data: bytes) -> bytes:
        place = int(at * len(data))
        before, there, behind = data[:place], data[place : place + length], data[place + length :]
        match kind:
            case "flip":
                return before + bytes(one ^ noise[0] for one in there[:1]) + there[1:] + behind
            case "cut":
                return before
            case "drop":
                return before + behind
            case "insert":
                return before + noise + there + behind
            case "copy":
                start = int(other * len(data))
                return before + data[start : start + length] + behind
            case "number":
                new: int = number % 256**width
                return before + new.to_bytes(width, order) + data[place + width :]
        return before + bytes(len(there)) + behind

    return change


@st.composite
def of_json(draw: st.DrawFn) -> Change:
    """Draw one change of a JSON document: a value anywhere in it becomes another, goes, or is nested deeply."""
    at, kind = (
        draw(st.floats(0, 1)),
        draw(st.sampled_from(["value", "value", "value", "drop", "number", "nest", "double"])),
    )
    value, number, depth = draw(st.sampled_from(VALUES)), draw(st.integers()), draw(st.sampled_from((3, 300, 100_000)))

    def change(data: bytes) -> bytes:
        body: Any = json.loads(data)
        places = list(_places(body))
        holder, name = places[int(at * len(places)) - 1]
        if kind == "drop":
            del holder[name]
        elif kind == "double" and isinstance(holder, list):
            holder.append(holder[name])
        elif kind != "nest":
            holder[name] = number if kind == "number" else value
        else:
            holder[name] = "@"
            return json.dumps(body).replace('"@"', "[" * depth + "]" * depth).encode()
        return json.dumps(body).encode()

    return lambda data: change(data) if any(_places(json.loads(data))) else data


def _places(body: Any) -> Any:
    if isinstance(body, dict | list):
        for name in list(body) if isinstance(body, dict) else range(len(body)):
            yield body, name
            yield from _places(body[name])


@st.composite
def in_archive(draw: st.DrawFn, inner: st.SearchStrategy[Change]) -> Change:
    """Draw one change of a member of a zip file, whose checksums are right afterwards, or of the list of members."""
    at, change = draw(st.floats(0, 1, exclude_max=True)), draw(inner)
    kind = draw(st.sampled_from(("change", "change", "change", "rename", "double", "deflate", "lie")))
    name, number = (
        draw(st.sampled_from(("../../x", "/tmp/x", "", "x" * 300, "images.npy"))),
        draw(st.sampled_from(NUMBERS)),
    )

    def changed(data: bytes) -> bytes:
        made = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(data)) as came, zipfile.ZipFile(made, "w") as archive:
            members = came.infolist()
            chosen = members[int(at * len(members))]
            for member in members:
                content = came.read(member)
                if member is not chosen:
                    archive.writestr(member.filename, content)
                    continue
                new = name if kind == "rename" else member.filename
                how = zipfile.ZIP_DEFLATED if kind == "deflate" else zipfile.ZIP_STORED
                archive.writestr(new, change(content) if kind == "change" else content, how)
                if kind == "double":
                    archive.writestr(member.filename, change(content))
                if kind == "lie":
                    archive.infolist()[-1].file_size = number % 2**32
        return made.getvalue()

    return changed
