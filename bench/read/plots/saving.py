"""Figures as files."""

import io
from pathlib import Path

from matplotlib.figure import Figure

from bench.core.disk import write_atomically
from bench.read.plots.style import theme

_DPI = 200
_METADATA: dict[str, dict[str, str | None]] = {
    ".svg": {"Date": None, "Creator": None},
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def save(figure: Figure, path: Path, *, paper: bool = False) -> None:
    """Write a figure as `.svg`, `.pdf`, or `.png` of 200 dpi, by the suffix of `path`."""
    write_atomically(path, encoded(figure, path.suffix, paper=paper))


def encoded(figure: Figure, suffix: str, *, paper: bool = False) -> bytes:
    """Return the content of a figure's file, `.svg`, `.pdf`, or `.png` of 200 dpi.

    The same figure gives the same bytes each time: nothing says when, or with which version it was written. Letters of
    an SVG are shapes, which look alike everywhere, and for a `paper` text, which can be searched and edited; a PDF
    embeds its fonts whole, as type 42.
    """
    import matplotlib

    drawn = io.BytesIO()
    fonts = {"svg.hashsalt": "sepbench", "svg.fonttype": "none" if paper else "path", "pdf.fonttype": 42}
    with theme(), matplotlib.rc_context(fonts):  # type: ignore[arg-type]
        figure.savefig(drawn, format=suffix[1:], dpi=_DPI, metadata=_METADATA[suffix])
    return drawn.getvalue()
