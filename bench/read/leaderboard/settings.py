"""Which setting of a method stands for it, beside which its others are folded: a rule that looks at no result."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bench.core.keys import canonical
from bench.core.norms import budget_text
from bench.read.leaderboard.contexts import place_of
from bench.record.record import Record
from bench.spec.axes import AXES, is_usual

if TYPE_CHECKING:
    from bench.read.leaderboard.rows import Row

DEFAULT = "default setting"
NEAREST = "nearest to the default of those measured"

# Where a method was measured: place, track, its name, and whether somebody brought its images.
_Measured = tuple[str, str, str, bool]
_Declared = Mapping[tuple[_Measured, str], Sequence[str]]


def declared_by(records: Iterable[tuple[Record, Mapping[str, Any]]]) -> _Declared:
    """Return the experiments that have a setting alone of its method, by where it was measured and its parameters.

    `records` come with the parameters that are not the defaults. An experiment with several settings of a method
    compares them, and declares none of them.
    """
    found: defaultdict[tuple[str, _Measured], set[str]] = defaultdict(set)
    for record, changed in records:
        if _is_usual(record):
            found[record.experiment, _measured(record)].add(canonical(changed))
    declared: defaultdict[tuple[_Measured, str], list[str]] = defaultdict(list)
    for (experiment, measured), (setting, *others) in sorted(found.items()):
        if not others:
            declared[measured, setting].append(experiment)
    return declared


def with_choices(rows: Sequence["Row"], declared: _Declared) -> list["Row"]:
    """Return the rows with `chosen` set for the one setting that stands for its method where it was measured.

    It is the default setting, else the one that most experiments declare, that has results under most defenses, then
    in most runs, that differs in the fewest parameters from the default, that takes the most passes.
    """
    variants: defaultdict[_Measured, defaultdict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    chosen: dict[int, str] = {}
    for row in rows:
        if row.records:
            variants[_measured(row.records[0])][_release(row)].append(row)
    for measured, settings in variants.items():
        own = [group for group in settings.values() if _is_usual(group[0].records[0])]
        if not own:
            continue
        group = min(own, key=lambda group: _order(group, declared, measured))
        experiments = declared.get((measured, canonical(group[0].params)), ())
        reason = f"the one setting of {', '.join(experiments)}" if experiments else NEAREST
        chosen.update((id(row), reason if group[0].params else DEFAULT) for row in group)
    return [replace(row, chosen=chosen.get(id(row))) for row in rows]


def _order(group: Sequence["Row"], declared: _Declared, measured: _Measured) -> tuple[Any, ...]:
    params = group[0].params
    passes = max((one.craft_passes or 0 for row in group for one in row.records), default=0)
    return (
        bool(params),
        -len(declared.get((measured, canonical(params)), ())),
        -len(group),
        -sum(len(row.records) for row in group),
        len(params),
        -passes,
        _release(group[0]),
    )


def _measured(record: Record) -> _Measured:
    track = "none" if record.norm is None else budget_text(record.norm, record.budget)
    return place_of(record), track, record.method, record.brought


def _release(row: "Row") -> str:
    """Return what tells settings of a method apart."""
    return canonical([row.params, row.release])


def _is_usual(record: Record) -> bool:
    values = dict(record)
    return all(
        is_usual(axis, axis.read(values)) for axis in AXES.values() if axis.of_release and axis.usual is not None
    )
