"""What a check of this machine has measured, what it was held against, and what to do where that is not fine."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from bench.core.broken import told

Bound = Literal["at least", "at most"]
Verdict = Literal["✓", "·", "✗"]

_FAR_OFF = 4


@dataclass(frozen=True)
class Measured:
    """One thing measured: fine (✓), worth knowing (·) or in the way (✗).

    Attributes
    ----------
    name
        What was measured.
    measured, unit
        None where nothing could be measured.
    bound, limit
        What it was held against.
    note
        Further numbers, for people.
    advice
        What to do; empty where all is fine.

    """

    name: str
    verdict: Verdict
    measured: float | None
    unit: str
    bound: Bound
    limit: float | None
    note: str = ""
    advice: str = ""

    def __str__(self) -> str:
        if self.measured is None:
            return ": ".join(part for part in (f"{self.verdict} {self.name}", self.note, self.advice) if part)
        held = "" if self.limit is None else f"{self.bound} {self.limit:.4g}"
        brackets = ", ".join(part for part in (self.unit, held, self.note) if part)
        advice = f": {self.advice}" if self.advice else ""
        return f"{self.verdict} {self.name}: {self.measured:.4g} ({brackets}){advice}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON, which knows no number that is not finite."""
        fields = asdict(self)
        for name in ("measured", "limit"):
            if fields[name] is not None and not math.isfinite(fields[name]):
                fields[name] = None
        return fields


def held(name: str, measured: float, unit: str, bound: Bound, limit: float, advice: str, note: str = "") -> Measured:
    """Return a measurement that is in the way (✗) where it does not keep to its limit, or is no number."""
    fine = _keeps(measured, bound, limit)
    return Measured(name, "✓" if fine else "✗", measured, unit, bound, limit, note, "" if fine else advice)


def graded(name: str, measured: float, unit: str, bound: Bound, limit: float, advice: str, note: str = "") -> Measured:
    """Return a measurement that is worth knowing (·) beyond its limit, and in the way (✗) at four times as far."""
    if _keeps(measured, bound, limit):
        return Measured(name, "✓", measured, unit, bound, limit, note)
    near = _keeps(measured, bound, limit / _FAR_OFF if bound == "at least" else limit * _FAR_OFF)
    return Measured(name, "·" if near else "✗", measured, unit, bound, limit, note, advice)


def not_measured(name: str, verdict: Verdict, note: str, advice: str) -> Measured:
    """Return what stands where nothing could be measured."""
    return Measured(name, verdict, None, "", "at least", None, note, advice)


def broken_down(name: str, error: Exception) -> Measured:
    """Return what stands in place of a check that broke down itself."""
    return not_measured(name, "✗", "", f"this could not be measured ({told(error)}): repair what it names")


def _keeps(measured: float, bound: Bound, limit: float) -> bool:
    return measured >= limit if bound == "at least" else measured <= limit
