"""A home with a database of MLflow in it, which takes a second to make and is made once."""

import shutil
import socket
from pathlib import Path

import pytest

from bench.record.tracking import Tracker, default_uri
from bench.record.tracking.connection import connected


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with all of MLflow's tables and nothing in them: making one takes over a second."""
    home = tmp_path_factory.mktemp("template")
    with connected(f"sqlite:///{home / 'mlflow.db'}"):
        return home / "mlflow.db"


@pytest.fixture
def home(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return tmp_path


@pytest.fixture
def uri(home: Path) -> str:
    return default_uri(home)


@pytest.fixture
def tracker(uri: str, home: Path) -> Tracker:
    tracker = Tracker(uri, home / "outbox")
    tracker.start("quick", {"name": "quick", "seeds": (0, 1)}, {"victim": 2})
    return tracker


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
