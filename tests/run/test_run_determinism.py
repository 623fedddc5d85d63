"""The same experiment gives the same numbers, wherever and in whatever order it runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.making.experiments import LEARNING
from tests.making.whole_runs import Sepbench, Undisturbed

pytestmark = pytest.mark.slow


def elsewhere(folder: Path, *arguments: str, hash_seed: int) -> str:
    """Run a command in an interpreter, a working directory and a home of its own."""
    folder.mkdir(exist_ok=True)
    variables = {"SEPBENCH_HOME": str(folder / "home"), "PYTHONHASHSEED": str(hash_seed), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_another_home_and_interpreter_give_the_same_records(sepbench: Sepbench, undisturbed: Undisturbed) -> None:
    table = elsewhere(sepbench.folder, "run", sepbench.experiment(), "--no-mlflow", hash_seed=7)
    assert table.strip() == undisturbed.table
    assert sepbench.outcomes() == undisturbed.outcomes
    assert sepbench.tensors() == undisturbed.home.tensors()


def test_keys_depend_on_neither_home_nor_working_directory_nor_interpreter(
    sepbench: Sepbench, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    plan = ("plan", sepbench.experiment(), "--json", "--devices", "cpu")
    printed = [sepbench.call(*plan).out, elsewhere(tmp_path / "there", *plan, hash_seed=2)]
    keys = [[stage["key"] for stage in json.loads(one)["stages"]] for one in printed]
    assert keys[0] == keys[1]
    assert set(undisturbed.outcomes) < set(keys[0])


def test_the_order_in_the_file_changes_no_number(sepbench: Sepbench, undisturbed: Undisturbed) -> None:
    assert sepbench.run(methods=LEARNING["methods"][::-1], seeds=[1, 0]).code == 0
    assert undisturbed.outcomes.items() <= sepbench.outcomes().items()
    assert len(sepbench.outcomes()) == 6
