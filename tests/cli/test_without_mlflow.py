"""Where MLflow is not installed everything runs that does not read from it, and what is missing is said once."""

import builtins
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest

from bench.cli import doctor
from tests.making.asking import ask, changed, done, write
from tests.making.experiments import TINY

pytestmark = pytest.mark.usefixtures("own_place")

SMALLER = changed(TINY, "  limit: 200\n  test_limit: 100\n", "  limit: 50\n  test_limit: 20\n")
OF_MLFLOW = {"mlflow", "sqlalchemy", "alembic"}


@pytest.fixture
def without_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave this process as it is where MLflow and what comes with it were never installed."""

    def found(package: str) -> str:
        if package in OF_MLFLOW:
            raise PackageNotFoundError(package)
        return version(package)

    for name in ("mlflow", "sqlalchemy", "sqlalchemy.engine"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(doctor, "version", found)


@pytest.fixture
def asked_for(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The packages that import statements name from here on."""
    names: set[str] = set()
    original = builtins.__import__

    def noted(name: str, *arguments: Any, **more: Any) -> Any:
        names.add(name.partition(".")[0])
        return original(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", noted)
    return names


@pytest.mark.parametrize("home", ["home", "100%25 at home?"])
def test_no_mlflow_imports_nothing_of_it(
    home: str, asked_for: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEPBENCH_HOME", str(tmp_path / home))
    done("run", write(SMALLER), "--only", "method=random-noise", "--no-mlflow", "--results", "results")
    assert "torch" in asked_for
    assert not asked_for & OF_MLFLOW


@pytest.mark.usefixtures("without_mlflow")
@pytest.mark.parametrize("home", ["home", "100%25 at home?"])
def test_a_run_goes_on_and_says_once_what_is_missing(
    home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEPBENCH_HOME", str(tmp_path / home))
    answer = ask("run", write(SMALLER), "--only", "method=none")
    assert answer.code == 0
    assert "MLflow" not in answer.out
    assert answer.err.count("MLflow") == 1
    assert "takes no reports (mlflow is not installed: add it with pip): the benchmark goes on" in answer.err
    assert len([*(tmp_path / home / "outbox").rglob("victim-*.json")]) == 1


@pytest.mark.usefixtures("without_mlflow")
def test_a_table_is_made_of_the_records_in_the_home() -> None:
    printed = done("run", write(SMALLER), "--only", "method=none", "--no-mlflow")
    answer = ask("table", "tiny.yaml")
    assert (answer.code, answer.err) == (0, "")
    Path("home/mlflow.db").touch()  # of a time when MLflow was there
    answer = ask("table", "tiny.yaml")
    assert answer.code == 0
    (row,) = (line for line in printed.splitlines() if line.startswith("| none "))
    assert row.split() in [line.split() for line in answer.out.splitlines()]
    assert "cannot be read (mlflow is not installed: add it with pip): read instead were 1 record of tiny" in answer.err


@pytest.mark.usefixtures("without_mlflow")
def test_doctor_counts_it_as_worth_knowing() -> None:
    answer = ask("doctor")
    assert (answer.code, answer.err) == (0, "")
    assert "· mlflow is not installed: pip install sepbench installs it" in answer.out.splitlines()
    assert "does not answer (mlflow is not installed: add it with pip): runs go on" in answer.out
