"""The figures that records alone give."""

from collections.abc import Callable, Sequence
from contextlib import suppress

from matplotlib.figure import Figure

from bench.core.errors import SepbenchError
from bench.core.keys import canonical
from bench.read.plots.ablation import ablation
from bench.read.plots.bars import bars
from bench.read.plots.chance_lines import chances_of
from bench.read.plots.frame import SCREEN, Sheet
from bench.read.plots.passes import passes
from bench.read.plots.saving import encoded
from bench.read.tables import Table
from bench.record.record import Record

FROM_RECORDS: dict[str, Callable[[Table, Sequence[Record], str, Sheet], Figure]] = {
    "ablation": lambda table, records, title, sheet: ablation(table, title, chances_of(records, table.value), sheet),
    "bars": lambda table, records, title, sheet: bars(table, title, chances_of(records, table.value), sheet),
    "passes": lambda table, records, title, sheet: passes(
        table, _spent(records), title, chances_of(records, table.value), sheet
    ),
}
"""What draws each kind; it raises `SepbenchError` with the reason where there is not enough for it."""


def svgs(table: Table, records: Sequence[Record], title: str) -> dict[str, str]:
    """Return, as SVG by kind, the figures that there is enough for."""
    drawn = {}
    for kind, figure in FROM_RECORDS.items():
        with suppress(SepbenchError):
            drawn[kind] = encoded(figure(table, records, title, SCREEN), ".svg").decode()
    return drawn


def _spent(records: Sequence[Record]) -> dict[tuple[str, str], float]:
    """Return what crafting takes, by (method, method_params)."""
    return {
        (one.method, canonical(one.method_params)): one.craft_passes for one in records if one.craft_passes is not None
    }
