"""What is around the axes: a canvas, a title, a footnote."""

import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from math import ceil

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from bench.read.plots.style import MUTED
from bench.read.tables import Table, TableCell
from bench.record.values import value_of

# Of the font of the theme, in the middle of English text.
_LETTERS_PER_INCH = {8: 16.5, 9: 12.8}
_BESIDE = 3
_MARGIN = 0.08  # of the width, on either side
_LEGIBLE = 0.09  # of the width, between two ticks
_LINE = 1.25 / 72  # inches of a line for each point of its letters


COLUMN = 3.3
"""Inches of a column of a paper that has two."""


@dataclass(frozen=True)
class Sheet:
    """What a figure is drawn on: by default a screen, where it is as wide as its content asks, under its title.

    With a `width` in inches it is a paper, which has its own title and caption.
    """

    width: float | None = None

    def beside(self, inches: float, count: int, labels: float = 0.0, most: int = _BESIDE) -> int:
        """Return how many of `count` panels stand beside each other that take so many inches, `labels` apart."""
        fitting = most if self.width is None else int((self.width - labels) / inches)
        return max(1, min(count, most, fitting))


SCREEN = Sheet()


def canvas(width: float, height: float, title: str, footnote: str, sheet: Sheet = SCREEN) -> Figure:
    """Return a figure on a canvas of its own: no display, no global state.

    `width` and `height` are the inches of what is between title and footnote, as it is printed on a screen. A paper
    has its own width, and neither of the two.
    """
    if sheet.width is not None:
        return _Shown(figsize=(sheet.width, height), layout=ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03))
    above, below = _wrap(title, width, 9), _wrap(footnote, width, 8)
    lines = 9 * (above.count("\n") + 1) + 8 * (below.count("\n") + 1)
    figure = _Shown(
        figsize=(width, height + 0.2 + lines * _LINE), layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06)
    )
    x = 0.05 / width
    figure.suptitle(above, x=x, ha="left", fontsize=9, fontweight="bold")
    figure.supxlabel(below, x=x, ha="left", fontsize=8, color=MUTED)
    return figure


class _Shown(Figure):
    """A figure that a notebook shows where it is the value of a cell, which it does by itself for pyplot's alone."""

    def _repr_png_(self) -> bytes:
        file = BytesIO()
        self.savefig(file, format="png")
        return file.getvalue()


def panel_canvas(
    count: int, height: float, title: str, footnote: str, sheet: Sheet = SCREEN
) -> tuple[Figure, list[Axes]]:
    """Return a figure with `count` axes of about a paper column each, at most three of them beside each other."""
    columns = sheet.beside(COLUMN, count)
    rows = ceil(count / columns)
    figure = canvas(1.4 + 3.1 * columns, height * rows, title, footnote, sheet)
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for unused in grid[count:]:
        unused.remove()
    return figure, grid[:count]


def finish(figure: Figure) -> Figure:
    """Lay everything out once and keep it there."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return figure


def value_title(value: str) -> str:
    """Return an axis label with its unit, such as `Test accuracy (%)`."""
    title = value_of(value).title
    return f"{title[:1].upper()}{title[1:]}"


def top_of(cells: Iterable[TableCell]) -> float:
    """Return the highest end of an interval."""
    return max((cell.mean + (cell.half_width or 0) for cell in cells if cell.mean is not None), default=0.0)


def percent_limits(axes: Axes, top: float, axis: str = "y", step: int = 20) -> None:
    """Show percentages from 0 to the multiple of 20 above `top`, with room for a marker there."""
    end = 20 * min(5, max(1, ceil(top / 20)))
    axes.set(**{f"{axis}lim": (0, end * 1.04), f"{axis}ticks": range(0, end + 1, step)})


def place_axis(axes: Axes, places: Sequence[float], base: int | None) -> None:
    """Make room for ascending places, with a tick where it is legible; logarithmic where there is a `base`."""
    low, high = places[0], places[-1]
    if base is None:
        room = _MARGIN * ((high - low) or 1)
        axes.set_xlim(low - room, high + room)
    else:
        axes.set_xscale("log", base=base)
        room = (high / low) ** _MARGIN if high > low else 2
        axes.set_xlim(low / room, high * room)
    across = axes.transScale.transform([(place, 1) for place in places])[:, 0]
    ticks = [0]
    for i in range(1, len(places)):
        if across[i] - across[ticks[-1]] > _LEGIBLE * (across[-1] - across[0]):
            ticks.append(i)
    axes.set_xticks([places[i] for i in ticks], [f"{places[i]:g}" for i in ticks])
    axes.set_xticks([], minor=True)


def is_percent(value: str) -> bool:
    """Tell whether a value is a percentage."""
    return "(%)" in value_of(value).title


def table_footnote(table: Table) -> str:
    """Return what the numbers are, what n is and what is missing."""
    return " ".join(text for text in (table.context, table.caption) if text)


def wrapped(text: str, letters: int) -> str:
    """Return a text in lines of so many letters at most, each number on the line of its sign, unit or name."""
    kept = re.sub(r" (?=[=±%])|(?<=[=±]) |(?<=\d) (?=[a-z])|(?<=[a-z]) (?=\d+(,|$))", "\N{NO-BREAK SPACE}", text)
    lines = textwrap.fill(kept, letters, break_on_hyphens=False, break_long_words=False)
    return lines.replace("\N{NO-BREAK SPACE}", " ")


def _wrap(text: str, width: float, size: int) -> str:
    # A number stays on the line of its sign or unit.
    kept = re.sub(r" (?=[=±%])|(?<=[=±]) ", "\N{NO-BREAK SPACE}", text)
    lines = textwrap.fill(kept, int((width - 0.1) * _LETTERS_PER_INCH[size]), break_on_hyphens=False)
    return lines.replace("\N{NO-BREAK SPACE}", " ")
