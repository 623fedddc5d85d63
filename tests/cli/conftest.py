"""A home and a working directory of its own for every test, and one finished run for all of them."""

import sys
from pathlib import Path

import pytest
from asking import TINY, Finished, ask, write

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))  # tiny_data writes small data sets


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _go(monkeypatch, tmp_path)


@pytest.fixture
def finished(_finished: Finished, monkeypatch: pytest.MonkeyPatch) -> Finished:
    """Work where the tiny experiment has run."""
    _go(monkeypatch, _finished.folder)
    return _finished


@pytest.fixture(scope="session")
def _finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as monkeypatch:
        _go(monkeypatch, folder)
        answer = ask("run", write(TINY), "--results", "results")
    return Finished(folder, answer)


def _go(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SEPBENCH_HOME", str(folder / "home"))
    for name in ("SEPBENCH_DATA", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
