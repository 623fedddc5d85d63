"""Rows that others published, never mixed with ours."""

from collections.abc import Iterable

from bench.core.keys import canonical
from bench.read.agreement import published_defense, published_parameters
from bench.read.leaderboard.page_columns import column_axes
from bench.read.leaderboard.rows import Row
from bench.read.leaderboard.tracks import track_of
from bench.record.published import Published, read_published
from bench.spec.names import REFERENCES, parameters_text


def published_rows(numbers: Iterable[Published] | None = None) -> list[Row]:
    """Return a row for each published number, by default those that come with sepbench, in the order of their file."""
    return [_row(one) for one in (read_published() if numbers is None else numbers)]


def _row(number: Published) -> Row:
    named = dict(number) | {"defense": published_defense(number)}
    columns = {axis.name: axis.label(named.get(axis.name, "")) for axis in column_axes()}
    return Row(
        context=canonical([number.source, columns]),
        track=track_of(number.method, number.norm, number.budget),
        method=number.method,
        parameters=parameters_text(published_parameters(number)),
        columns=columns,
        reference=REFERENCES.get(number.method),
        source=number.source,
        differs=number.differs,
        note=number.note,
        mean=number.test_acc,
        std=number.std,
        n=number.n,
        shared={"defense": named["defense"]},
    )
