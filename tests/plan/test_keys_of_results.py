"""What was measured is found again: the keys of committed records are those that a plan gives today."""

from pathlib import Path

import pytest

from bench.data.loading import DataCard
from bench.plan.make import make_plan
from bench.record.record import read_records
from bench.spec.file import load_experiment

RECORDS = Path(__file__).parents[2] / "results" / "records"


@pytest.mark.parametrize("name", sorted(path.name for path in RECORDS.iterdir()))
def test_a_plan_has_the_keys_of_the_committed_records(name: str) -> None:
    """A key that changes by accident loses what users have trained; where results change, they are measured anew."""
    records = read_records(RECORDS / name)
    first = records[0]
    card = DataCard(
        train_sha256=first.train_sha256,
        test_sha256=first.test_sha256,
        classes=tuple("0123456789"),
        protected_classes=first.protected_classes,
        n_train=1000,
        n_protected=1000,
        n_test=1000,
        height=32,
        width=32,
    )
    plan = make_plan(load_experiment(first.experiment, profile=first.profile, overrides=first.overrides), card)
    planned = {cell.victim: (cell.craft, cell.surrogates) for cell in plan.cells}
    assert {record.key: (record.protected_key, record.surrogate_keys) for record in records}.items() <= planned.items()
