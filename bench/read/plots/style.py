"""How every figure looks: one theme, colours for the colour-blind, and marks that survive a greyscale print."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from matplotlib.typing import ColorType, LineStyleType

from bench.spec.names import REFERENCES

_SIZES: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # the one that matplotlib brings along: figures are alike on every machine
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "figure.titlesize": 9,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.5,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 4.5,
    "hatch.linewidth": 0.5,
}
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
_DASHES: tuple[LineStyleType, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (6, 1.5, 1.5, 1.5)))
_HATCHES = ("", "////", "....", "\\\\\\\\", "xxxx", "----", "oo", "++++")


@dataclass(frozen=True)
class Look:
    """How one method or column is drawn, told from the others by more than its colour."""

    colour: ColorType
    marker: str
    dashes: LineStyleType
    hatch: str


# The same in every figure.
REFERENCE_LOOKS = dict(
    zip(REFERENCES, (Look("0.15", "", (0, (6, 2)), ""), Look("0.45", "", (0, (1, 1.5)), "")), strict=True)
)
CHANCE_LOOK = Look("0.3", "", (0, (4, 1.5, 1, 1.5)), "")
MUTED = "0.35"


@contextmanager
def theme() -> Iterator[None]:
    """Draw in the one style, whatever the user's matplotlibrc says; other figures of the process are not touched."""
    import matplotlib
    import seaborn

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(seaborn.axes_style("ticks"))
        matplotlib.rcParams.update(_SIZES)  # type: ignore[arg-type]
        yield


def looks(names: Iterable[str]) -> dict[str, Look]:
    """Return a look for each name, in the order of the colour-blind safe palette."""
    import seaborn

    palette = seaborn.color_palette("colorblind", 10)
    return {
        name: Look(
            palette[i % len(palette)],
            _MARKERS[(i + i // len(palette)) % len(_MARKERS)],  # the colours start again
            _DASHES[i % len(_DASHES)],
            _HATCHES[i % len(_HATCHES)],
        )
        for i, name in enumerate(dict.fromkeys(names))
    }
