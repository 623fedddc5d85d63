"""Choosing the records of a table, and refusing those that must not stand in one."""

import shlex
from collections.abc import Iterable, Mapping

from bench.core.errors import SepbenchError
from bench.core.registry import UnknownName
from bench.read.tables.table import CellId, Labels
from bench.record.record import Record
from bench.spec.axes import AXES, Fields, axis_of
from bench.spec.names import as_text


def choose(records: list[Record], planned: list[CellId], where: Mapping[str, str]) -> tuple[list[Record], list[CellId]]:
    """Keep what `where` asks for; a planned run is judged by the fields it has."""
    for field, text in where.items():
        if field not in Record.model_fields:
            raise UnknownName("record field", field, Record.model_fields)
        measured = [(record, dict(record)) for record in records]
        to_come = [(run, run.fields()) for run in planned]
        candidates = [fields for _, fields in [*to_come, *measured] if field in fields]
        if candidates and not any(text in _texts(fields, field) for fields in candidates):
            known = ", ".join(dict.fromkeys(_texts(fields, field)[0] for fields in candidates))
            raise SepbenchError(f"no record has {field}={text}: choose from {known}")
        records = [record for record, fields in measured if _fits(fields, field, text)]
        planned = [run for run, fields in to_come if field not in fields or _fits(fields, field, text)]
    return records, planned


def _fits(fields: Fields, field: str, text: str) -> bool:
    axis = axis_of(field)
    return (axis is not None and axis.read(fields) is None) or text in _texts(fields, field)


def _texts(fields: Fields, field: str) -> list[str]:
    """Return what a person may write for a field."""
    return AXES[field].texts(fields) if field in AXES else [as_text(fields[field])]


def refuse_mixed_provenance(records: list[Record]) -> None:
    """Raise `SepbenchError` for several profiles, overrides or versions of one data set."""
    _refuse_several("profiles", "profile", [as_text(record.profile) for record in records])
    _refuse_several("sets of overrides", "overrides", [as_text(record.overrides) for record in records])
    for dataset in dict.fromkeys(record.dataset for record in records):
        own = [record for record in records if record.dataset == dataset]
        for field, part in (("train_sha256", "training"), ("test_sha256", "test")):
            digests = [getattr(record, field) for record in own]
            _refuse_several(f"versions of the {part} set of {dataset}", field, digests)


def refuse_unused_axes(labels: Mapping[str, Labels], used: set[str]) -> None:
    """Raise `SepbenchError` where an axis that is not in the table has several values."""
    for axis in AXES.values():
        if axis.name not in used:
            for what, field, texts in axis.offers(list(labels[axis.name])):
                _refuse_several(what, field, texts, f", or make {axis.name} an axis of the table")


def _refuse_several(what: str, field: str, values: Iterable[str], otherwise: str = "") -> None:
    distinct = list(dict.fromkeys(values))
    if len(distinct) < 2:
        return
    count = {2: "two", 3: "three", 4: "four"}.get(len(distinct), str(len(distinct)))
    shown = ", ".join(value if len(value) <= 40 else f"{value[:12]}…" for value in distinct)
    choice = shlex.quote(f"{field}={distinct[0]}")
    raise SepbenchError(
        f"these records come from {count} {what} ({shown}): choose one with --where {choice}{otherwise}"
    )
