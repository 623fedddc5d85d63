"""Rows that others published, never mixed with ours."""

from collections.abc import Iterable

from bench.core.keys import canonical
from bench.read.leaderboard.rows import REFERENCES, Row
from bench.read.leaderboard.tracks import budget_name
from bench.record.published import Published, read_published


def published_rows(numbers: Iterable[Published] | None = None) -> list[Row]:
    """Return a row for each published number, by default those that come with sepbench, in the order of their file."""
    return [_row(one) for one in (read_published() if numbers is None else numbers)]


def _row(number: Published) -> Row:
    return Row(
        context=canonical([number.source, number.dataset, number.victim, number.recipe, number.defense]),
        track=None if number.method == "none" else budget_name(number.norm, number.budget),
        method=number.method,
        parameters="",
        dataset=number.dataset,
        victim=number.victim,
        defense=number.defense,
        recipe=number.recipe,
        reference=REFERENCES.get(number.method),
        source=number.source,
        note=number.note,
        mean=number.test_acc,
        std=number.std,
        n=number.n,
    )
