"""What a person may write under `table:` and what is answered to a slip."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

import bench
from bench.spec.layout import VALUES, TableLayout


def test_the_default_is_methods_by_budget_and_defense() -> None:
    layout = TableLayout()
    assert layout.row_axes == ["method"]
    assert layout.columns == ["budget", "defense"]
    assert layout.value == "test_acc"


@pytest.mark.parametrize(
    ("written", "answer"),
    [
        ({"rows": "methd"}, "unknown table axis 'methd': did you mean method?"),
        ({"rows": ["method", "victims"]}, "unknown table axis 'victims': did you mean victim?"),
        ({"columns": ["defence"]}, "unknown table axis 'defence': did you mean defense?"),
        ({"columns": ["seed"]}, "unknown table axis 'seed'"),
        ({"value": "test_accuracy"}, "unknown table value 'test_accuracy': did you mean test_acc"),
        ({"value": "device"}, "unknown table value 'device'"),
        ({"rows": "budget"}, "the table axis 'budget' is used twice"),
        ({"columns": ["defense", "defense"]}, "the table axis 'defense' is used twice"),
        ({"rows": []}, "at least one row axis"),
        ({"colums": ["budget"]}, "Extra inputs are not permitted"),
        ({"columns": "budget"}, "valid list"),
    ],
)
def test_a_slip_is_answered_with_what_was_meant(written: dict[str, object], answer: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TableLayout.model_validate(written)
    assert answer in str(caught.value)


def test_every_outcome_audit_and_cost_number_can_fill_a_table() -> None:
    assert {"test_acc", "peak_acc", "train_acc", "relabelled_acc"} <= set(VALUES)
    assert {"psnr", "ssim", "l2", "craft_seconds", "train_seconds"} <= set(VALUES)


@pytest.mark.parametrize("name", ["seed", "craft_seed", "budget", "deterministic", "test_acc_per_class"])
def test_seeds_flags_and_lists_cannot(name: str) -> None:
    assert name not in VALUES


def test_importing_tables_loads_nothing_slow() -> None:
    code = (
        "import bench.read.stats, bench.read.tables, sys; print({'torch', 'mlflow', 'scipy.stats'} & set(sys.modules))"
    )
    root = Path(bench.__file__).parents[1]
    answer = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"
