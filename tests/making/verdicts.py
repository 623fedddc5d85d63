"""Verdicts on runs made by hand, and what their tables say."""

from collections.abc import Sequence
from typing import Any

from bench.read.verdict import Verdict, verdict
from bench.record.record import Record
from tests.making.records import runs


def reached(
    protected: Sequence[float | None], clean: Sequence[float | None] = (), defense: str = "plain", **changes: Any
) -> list[Record]:
    """Make the runs of one defense on protected images, and on clean ones, judged on 10 classes: chance is 10 %."""
    fields = {"test_acc_per_class": (50.0,) * 10, "n_test": 1000, "defense": defense, **changes}
    return [*runs(clean, **{**fields, "method": "none"}), *runs(protected, **fields)]


def text_of(*groups: list[Record]) -> str:
    return verdict([one for group in groups for one in group]).text()


def judged(*groups: list[Record]) -> Verdict:
    return verdict([one for group in groups for one in group])


def row(text: str, start: str) -> list[str]:
    """Return the numbers of the row of the table whose first cell starts so."""
    (found,) = (line for line in text.splitlines() if line.startswith(f"| {start}"))
    return [cell.strip() for cell in found.strip("|").split("|")][1:]
