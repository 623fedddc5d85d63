"""One HTML file that needs nothing else: the rows as data, the style and the program written into it."""

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from importlib.resources import files
from typing import Any

from bench.read.leaderboard.rows import Row
from bench.read.leaderboard.tracks import CLEAN_ONLY, track_order, track_title

_SCRIPTS = ("view.js", "table.js", "details.js", "download.js", "main.js")


def render(rows: Sequence[Row]) -> str:
    """Return the page on these rows; nothing in a row can end the script that holds it or become HTML."""
    style = _asset("style.css")
    script = "\n".join(map(_asset, _SCRIPTS))
    parts = {
        "style": style,
        "style-hash": _hash(style),
        "script": script,
        "script-hash": _hash(script),
        "data": _in_script(_data(rows)),
    }
    return re.sub(r"\{\{([a-z-]+)\}\}", lambda match: parts[match[1]], _asset("page.html"))


def _data(rows: Sequence[Row]) -> dict[str, Any]:
    tracks = _tracks_of(rows)
    names = sorted({name for found in tracks for name in found}, key=track_order)
    clean = {row.context: row.mean for row in rows if row.reference == "clean"}
    contexts = {context: number for number, context in enumerate(dict.fromkeys(row.context for row in rows))}
    return {
        "tracks": [{"name": name, "title": track_title(name)} for name in names],
        "rows": [
            {
                **{name: value for name, value in asdict(row).items() if name != "track"},
                "context": contexts[row.context],
                "tracks": found,
                "clean": clean.get(row.context),
                "text": _text(row),
            }
            for row, found in zip(rows, tracks, strict=True)
        ],
    }


def _tracks_of(rows: Sequence[Row]) -> list[list[str]]:
    """Return the tracks of each row: a clean reference stands in all in which something is compared with it."""
    found: dict[str, set[str]] = {}
    for row in rows:
        if row.track is not None:
            found.setdefault(row.context, set()).add(row.track)
    return [
        [row.track] if row.track is not None else sorted(found.get(row.context, {CLEAN_ONLY}), key=track_order)
        for row in rows
    ]


def _text(row: Row) -> dict[str, str | None]:
    """Return the numbers as they are shown: a published one as it was printed, ours with one decimal."""
    if row.source is not None:
        return {"mean": f"{row.mean:g}", "spread": None if row.std is None else f"sd {row.std:g}"}
    return {
        "mean": None if row.mean is None else f"{row.mean:.1f}",
        "spread": None if row.half_width is None else f"± {row.half_width:.1f}",
    }


def _in_script(data: dict[str, Any]) -> str:
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _asset(name: str) -> str:
    return (files("bench.read.leaderboard") / "assets" / name).read_text(encoding="utf-8")
