"""The example files of CONTRIBUTING.md work as they stand there: in the tree, and in a package of one's own."""

import ast
import inspect
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import yaml

import bench
from bench.record.record import Record, read_records
from tests.making.pages import ROOT, blocks, read

pytestmark = pytest.mark.slow

FILES = {block.file: block.text for block in blocks("CONTRIBUTING.md", "python", "yaml", "toml") if block.file}
PLUGINS = {path: text for path, text in FILES.items() if path.endswith(".py")}
PACKAGES = ("bench", "methods", "victims")
SMALL = ("dataset.limit=60", "dataset.test_limit=30", "recipe.epochs=2", "recipe.batch_size=20", "seeds=[0]")


def place(root: Path, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")


def python(arguments: Sequence[str], folder: Path, importable: Sequence[Path]) -> str:
    """Run Python in a process of its own and return what it prints; its complaint is the failure."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, importable)),
        "SEPBENCH_HOME": str(folder / "home"),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run(experiment: str, folder: Path, importable: Sequence[Path]) -> list[Record]:
    reduced = [word for change in SMALL for word in ("--set", change)]
    python(
        ["-m", "bench", "run", experiment, *reduced, "--no-mlflow", "--devices", "cpu", "--results", "results"],
        folder,
        importable,
    )
    return read_records(folder / "results" / "records")


def assert_every_example_took_part(records: list[Record]) -> None:
    assert {one.status for one in records} == {"done"}
    assert {one.dataset for one in records} == {"shapes"}
    assert {one.victim for one in records} == {"conv3"}
    assert {one.method for one in records} == {"none", "random-noise", "uniform-shift", "next-class", "in-turns"}
    assert {one.method_params["strength"] for one in records if one.method == "uniform-shift"} == {0.5, 1.0}
    assert {one.defense for one in records} == {"plain", "channel-shuffle-100"}
    assert {one.recipe.partition("[")[0] for one in records} == {"shapes"}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages with the example files in their places."""
    root = tmp_path_factory.mktemp("tree")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    assert not [path for path in FILES if (root / path).exists()]
    place(root, FILES)
    return root


def test_there_is_an_example_of_every_kind() -> None:
    assert sorted({str(Path(path).parent) for path in FILES}) == [
        ".",
        "bench/data/formats",
        "bench/experiments",
        "bench/recipes",
        "methods",
        "victims/architectures",
        "victims/defenses",
    ]


def test_the_map_is_the_packages_docstring_and_names_every_folder_of_code() -> None:
    [block] = blocks("CONTRIBUTING.md", "text")
    assert block.text.rstrip() == (inspect.getdoc(bench) or "").partition("\n\n")[2]
    code = {
        path.parent.name for path in (ROOT / "bench").glob("*/__init__.py") if len(list(path.parent.glob("*.py"))) > 1
    }
    assert set(re.findall(r"^(\w+)/ ", block.text, re.MULTILINE)) == code
    assert set(re.findall(r"\w+", block.text.splitlines()[-1])) == code


def test_what_a_page_says_to_touch_is_there() -> None:
    paths = re.findall(r"`((?:bench|methods|victims|tests)/[^`\s]*)`", read("CONTRIBUTING.md"))
    new = re.compile(r"(NAME|FAMILY)\.\w+$")
    assert len(paths) > 20
    assert [path for path in paths if not (ROOT / new.sub("", path)).exists()] == []


@pytest.mark.parametrize("path", PLUGINS)
def test_a_plugin_imports_nothing_of_the_harness_but_its_api(path: str) -> None:
    imported = [node.module for node in ast.walk(ast.parse(PLUGINS[path])) if isinstance(node, ast.ImportFrom)]
    assert [name for name in imported if name and name.split(".")[0] in PACKAGES] == ["bench.api"]


def test_new_files_in_the_tree_are_all_it_takes(tree: Path) -> None:
    assert_every_example_took_part(run("shapes", tree, [tree]))


def test_a_package_of_ones_own_brings_them_in_as_entry_points(tmp_path: Path) -> None:
    project = tomllib.loads(FILES["pyproject.toml"])["project"]
    package = project["name"].replace("-", "_")
    place(tmp_path / "site", {f"{package}/{Path(path).name}": text for path, text in PLUGINS.items()})
    entry_points = [
        line
        for group, names in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {target}" for name, target in names.items()))
    ]
    place(  # what pip writes when it installs the package
        tmp_path / "site" / f"{package}-{project['version']}.dist-info",
        {
            "METADATA": f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n",
            "entry_points.txt": "\n".join(entry_points) + "\n",
        },
    )
    recipe = {"name": "shapes", **yaml.safe_load(FILES["bench/recipes/shapes.yaml"])}
    experiment = {**yaml.safe_load(FILES["bench/experiments/shapes.yaml"]), "recipe": recipe}
    place(tmp_path, {"shapes.yaml": yaml.safe_dump(experiment)})

    assert_every_example_took_part(run("shapes.yaml", tmp_path, [tmp_path / "site", ROOT]))


def test_the_examples_keep_the_contracts(tree: Path) -> None:
    for folder in ("contract", "making"):
        shutil.copytree(ROOT / "tests" / folder, tree / "tests" / folder)
    for file in ("__init__.py", "conftest.py"):
        shutil.copy(ROOT / "tests" / file, tree / "tests")
    shutil.copy(ROOT / "pyproject.toml", tree)
    only = "uniform-shift or next-class or in-turns or conv3 or channel-shuffle or shapes"
    printed = python(["-m", "pytest", "-p", "no:cacheprovider", "tests/contract", "-k", only], tree, [tree])
    assert " passed" in printed
    assert "failed" not in printed


def test_the_examples_pass_what_every_change_has_to_pass(tree: Path) -> None:
    for tool in ("ruff", "mypy"):
        pytest.importorskip(tool)
    shutil.copy(ROOT / "pyproject.toml", tree)
    python(["-m", "ruff", "check", "--no-cache", *PLUGINS], tree, [tree])
    python(["-m", "ruff", "format", "--no-cache", "--check", *PLUGINS], tree, [tree])
    if (ROOT / ".mypy_cache").is_dir():  # what mypy knows of torch there saves most of a minute
        shutil.copytree(ROOT / ".mypy_cache", tree / ".mypy_cache")
    python(["-m", "mypy", *PLUGINS], tree, [tree])
