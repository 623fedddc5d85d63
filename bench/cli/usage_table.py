"""The room that experiments take, as a table for a person."""

from collections.abc import Mapping

from bench.core.sizes import size_text
from bench.flows.usage import KINDS, Amount, Usage
from bench.spec.names import NOTHING

_SHARED, _UNKNOWN = "shared by several", "without a record"


def render_usage(found: Usage) -> str:
    """Return a line for each experiment with its artifacts, what several share counted once, then all else."""
    kinds = [kind for kind in KINDS if any(kind in part for part in _parts(found))]
    rows = [["experiment", *(KINDS[kind] for kind in kinds), "in all", "and shares"]]
    for name, share in found.experiments.items():
        rows.append([name, *_cells(share.own, kinds), _sum(share.own), _sum(share.shared)])
    for name, amounts in ((_SHARED, found.shared), (_UNKNOWN, found.without_record)):
        if amounts:
            rows.append([name, *_cells(amounts, kinds), _sum(amounts), ""])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        f"{row[0]:<{widths[0]}}"
        + "".join(f"  {text:>{width}}" for text, width in zip(row[1:], widths[1:], strict=True)).rstrip()
        for row in rows
    ]
    others = [f"  {size_text(one.bytes):>9}  {one.count} {name}" for name, one in found.others.items()]
    return "\n".join([*lines, "besides:", *others, f"{size_text(found.total)} in all"])


def _parts(found: Usage) -> list[Mapping[str, Amount]]:
    own = [part for share in found.experiments.values() for part in (share.own, share.shared)]
    return [*own, found.shared, found.without_record]


def _cells(amounts: Mapping[str, Amount], kinds: list[str]) -> list[str]:
    return [
        f"{amounts[kind].count}: {size_text(amounts[kind].bytes)}" if kind in amounts else NOTHING for kind in kinds
    ]


def _sum(amounts: Mapping[str, Amount]) -> str:
    return size_text(sum(one.bytes for one in amounts.values())) if amounts else NOTHING
