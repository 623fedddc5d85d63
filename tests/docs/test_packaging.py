"""The wheel holds the program and nothing else, and the versions that CI runs are within what it asks for."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.making.pages import ROOT, read

PACKAGES = ("bench", "methods", "victims")
PROJECT = tomllib.loads(read("pyproject.toml"))["project"]
LEFT_OUT = shutil.ignore_patterns("__pycache__", ".*")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of the files in a wheel that was built from a copy of the tree."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for folder in (*PACKAGES, "tests"):
        shutil.copytree(ROOT / folder, source / folder, ignore=LEFT_OUT)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    build = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*build, "--wheel-dir", str(built)], cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = built.iterdir()
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_packages_and_nothing_else(wheel: set[str]) -> None:
    there = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in wheel if ".dist-info/" not in name} == there


@pytest.mark.slow
def test_the_wheel_carries_the_license_and_the_command(wheel: set[str]) -> None:
    described = {re.sub(r"^[^/]+\.dist-info/", "", name) for name in wheel if ".dist-info/" in name}
    assert {"METADATA", "entry_points.txt", "licenses/LICENSE"} <= described


@pytest.mark.slow
def test_every_package_is_typed(wheel: set[str]) -> None:
    assert {f"{package}/py.typed" for package in PACKAGES} <= wheel


def test_constraints_name_a_version_within_bounds_of_every_direct_dependency() -> None:
    required = {
        canonicalize_name(one.name): one.specifier
        for extra in ("dev", "ray")
        for one in map(Requirement, [*PROJECT["dependencies"], *PROJECT["optional-dependencies"][extra]])
    }
    lines = (line.partition("#")[0].strip() for line in read("constraints.txt").splitlines())
    constraints = {canonicalize_name(one.name): one.specifier for one in map(Requirement, filter(None, lines))}
    assert sorted(constraints) == sorted(required)
    for name, specifier in constraints.items():
        (bound,) = specifier
        assert bound.operator in ("==", "<=")
        assert required[name].contains(bound.version), f"{name} {bound.version} is not within {required[name]}"


def test_the_program_and_its_wheel_have_one_version() -> None:
    from bench import __version__

    assert PROJECT["version"] == __version__
