"""One HTML file that needs nothing else: the rows as data, the style and the program written into it."""

import base64
import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from importlib.resources import files
from typing import Any

from bench.read.chance import chance_of
from bench.read.leaderboard.cuts import weaknesses
from bench.read.leaderboard.matrix import Matrix
from bench.read.leaderboard.matrix_html import matrices_html
from bench.read.leaderboard.page_columns import column_axes, setting_fields
from bench.read.leaderboard.rows import Row
from bench.read.leaderboard.tracks import CLEAN_ONLY, USUAL, Track
from bench.record.values import value_of

_SCRIPTS = ("view.js", "table.js", "details.js", "download.js", "main.js")

# What a row has beyond these is told otherwise, or is the matrices'.
_SHOWN = [
    one.name
    for one in fields(Row)
    if one.name not in ("track", "columns", "audit", "others", "place", "params", "chosen", "records")
]

_VALUES = {
    "test_acc": "last epoch",
    "peak_acc": "best epoch by test images",
    "relabelled_acc": "last epoch, outputs renamed",
}
"""The accuracies that the page offers, the usual one first."""


def render(rows: Sequence[Row], matrices: Sequence[Matrix] = ()) -> str:
    """Return the page on these rows; nothing in a row can end the script that holds it or become HTML."""
    style = _asset("style.css")
    script = "\n".join(map(_asset, _SCRIPTS))
    parts = {
        "style": style,
        "style-hash": _hash(style),
        "script": script,
        "script-hash": _hash(script),
        "data": _in_script(_data(rows)),
        "matrices": matrices_html(matrices),
    }
    return re.sub(r"\{\{([a-z-]+)\}\}", lambda match: parts[match[1]], _asset("page.html"))


def _data(rows: Sequence[Row]) -> dict[str, Any]:
    stand_in = _tracks_of(rows)
    tracks = sorted({track for found in stand_in for track in found}, key=lambda track: track.order)
    clean = {row.context: row for row in rows if row.reference == "clean"}
    contexts = {context: number for number, context in enumerate(dict.fromkeys(row.context for row in rows))}
    return {
        "tracks": [
            {"name": track.name, "title": track.title, "beside": [_head(field) for field in track.beside]}
            for track in tracks
        ],
        "values": [{"name": name, "title": title} for name, title in _VALUES.items()],
        "opens": _opens_on(rows, tracks),
        "columns": [{"name": axis.name, "title": axis.title, "plural": axis.plural} for axis in column_axes()],
        "setting": setting_fields(),
        "rows": [
            {
                **{name: getattr(row, name) for name in _SHOWN},
                **row.columns,
                **{field: _rounded(row.audit.get(field)) for field in _beside(found)},
                "context": contexts[row.context],
                "weak": weaknesses([row]),
                "variant": bool(row.records) and row.chosen is None,
                "tracks": [track.name for track in found],
                "clean": clean[row.context].mean if row.context in clean else None,
                "chance": _rounded(chance_of(row.records)),
                "others": {name: _other(row, name, clean.get(row.context)) for name in row.others},
                "text": {**_text(row), **{field: _audit_text(row, field) for field in _beside(found)}},
            }
            for row, found in zip(rows, stand_in, strict=True)
        ],
    }


def _tracks_of(rows: Sequence[Row]) -> list[list[Track]]:
    """Return the tracks of each row: a clean reference stands in all in which something is compared with it."""
    found: dict[str, set[Track]] = {}
    for row in rows:
        if row.track is not None:
            found.setdefault(row.context, set()).add(row.track)
    return [
        [row.track]
        if row.track is not None
        else sorted(found.get(row.context, {CLEAN_ONLY}), key=lambda track: track.order)
        for row in rows
    ]


def _opens_on(rows: Sequence[Row], tracks: Sequence[Track]) -> str | None:
    """Return the track that is shown first: the usual one, or else that with the most rows that were measured here."""
    measured = Counter(row.track for row in rows if row.source is None and row.track is not None and not row.reference)
    usual = [USUAL] if USUAL in measured else sorted(tracks, key=lambda track: -measured[track])
    return usual[0].name if usual else None


def _beside(tracks: Sequence[Track]) -> list[str]:
    """Return the fields of the audit that stand beside a row of these tracks."""
    return list(dict.fromkeys(field for track in tracks for field in track.beside))


def _head(field: str) -> dict[str, str]:
    return {"name": field, "title": value_of(field).title}


def _other(row: Row, name: str, clean: Row | None) -> dict[str, Any]:
    """Return what stands in place of the last epoch's accuracy where another one is asked for."""
    mean, half_width = row.others[name]
    spread = None if half_width is None else f"± {half_width:.1f}"
    reference = clean.others.get(name) if clean is not None else None
    return {
        "mean": mean,
        "half_width": half_width,
        "clean": reference and reference[0],
        "text": {"mean": f"{mean:.1f}", "spread": spread},
    }


def _text(row: Row) -> dict[str, str | None]:
    """Return the numbers as they are shown: a published one as it was printed, ours with one decimal."""
    if row.source is not None:
        told = [("sd", row.std), ("n =", row.n)]
        spread = ", ".join(f"{name} {value:g}" for name, value in told if value is not None)
        return {"mean": f"{row.mean:g}", "spread": spread or None}
    return {
        "mean": None if row.mean is None else f"{row.mean:.1f}",
        "spread": None if row.half_width is None else f"± {row.half_width:.1f}",
    }


def _audit_text(row: Row, field: str) -> str | None:
    value = row.audit.get(field)
    return None if value is None else f"{value:.{value_of(field).decimals}f}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _in_script(data: dict[str, Any]) -> str:
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _asset(name: str) -> str:
    return (files("bench.read.leaderboard") / "assets" / name).read_text(encoding="utf-8")
