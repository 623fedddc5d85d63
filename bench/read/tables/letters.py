"""How wide LaTeX prints a text, in Computer Modern, which is wider than what most venues set, and where lines end."""

import re
import textwrap

_BY_WIDTH = {
    0.28: "ijl.,:;'!|",
    0.33: "ft()[]- ",
    0.4: "rscz",
    0.5: "aegoqvxy0123456789$?/",
    0.56: "bdhknpu",
    0.78: "mwABCDEFGHIJKLNOPQRSTUVXYZ%&#+=<>±†_~^·",
}
_WIDTHS = {letter: width for width, letters in _BY_WIDTH.items() for letter in letters}
_WIDE = 1.0  # of whatever else there is
_SMALL = 1.07  # by how much letters of 7 and 8 points are wider than those of 10 for their size


def width_of(text: str, points: float, *, bold: bool = False) -> float:
    """Return the points that a text takes in letters of so many points."""
    return points * _SMALL * (1.17 if bold else 1.0) * sum(_WIDTHS.get(letter, _WIDE) for letter in text)


def lines_of(text: str, letters: int) -> list[str]:
    """Return a text in lines of about so many letters, which end between words and behind hyphens."""
    lines = textwrap.wrap(held_together(text), max(letters, 1), break_long_words=False, break_on_hyphens=True)
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines] or [""]


def held_together(text: str) -> str:
    """Return the text with spaces beside numbers at which no line ends, as in `3 steps`, `radius 8`, `± 1.0`."""
    return re.sub(r"(?<=\d) (?=[a-z%±])|(?<=[a-z±]) (?=[\d(])", "\N{NO-BREAK SPACE}", text)
