"""What runs have to agree in before their numbers are compared."""

from bench.core.keys import canonical
from bench.record.record import Record
from bench.spec.axes import AXES

COMPARED = ("train_sha256", "test_sha256", "protected_classes", "profile", "overrides")
"""What must agree besides axes for two runs to be compared."""


def context_of(record: Record) -> str:
    """Return what rows that may be compared agree in."""
    return _agreement(record)


def place_of(record: Record) -> str:
    """Return what the rows of one matrix agree in: defenses are its columns."""
    return _agreement(record, "defense")


def _agreement(record: Record, *but: str) -> str:
    values = dict(record)
    axes = [axis.name for axis in AXES.values() if not axis.of_release and axis.name not in but]
    return canonical({name: values[name] for name in (*COMPARED, *axes)})
