"""Packages of sepbench are found beside `bench`, also where others have their names."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.contracts import places
from bench.core.beside import folders_of, import_beside
from bench.core.git import ROOT


def in_a_folder_with_others(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run Python where there are packages called methods and victims with a module each."""
    for name in ("methods", "victims"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("")
        (folder / name / "mine.py").write_text("raise AssertionError('imported')\n")
    (folder / "victims" / "defenses").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SEPBENCH_HOME": str(folder / "home")}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_folders_in_the_working_directory_hide_nothing(tmp_path: Path) -> None:
    answer = in_a_folder_with_others(tmp_path, "-m", "bench", "show", "tap")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("method tap\n")
    for name in ("methods", "victims"):
        sentence = f"{tmp_path / name} is not looked at, as sepbench has {name} of its own"
        assert answer.stderr.count(sentence) == 1


@pytest.mark.slow
def test_a_listing_is_of_our_own_in_a_folder_with_others(tmp_path: Path) -> None:
    answer = in_a_folder_with_others(tmp_path, "-m", "bench", "ls", "methods")
    assert answer.returncode == 0, answer.stderr
    assert "\nsep-fa " in answer.stdout


@pytest.mark.slow
def test_another_package_that_is_imported_already_is_named(tmp_path: Path) -> None:
    script = "import methods\nfrom bench.contracts.method import METHODS\nMETHODS.names()"
    answer = in_a_folder_with_others(tmp_path, "-c", script)
    assert answer.stderr.splitlines()[-1].endswith(
        f"SepbenchError: {tmp_path / 'methods'} is imported as methods, which is what sepbench calls a package of its "
        "own: start where there is none of that name, or rename it"
    )


def test_a_package_that_is_not_beside_bench_is_found_as_python_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere_toys").mkdir()
    (tmp_path / "elsewhere_toys" / "__init__.py").write_text("HERE = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert folders_of("elsewhere_toys") == [tmp_path / "elsewhere_toys"]
    assert import_beside("elsewhere_toys").HERE
    assert import_beside("elsewhere_toys").HERE  # and again, once it is imported
    assert folders_of("no_such_toys") == []


def test_every_kind_of_plugin_has_its_folder_beside_bench() -> None:
    for place in (places.METHODS, places.ARCHITECTURES, places.DEFENSES, places.DATASETS):
        assert folders_of(place.package) == [ROOT / place.package.replace(".", "/")]
