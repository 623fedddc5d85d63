"""What a figure shows, read back from its artists."""

from matplotlib.axes import Axes
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.text import Text

from bench.read.tables import Table, TableCell


def words(figure: Figure) -> set[str]:
    """Return every text of a figure."""
    return {text.get_text() for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text()}


def errorbars(axes: Axes) -> dict[str, ErrorbarContainer]:
    """Return the lines with error bars by label."""
    return {str(one.get_label()): one for one in axes.containers if isinstance(one, ErrorbarContainer)}


def bar_groups(axes: Axes) -> dict[str, BarContainer]:
    """Return the bars of a column by its label."""
    return {str(one.get_label()): one for one in axes.containers if isinstance(one, BarContainer)}


def spans(container: ErrorbarContainer) -> list[tuple[float, float]]:
    """Return the lower and upper ends of the vertical error bars that are drawn."""
    segments = [segment for segment in container[2][0].get_segments() if len(segment) == 2]
    return [(float(low[1]), float(high[1])) for low, high in segments]


def cell(table: Table, method: str, **wanted: object) -> TableCell:
    """Return the one cell of a method with these fields."""
    (found,) = [
        one
        for one in table.distinct_cells()
        if one.method == method and all(getattr(one, field) == value for field, value in wanted.items())
    ]
    return found
