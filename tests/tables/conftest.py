"""Records as a benchmark would leave them, made by hand."""

from collections.abc import Callable

import made_records
import pytest

from bench.record.record import Record

MakeRecord = Callable[..., Record]
MakeRuns = Callable[..., list[Record]]


@pytest.fixture(scope="session")
def record() -> MakeRecord:
    """Make one record; keywords replace its fields, and the method `none` has no budget."""
    return made_records.record


@pytest.fixture(scope="session")
def runs() -> MakeRuns:
    """Make one record per number, with victim seeds 0, 1, ...; keywords replace fields of all of them."""
    return made_records.runs
