"""Choosing the records of a table, and refusing those that must not stand in one."""

import shlex
from collections.abc import Iterable, Mapping

from bench.core.errors import SepbenchError
from bench.core.registry import UnknownName
from bench.read.tables.table import (
    BUDGET_FREE,
    SHARE_FREE,
    CellId,
    Labels,
)
from bench.record.record import Record
from bench.spec.layout import AXES
from bench.spec.names import as_text, budget_label, share_label


def choose(records: list[Record], planned: list[CellId], where: Mapping[str, str]) -> tuple[list[Record], list[CellId]]:
    """Keep what `where` asks for; a planned run is judged by the fields it has."""
    for field, text in where.items():
        if field not in Record.model_fields:
            raise UnknownName("record field", field, Record.model_fields)
        everything: list[Record | CellId] = [*records, *planned]
        candidates = [item for item in everything if hasattr(item, field)]
        if candidates and not any(_has(item, field, text) for item in candidates):
            known = ", ".join(dict.fromkeys(as_text(getattr(item, field)) for item in candidates))
            raise SepbenchError(f"no record has {field}={text}: choose from {known}")
        records = [record for record in records if _fits(record, field, text)]
        planned = [run for run in planned if not hasattr(run, field) or _fits(run, field, text)]
    return records, planned


def _fits(item: Record | CellId, field: str, text: str) -> bool:
    budget_free = field in ("norm", "budget") and item.norm is None
    share_free = field == "protected_fraction" and item.method == "none"
    return budget_free or share_free or _has(item, field, text)


def _has(item: Record | CellId, field: str, text: str) -> bool:
    if field == "budget" and text == budget_label(item.norm, item.budget):
        return True
    if field == "protected_fraction" and text == share_label(item.protected_fraction):
        return True
    return as_text(getattr(item, field)) == text


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
    for axis, plural in AXES.items():
        otherwise = f", or make {axis} an axis of the table"
        if axis in used:
            continue
        if axis == "method":
            _refuse_several(plural, axis, [name for name, _ in labels[axis]], otherwise)
            _refuse_several("settings of one method", "method_params", [p for _, p in labels[axis]], otherwise)
        else:
            found = [
                label if axis == "budget" else as_text(value)
                for value, label in labels[axis].items()
                if value not in (BUDGET_FREE, SHARE_FREE)
            ]
            _refuse_several(plural, axis, found, otherwise)


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
