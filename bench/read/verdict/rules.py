"""The rules of the verdict: what may be said of a protection, given how far victims came."""

from dataclasses import dataclass
from enum import StrEnum

from bench.read.verdict.evidence import Case, Way

MOST = 0.5
"""The share from which on a trainer has most of what there is to have."""
SOME = 0.2
"""The share from which on a protection holds partly at best."""
_POINTS = 5.0


class Outcome(StrEnum):
    """What a verdict comes to, the worst for the owner of the pictures first."""

    FAILS = "does not hold"
    UNDONE = "is undone by a defense"
    PARTLY = "holds partly"
    HOLDS = "holds against all that was tried"
    UNKNOWN = "nothing can be said"


@dataclass(frozen=True)
class Ruling:
    """What can be said of one victim.

    Attributes
    ----------
    best
        The way to train that came furthest on protected images; None where the outcome is unknown.
    otherwise
        Other outcomes that the confidence intervals on protected images leave open.

    """

    case: Case
    outcome: Outcome
    best: Way | None = None
    otherwise: tuple[Outcome, ...] = ()


def kept(case: Case, accuracy: float) -> float:
    """Return how much of what clean images teach beyond guessing an accuracy is: 1 is the ceiling, 0 is chance.

    Where records do not tell how many classes there are, guessing counts as 0 %: a share is then too large, never too
    small.
    """
    assert case.ceiling is not None
    chance = case.chance or 0.0
    return (accuracy - chance) / (case.ceiling.mean - chance)


def given_back(accuracy: float, plain: float, ceiling: float) -> float | None:
    """Return the share of the accuracy lost to a protection that an accuracy, in percent, gives back.

    (accuracy - plain) / (ceiling - plain), both of plain training: 0 is what plain training reaches on protected
    images, 1 what it reaches on clean ones, which a defense that costs accuracy itself cannot reach. None where less
    than 5 points were lost: a share of so little says nothing.
    """
    lost = ceiling - plain
    return (accuracy - plain) / lost if lost >= _POINTS else None


def restored(case: Case, accuracy: float, plain: float | None = None) -> float | None:
    """Return `given_back` of a case, None also where not all was measured; `plain` stands for what was measured."""
    if plain is None and case.plain is not None and case.plain.protected is not None:
        plain = case.plain.protected.mean
    if case.ceiling is None or plain is None:
        return None
    return given_back(accuracy, plain, case.ceiling.mean)


def undone_by_dilution(case: Case) -> Way | None:
    """Return the dilution that comes furthest, where it gives back or keeps most; None where none does."""
    found = max(case.dilutions, key=lambda way: way.reached, default=None)
    if found is None or not _has_ceiling(case):
        return None
    return found if _has_most(case, found.reached) else None


def rule(case: Case) -> Ruling:
    """Return what can be said of one victim.

    Nothing without plain training on both kinds of images, or where the clean ceiling is near chance. A protection
    fails where plain training keeps at least half of what clean images teach, and is undone where the strongest
    defense does, or gives back at least half of what was lost. It holds where the best way keeps less than a fifth.
    """
    plain = case.plain
    if plain is None or not _has_ceiling(case):
        return Ruling(case, Outcome.UNKNOWN)
    outcome = _outcome(case, plain.reached, max(way.reached for way in case.measured))
    best = plain if outcome is Outcome.FAILS else max((plain, *case.defended), key=lambda way: way.reached)
    return Ruling(case, outcome, best, _left_open(case, plain, outcome))


def _has_ceiling(case: Case) -> bool:
    return case.ceiling is not None and case.near_chance is None and case.ceiling.mean > (case.chance or 0.0)


def _outcome(case: Case, plain: float, reached: float) -> Outcome:
    """Return what it comes to where plain training reaches the one, and the best way to train the other."""
    if kept(case, plain) >= MOST:
        return Outcome.FAILS
    if _has_most(case, reached, plain):
        return Outcome.UNDONE
    return Outcome.PARTLY if kept(case, reached) >= SOME else Outcome.HOLDS


def _has_most(case: Case, accuracy: float, plain: float | None = None) -> bool:
    return kept(case, accuracy) >= MOST or (restored(case, accuracy, plain) or 0.0) >= MOST


def _left_open(case: Case, plain: Way, outcome: Outcome) -> tuple[Outcome, ...]:
    """Return the other outcomes at the ends of the intervals: where there are none, there are none between them."""
    defended = [_ends(way) for way in case.defended]
    reached = [max(ends) for ends in zip(*defended, strict=True)] or [0.0]
    found = {_outcome(case, alone, max(alone, best)) for alone in _ends(plain) for best in reached}
    return tuple(one for one in Outcome if one in found and one is not outcome)


def _ends(way: Way) -> tuple[float, float]:
    """Return the ends of the interval of a way to train, as far as accuracies go."""
    assert way.protected is not None
    half = way.protected.half_width or 0.0
    return max(way.protected.mean - half, 0.0), min(way.protected.mean + half, 100.0)
