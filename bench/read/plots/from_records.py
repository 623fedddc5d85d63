"""The figures that records alone give."""

from collections.abc import Callable, Sequence
from contextlib import suppress

from matplotlib.figure import Figure

from bench.errors import SepbenchError
from bench.keys import canonical
from bench.plots.ablation import ablation
from bench.plots.bars import bars
from bench.plots.passes import passes
from bench.plots.saving import encoded
from bench.record import Record
from bench.tables import Table

FROM_RECORDS: dict[str, Callable[[Table, Sequence[Record], str], Figure]] = {
    "ablation": lambda table, records, title: ablation(table, title),
    "bars": lambda table, records, title: bars(table, title),
    "passes": lambda table, records, title: passes(table, _spent(records), title),
}
"""What draws each kind; it raises `SepbenchError` with the reason where there is not enough for it."""


def svgs(table: Table, records: Sequence[Record], title: str) -> dict[str, str]:
    """Return, as SVG by kind, the figures that there is enough for."""
    drawn = {}
    for kind, figure in FROM_RECORDS.items():
        with suppress(SepbenchError):
            drawn[kind] = encoded(figure(table, records, title), ".svg").decode()
    return drawn


def _spent(records: Sequence[Record]) -> dict[tuple[str, str], float]:
    """Return what crafting takes, by (method, method_params)."""
    return {
        (one.method, canonical(one.method_params)): one.craft_passes for one in records if one.craft_passes is not None
    }
