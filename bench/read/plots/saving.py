"""Figures as files."""

import io
from pathlib import Path

from matplotlib.figure import Figure

from bench.core.disk import write_atomically
from bench.read.plots.style import theme

_DPI = 200
_METADATA: dict[str, dict[str, str | None]] = {".svg": {"Date": None, "Creator": None}, ".png": {"Software": None}}


def save(figure: Figure, path: Path) -> None:
    """Write a figure as `.svg`, or `.png` of 200 dpi, by the suffix of `path`."""
    write_atomically(path, encoded(figure, path.suffix))


def encoded(figure: Figure, suffix: str) -> bytes:
    """Return the content of a figure's file, `.svg`, or `.png` of 200 dpi.

    The same figure gives the same bytes each time: nothing says when, or with which version it was written.
    """
    import matplotlib

    drawn = io.BytesIO()
    with theme(), matplotlib.rc_context({"svg.hashsalt": "sepbench", "svg.fonttype": "path"}):
        figure.savefig(drawn, format=suffix[1:], dpi=_DPI, metadata=_METADATA[suffix])
    return drawn.getvalue()
