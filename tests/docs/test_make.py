"""`make` lists what it does, keeps its environments apart, and tests the oldest versions that are said to work."""

import os
import re
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.making.pages import ROOT, read

PROJECT = tomllib.loads(read("pyproject.toml"))["project"]


def make(*words: str | Path, code: int = 0) -> str:
    """Return what make printed, as on a terminal of its own."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(["make", *words], cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def test_make_lists_every_target() -> None:
    targets = re.search(r"^\.PHONY: (.*)$", read("Makefile"), re.MULTILINE)
    assert targets is not None
    assert [line.split()[1] for line in make().splitlines()] == targets[1].split()


def test_the_oldest_versions_are_the_lower_bounds_of_every_direct_dependency(tmp_path: Path) -> None:
    constraints = tmp_path / "venv-oldest" / "constraints.txt"
    make(f"VENV={tmp_path}/venv", constraints)
    oldest = [Requirement(line) for line in constraints.read_text().splitlines()]
    required = [Requirement(one) for one in (*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"])]
    assert [one.name for one in oldest] == [one.name for one in required]
    for pinned, asked in zip(oldest, required, strict=True):
        ((operator, version),) = ((bound.operator, bound.version) for bound in pinned.specifier)
        assert operator == "=="
        bounds = [Version(bound.version) for bound in asked.specifier if bound.operator == ">="]
        assert bounds == [Version(version)], f"{asked} has no lower bound, or several"


@pytest.mark.parametrize("kind", ["oldest", "newest"])
def test_each_has_an_environment_of_its_own_made_by_the_python_that_is_named(kind: str, tmp_path: Path) -> None:
    steps = make("-n", f"test-{kind}", f"VENV={tmp_path}/venv", "PYTHON=/opt/other/python").splitlines()
    own = f"{tmp_path}/venv-{kind}"
    made, installed, tested = (
        [number for number, step in enumerate(steps) if words in step]
        for words in (f"/opt/other/python -m venv {own}", "-m pip install", "-m pytest")
    )
    assert len(made) == len(installed) == len(tested) == 1
    assert made < installed < tested
    assert all(f"{own}/bin/python -m p" in steps[number] for number in (*installed, *tested))
    assert (f"--constraint {own}/constraints.txt" in steps[installed[0]]) == (kind == "oldest")
    assert "constraints.txt" not in steps[installed[0]] or kind == "oldest"
    assert " -m '" not in steps[tested[0]], "some tests are left out"


@pytest.mark.parametrize("target", ["test", "test-oldest", "test-newest"])
def test_a_python_that_is_too_old_is_one_sentence(target: str, tmp_path: Path) -> None:
    said = make(target, f"VENV={tmp_path}/venv", "PYTHON=false", code=2)
    assert "sepbench needs Python 3.11 or newer, which false is not: name one with make PYTHON=/path/to/python" in said
    assert "Traceback" not in said


def test_clean_removes_every_environment(tmp_path: Path) -> None:
    kinds = ("", "-oldest", "-newest")
    (removal,) = make("-n", "clean", f"VENV={tmp_path}/venv").splitlines()
    assert {f"{tmp_path}/venv{kind}" for kind in kinds} <= set(removal.split())
    ignored = read(".gitignore").splitlines()
    assert all(any(fnmatch(f".venv{kind}/", pattern) for pattern in ignored) for kind in kinds)
