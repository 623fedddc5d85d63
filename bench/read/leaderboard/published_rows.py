"""Rows that others published, never mixed with ours."""

from collections.abc import Iterable

from bench.core.keys import canonical
from bench.read.leaderboard.page_columns import column_axes
from bench.read.leaderboard.rows import Row
from bench.read.leaderboard.tracks import track_of
from bench.record.published import Published, read_published
from bench.spec.names import REFERENCES


def published_rows(numbers: Iterable[Published] | None = None) -> list[Row]:
    """Return a row for each published number, by default those that come with sepbench, in the order of their file."""
    return [_row(one) for one in (read_published() if numbers is None else numbers)]


def _row(number: Published) -> Row:
    columns = {axis.name: getattr(number, axis.name, "") for axis in column_axes()}
    return Row(
        context=canonical([number.source, columns]),
        track=track_of(number.method, number.norm, number.budget),
        method=number.method,
        parameters="",
        columns=columns,
        reference=REFERENCES.get(number.method),
        source=number.source,
        note=number.note,
        mean=number.test_acc,
        std=number.std,
        n=number.n,
    )
