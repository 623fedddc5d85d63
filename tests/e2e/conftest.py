import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from whole_runs import STAGES, Sepbench, Undisturbed, make_database


@pytest.fixture(scope="session", autouse=True)
def _one_thread_of_a_cpu() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("CUDA_VISIBLE_DEVICES", "")  # only CPUs promise the same bits
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without experiments, to copy."""
    path = tmp_path_factory.mktemp("database") / "mlflow.db"
    make_database(path)
    return path


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Undisturbed:
    home = _with_database(Sepbench(tmp_path_factory.mktemp("undisturbed")), empty_database)
    finished = home.call("run", home.experiment())
    assert finished.code == 0, finished.err
    assert set(finished.ran) == STAGES
    return Undisturbed(home, finished.table, home.outcomes())


@pytest.fixture
def sepbench(tmp_path: Path) -> Sepbench:
    """The command in an empty home."""
    return Sepbench(tmp_path)


@pytest.fixture
def tracked(tmp_path: Path, empty_database: Path) -> Sepbench:
    """The command in a home that holds nothing but an empty MLflow database."""
    return _with_database(Sepbench(tmp_path), empty_database)


@pytest.fixture
def finished(tmp_path: Path, undisturbed: Undisturbed) -> Sepbench:
    """The command in a home where the tiny experiment has run."""
    return undisturbed.home.copy(tmp_path)


def _with_database(sepbench: Sepbench, database: Path) -> Sepbench:
    sepbench.home.mkdir()
    shutil.copy(database, sepbench.home / "mlflow.db")
    return sepbench
