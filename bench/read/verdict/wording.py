"""Numbers and ways to train, in the words of the verdict."""

from bench.contracts.defense import Defenses
from bench.read.stats import Summary
from bench.read.verdict.evidence import PLAIN, Way
from bench.spec.names import NOTHING


def percent(summary: Summary) -> str:
    """Return an accuracy with its interval, as in `52.6 ± 2.0 %`."""
    return f"{accuracy(summary)} %"


def accuracy(summary: Summary | None) -> str:
    """Return the same without its unit."""
    if summary is None:
        return NOTHING
    interval = "" if summary.half_width is None else f" ± {summary.half_width:.1f}"
    return f"{summary.mean:.1f}{interval}"


def share(part: float) -> str:
    """Return a share of a whole, as in `80 %`: what seeds make of it beyond none and all means nothing."""
    return f"{100 * min(max(part, 0.0), 1.0):.0f} %"


def what_it_is(defense: str) -> str:
    """Return what somebody who has never heard its name calls a defense, `defense` where nobody can tell."""
    try:
        return Defenses.parse(defense).described()
    except (ValueError, LookupError):  # of a package that is not installed here, or of another version
        return f"the defense {defense}"


def named(defense: str) -> str:
    """Return what a defense is, and its name where that is another: JPEG compression at quality 10 (`jpeg-10`)."""
    words = what_it_is(defense)
    return words if defense in (words, PLAIN) or words.endswith(f" {defense}") else f"{words} (`{defense}`)"


def dilution(way: Way) -> str:
    """Return which clean images a trainer has, as in `10 % of the images clean`."""
    among = [f"{100 * (1 - way.share):.3g} % of the images clean"] if way.share < 1 else []
    besides = [f"{way.besides:,} clean image{'s' * (way.besides != 1)} besides"] if way.besides else []
    return ", ".join([*among, *besides])


def capital(text: str) -> str:
    """Return a text whose first letter is a capital."""
    return f"{text[:1].upper()}{text[1:]}"
