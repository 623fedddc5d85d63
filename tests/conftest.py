"""What tests are given: one thread, no settings from outside, homes of their own, and finished runs to share."""

import multiprocessing
import shutil
import socket
from collections.abc import Callable, Iterator
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from bench.contracts import plugin_files
from bench.contracts.defense import Defense
from bench.contracts.network import build_network
from bench.contracts.registries import REGISTRIES
from bench.core import file_state
from bench.record.tracking import Tracker, default_uri, installed
from bench.record.tracking.connection import connected
from bench.store.home import Home
from tests.making.asking import Finished, ask, write
from tests.making.crafting import digits
from tests.making.experiments import STAGES, TINY
from tests.making.forks import FORKS
from tests.making.whole_runs import Sepbench, Undisturbed


@pytest.fixture(scope="session", autouse=True)
def _one_thread_and_no_settings() -> Iterator[None]:
    """Compute with one thread: tiny tensors gain nothing from more, and waiting for a busy core costs seconds."""
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        for name in ("SEPBENCH_DATA", "MLFLOW_TRACKING_URI"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_left_beside_the_code() -> Iterator[None]:
    """Fail where a test writes to where it was started, and not to a folder of its own."""
    before = {path.name for path in Path.cwd().iterdir()}
    yield
    left = {path.name for path in Path.cwd().iterdir() if not path.name.startswith(".")}
    assert left <= before


@pytest.fixture(scope="session")
def mlflow() -> Any:
    """The package: what takes this is skipped where it is not installed, and all else is tested without it."""
    return pytest.importorskip("mlflow", reason="needs MLflow, which is not installed")


@pytest.fixture(scope="session")
def empty_database(mlflow: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with all its tables and nothing in them, to copy: making one takes over a second."""
    path = tmp_path_factory.mktemp("database") / "mlflow.db"
    with connected(f"sqlite:///{path}"):
        return path


class _Log:
    """MLflow as finished runs have it: told of them where it is installed, left alone elsewhere."""

    def __init__(self, database: Path | None) -> None:
        self._database = database
        self.options = () if database else ("--no-mlflow",)

    def begin(self, home: Path) -> None:
        """Make a home, with an empty database."""
        home.mkdir()
        if self._database is not None:
            shutil.copy(self._database, home / "mlflow.db")


@pytest.fixture(scope="session")
def _log(request: pytest.FixtureRequest) -> _Log:
    return _Log(request.getfixturevalue("empty_database") if installed() else None)


# A command asked in this process.


@pytest.fixture
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, with a home to be made in it."""
    _go(monkeypatch, tmp_path)


@pytest.fixture
def finished(_finished: Finished, own_place: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Finished]:
    """Work where the tiny experiment has run; the records that are there stay as they are."""
    _go(monkeypatch, _finished.folder)
    before = _records(_finished.folder)
    yield _finished
    assert _records(_finished.folder) == before, "other tests work here as well: take finished_copy"


@pytest.fixture
def finished_copy(_finished: Finished, own_place: None, tmp_path: Path) -> Finished:
    """Work where the tiny experiment has run, in a copy of the test's own."""
    shutil.copytree(_untouched(_finished.folder), tmp_path, dirs_exist_ok=True)
    return Finished(tmp_path, _finished.answer)


@pytest.fixture(scope="session")
def _finished(tmp_path_factory: pytest.TempPathFactory, _log: _Log) -> Finished:
    folder = tmp_path_factory.mktemp("finished")
    _log.begin(folder / "home")
    with pytest.MonkeyPatch.context() as monkeypatch:
        _go(monkeypatch, folder)
        answer = ask("run", write(TINY), "--results", "results", *_log.options)
    shutil.copytree(folder, _untouched(folder))  # plans of others, who only read, leave notes in the shared one
    return Finished(folder, answer)


def _untouched(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}-untouched")


def _records(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in (folder / "home" / "records").rglob("*.json")}


def _go(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SEPBENCH_HOME", str(folder / "home"))


# The command in processes of its own.


@pytest.fixture
def sepbench(tmp_path: Path) -> Sepbench:
    """The command in an empty home."""
    return Sepbench(tmp_path)


@pytest.fixture
def tracked(tmp_path: Path, empty_database: Path) -> Sepbench:
    """The command in a home that holds nothing but an empty MLflow database."""
    sepbench = Sepbench(tmp_path)
    _Log(empty_database).begin(sepbench.home)
    return sepbench


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, _log: _Log) -> Undisturbed:
    """What the tiny experiment comes to where nothing happens to it."""
    home = Sepbench(tmp_path_factory.mktemp("undisturbed"))
    _log.begin(home.home)
    ended = home.call("run", home.experiment(), *_log.options)
    assert ended.code == 0, ended.err
    assert set(ended.ran) == STAGES
    keys = {event.label: event.key for event in ended.events if event.what == "started"}
    return Undisturbed(home, ended.table, home.outcomes(), keys)


@pytest.fixture
def after_a_run(tmp_path: Path, undisturbed: Undisturbed) -> Sepbench:
    """The command in a home where the tiny experiment has run."""
    return undisturbed.home.copy(tmp_path)


@pytest.fixture
def before(tmp_path: Path, undisturbed: Undisturbed) -> Callable[[str], Sepbench]:
    """Return the command in a home where the tiny experiment has come to a stage of sep, whose label starts so."""
    return lambda label: undisturbed.before(label, tmp_path)


@pytest.fixture
def loops_in_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what perf measures in an interpreter of its own be a fork that has imported what takes seconds."""
    context = multiprocessing.get_context
    monkeypatch.setattr(multiprocessing, "get_context", lambda how=None: FORKS if how == "spawn" else context(how))


# The experiment log.


@pytest.fixture
def home(tmp_path: Path, empty_database: Path) -> Path:
    """A home that holds nothing but an empty MLflow database."""
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return tmp_path


@pytest.fixture
def uri(home: Path) -> str:
    return default_uri(home)


@pytest.fixture
def tracker(uri: str, home: Path) -> Tracker:
    tracker = Tracker(uri, Home(home))
    tracker.start("quick", {"name": "quick", "seeds": (0, 1)}, {"victim": 2})
    return tracker


@pytest.fixture
def closed_port() -> int:
    """A port of this machine where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


# Files.


@pytest.fixture
def settled_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what a test has just written count as files that lie there for long."""
    monkeypatch.setattr(file_state, "_COARSEST_CLOCK_NS", 0)


# Plug-ins.


@pytest.fixture(scope="session")
def _outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what defenses read from files: a purified copy of the digits, and pretrained weights."""
    folder = tmp_path_factory.mktemp("outside")
    images = digits().images
    (folder / "purified").mkdir()
    copy = (images // 2).permute(0, 2, 3, 1).numpy()
    np.savez(folder / "purified" / f"{Defense.training_set}.npz", images=copy)
    network = build_network("resnet8", 10, images, normalise=False, seed=3, device=torch.device("cpu"))
    weights = {name: value.contiguous() for name, value in network.classifier.state_dict().items()}
    save_file(weights, folder / "weights.safetensors")
    return folder


@pytest.fixture
def files_of_defenses(_outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Name what defenses read from files where their parameters look for it."""
    monkeypatch.setenv("SEPBENCH_PURIFIED", str(_outside / "purified"))
    monkeypatch.setenv("SEPBENCH_PRETRAINED", str(_outside / "weights.safetensors"))


@pytest.fixture
def plugins_as_before() -> Iterator[None]:
    """Forget afterwards what plug-ins were read from files."""
    for one in REGISTRIES.values():
        one.names()
    before = [{name: copy(value) for name, value in vars(one).items()} for one in REGISTRIES.values()]
    files = dict(plugin_files._ATTACHED)
    yield
    for one, state in zip(REGISTRIES.values(), before, strict=True):
        vars(one).update(state)
    plugin_files._ATTACHED.clear()
    plugin_files._ATTACHED.update(files)


@pytest.fixture
def empty_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Import name of a package without plug-ins, for registries of the tests' own."""
    (tmp_path / "a_package_without_plugins").mkdir()
    (tmp_path / "a_package_without_plugins" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    return "a_package_without_plugins"
