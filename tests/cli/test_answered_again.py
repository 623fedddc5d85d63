"""Commands that train nothing answer again without torch, until anything has changed that decides the answer."""

import json
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

import bench
from bench.cli import once as module
from bench.cli.once import Made, once
from bench.core import file_state
from bench.core.heard import LASTING
from bench.data.loading import places_of
from bench.data.spec import DatasetSpec
from tests.making.asking import Finished, done

# Beforehand the clock is put forward, as what has just changed is not remembered; the last line is for the test.
_ASK = """
import sys, time
now = time.time_ns
time.time_ns = lambda: now() + 10**10
import bench.cli
try:
    bench.cli.main(sys.argv[1:])
finally:
    print("torch" in sys.modules)
"""


def asked(*arguments: str, **environment: str) -> tuple[str, bool, str]:
    """Ask in a process of its own; return what was printed, whether torch was imported, and what was said."""
    environment = {**os.environ, "PYTHONPATH": str(Path(bench.__file__).parents[1]), **environment}
    command = [sys.executable, "-c", _ASK, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    *printed, last = ended.stdout.splitlines()
    return "\n".join(printed), last == "True", ended.stderr


def lasting(printed: str) -> list[str]:
    """Return the lines that do not tell of what else the machine does just now."""
    return [line for line in printed.splitlines() if not re.search(r'is busy now|"busy":|"free":', line)]


def both(*arguments: str, **environment: str) -> tuple[str, str]:
    """Ask until the answer is known, at most three times: a first plan notes how fast the machine is."""
    first, *_ = asked(*arguments, **environment)
    for _ in range(2):
        again, torch, said = asked(*arguments, **environment)
        assert lasting(again) == lasting(first)
        if not torch:
            return again, said
    raise AssertionError(f"{arguments} imports torch each time")


@pytest.mark.slow
def test_a_plan_is_made_anew_once_there_is_more(finished_copy: Finished) -> None:
    shown, _ = both("plan", "tiny.yaml")
    assert "nothing is left to do" in shown
    victim = next((finished_copy.home / "store" / "victim").glob("*/*/meta.json"))
    victim.unlink()
    shown, torch, _ = asked("plan", "tiny.yaml")
    assert torch
    assert "1 to do" in shown


def test_a_plan_as_json_tells_of_the_disk_as_it_is_now(finished: Finished) -> None:
    found = json.loads(done("plan", "tiny.yaml", "--json"))
    assert found["free"] == pytest.approx(shutil.disk_usage(finished.home).free, rel=0.1)
    assert [stage["done"] for stage in found["stages"]] == [True] * 7


@pytest.mark.slow
def test_a_table_is_made_anew_once_a_record_has_changed(finished_copy: Finished) -> None:
    request = ("table", "tiny.yaml", "--records", "results/records", "--format", "csv")
    shown, _ = both(*request)
    record = next((finished_copy.results / "records").rglob("*.json"))
    record.unlink()
    assert asked(*request)[0] != shown


@pytest.mark.slow
def test_what_the_table_warns_of_is_said_again(finished_copy: Finished) -> None:
    (finished_copy.home / "mlflow.db").unlink(missing_ok=True)
    pytest.importorskip("mlflow")
    shown, said = both("table", "tiny.yaml")
    assert "MLflow lacks " in said
    assert "tiny: test accuracy" in shown


@pytest.mark.slow
@pytest.mark.usefixtures("own_place")
@pytest.mark.parametrize("bytecode", ["", "1"])  # images of containers often ask Python not to keep any
def test_what_a_method_is_takes_no_home(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, bytecode: str
) -> None:
    caches = tmp_path_factory.mktemp("caches")
    shown, _ = both("show", "sep", XDG_CACHE_HOME=str(caches), PYTHONDONTWRITEBYTECODE=bytecode)
    assert shown.startswith("method sep\n")
    assert not list(tmp_path.iterdir())
    assert len(list(caches.rglob("*.json"))) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("own_place")
def test_where_the_user_has_no_cache_it_is_answered_each_time(tmp_path: Path) -> None:
    nowhere = {"HOME": str(tmp_path / "none"), "XDG_CACHE_HOME": ""}
    for _ in range(2):
        shown, torch, _ = asked("show", "sep", **nowhere)
        assert shown.startswith("method sep\n")
        assert torch
    assert not list(tmp_path.iterdir())


@pytest.fixture
def without_torch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A process that has not imported torch, whose clock tells all, and where no other distribution adds plug-ins."""
    modules = {name: kept for name, kept in sys.modules.items() if name != "torch"}
    monkeypatch.setattr(module, "sys", SimpleNamespace(**{**vars(sys), "modules": modules}))
    monkeypatch.setattr(file_state, "_COARSEST_CLOCK_NS", -(10**12))
    monkeypatch.setattr(module, "entry_points", lambda group: ())
    return tmp_path / "answers"


class Maker:
    """What answers with the number of times it was asked."""

    def __init__(self, lasting: bool = True, warning: Sequence[object] = ()) -> None:
        self.times, self._lasting, self._warning = 0, lasting, warning

    def __call__(self) -> Made:
        self.times += 1
        for extra in self._warning:
            logging.getLogger("sepbench").warning("so it is", extra=extra)  # type: ignore[arg-type]
        return Made(self.times, lasting=self._lasting)


def test_what_lasts_is_made_once(without_torch: Path) -> None:
    make = Maker()
    assert [once(without_torch, "what", [], make) for _ in range(3)] == [1, 1, 1]
    assert once(without_torch, "else", [], make) == 2


def test_what_does_not_last_is_made_each_time(without_torch: Path) -> None:
    make = Maker(lasting=False)
    assert [once(without_torch, "what", [], make) for _ in range(2)] == [1, 2]


def test_a_warning_that_lasts_is_said_each_time_and_another_made_for_anew(
    without_torch: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make = Maker(warning=[LASTING])
    assert [once(without_torch, "what", [], make) for _ in range(2)] == [1, 1]
    assert caplog.messages == ["so it is", "so it is"]
    make = Maker(warning=[LASTING, None])
    assert [once(without_torch, "else", [], make) for _ in range(2)] == [1, 2]


def test_with_plugins_of_others_and_where_torch_is_imported_each_is_made(
    without_torch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Maker()
    with monkeypatch.context() as patch:
        patch.setattr(module, "entry_points", lambda group: [group] if group == "sepbench.methods" else [])
        assert [once(without_torch, "what", [], make) for _ in range(2)] == [1, 2]
    assert [once(without_torch, "what", [], make) for _ in range(2)] == [3, 3]
    monkeypatch.setattr(module, "sys", sys)
    assert "torch" in sys.modules
    assert once(without_torch, "what", [], make) == 4


def test_an_error_is_met_each_time(without_torch: Path) -> None:
    def fail() -> Made:
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            once(without_torch, "what", [], fail)


def test_where_the_working_directory_is_gone_it_is_made_each_time(
    without_torch: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    make = Maker()
    assert [once(without_torch, "what", [], make) for _ in range(2)] == [1, 2]


def test_a_folder_without_images_is_one_of_those_where_more_may_come(tmp_path: Path) -> None:
    for place in ("train/cat", "train/dog/more", "test/cat", "test/dog", "elsewhere"):
        (tmp_path / place).mkdir(parents=True)
    for place in ("train/cat/1.png", "train/dog/2.png", "test/cat/3.png", "test/dog/4.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / place)
    (tmp_path / "train/dog/more/readme.txt").write_text("none yet")
    folders = {"train": str(tmp_path / "train"), "test": str(tmp_path / "test")}
    found = places_of(DatasetSpec.parse({"name": "pets", "format": "imagefolder", **folders}))
    named = ["train", "train/cat", "train/dog", "train/dog/more", "test", "test/cat", "test/dog"]
    assert {path for path in found if path.is_dir()} == {tmp_path / one for one in named}
    assert len([path for path in found if path.is_file()]) == 4
