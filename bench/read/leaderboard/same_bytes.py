"""Settings of a method that differ in name alone: they made the same bytes, and are one result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.record.record import Record
from bench.spec.names import parameters_text


@dataclass(frozen=True)
class Made:
    """The records of one setting, with what is not default about it; `marks` name settings that it stands for."""

    records: list[Record]
    changed: Mapping[str, Any]
    marks: tuple[str, ...] = ()


def replicate_of(record: Record) -> tuple[int, int]:
    """Return the seeds that the protected set of a record was crafted with."""
    return record.surrogate_seed, record.craft_seed


def each_once(settings: Sequence[Made]) -> list[Made]:
    """Return the settings of one method, those that made the same bytes as one: that with fewest parameters changed.

    Bytes are the same where of all protected sets that both have a digest agrees, and one has no further ones. What
    was trained on them counts under either name, and a run of both once.
    """
    kept: list[Made] = []
    for own in sorted(settings, key=lambda one: (len(one.changed), -len(one.records))):
        twin = next((i for i, other in enumerate(kept) if _same_bytes(own.records, other.records)), None)
        if twin is None:
            kept.append(own)
        else:
            kept[twin] = _joined(kept[twin], own)
    return kept


def _same_bytes(one: Sequence[Record], other: Sequence[Record]) -> bool:
    mine, theirs = _digests(one), _digests(other)
    both = mine.keys() & theirs.keys()
    nested = len(both) == min(len(mine), len(theirs))
    return bool(both) and nested and all(mine[seeds] & theirs[seeds] for seeds in both)


def _digests(records: Sequence[Record]) -> dict[tuple[int, int], set[str]]:
    """Return the digests of each protected set, several where it was crafted on several machines.

    Without one, as in old records, nothing is known of its bytes.
    """
    found: dict[tuple[int, int], set[str]] = {}
    for one in records:
        if one.status == "done":
            found.setdefault(replicate_of(one), set()).add(one.protected_sha256 or one.key)
    return found


def _joined(kept: Made, other: Made) -> Made:
    runs = {_seeds(one): one for one in other.records} | {_seeds(one): one for one in kept.records}
    only = {name: value for name, value in other.changed.items() if kept.changed.get(name) != value}
    mark = f"the same bytes with {parameters_text(only) or 'other parameters'}"
    return replace(kept, records=[runs[seeds] for seeds in sorted(runs)], marks=(*kept.marks, mark))


def _seeds(record: Record) -> tuple[int, int, int]:
    return record.surrogate_seed, record.craft_seed, record.seed
