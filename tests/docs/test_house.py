"""The house: a folder of bench/ imports only folders before it, and a plug-in only bench.api and its own helpers."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import bench
from tests.making.pages import ROOT

ORDER = [
    "core",
    "store",
    "record",
    "contracts",
    "data",
    "engine",
    "spec",
    "plan",
    "run",
    "read",
    "perf",
    "checks",
    "flows",
    "cli",
]
APART = {"run", "read"}
PLUGINS = ("methods", "victims/architectures", "victims/defenses", "bench/data/formats")
OURS = ("bench", "methods", "victims", "tests")


def imports(path: Path) -> Iterator[str]:
    """Yield the dotted name of everything of ours that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import():
                names = [alias.name for alias in node.names]
            case ast.ImportFrom(module=str(module), level=0):
                names = [f"{module}.{alias.name}" for alias in node.names]
            case ast.ImportFrom():
                pytest.fail(f"{path}: a relative import hides which folder it is from")
            case _:
                continue
        yield from (name for name in names if name.partition(".")[0] in OURS)


def python_files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def allowed(folder: str) -> set[str]:
    """Return the folders that files of a folder may import."""
    before = set(ORDER[: ORDER.index(folder) + 1])
    return before - APART | {folder} if folder in APART else before


def mistakes(path: Path, folder: str) -> list[str]:
    """Return the imports of a file in one of the folders of bench/ that lead where they must not."""
    return [
        name
        for name in imports(path)
        if name.split(".")[0] != "bench" or name.split(".")[1] not in {*allowed(folder), "__version__"}
    ]


@pytest.mark.parametrize("folder", ORDER)
def test_a_folder_imports_only_folders_before_it(folder: str) -> None:
    files = [path for path in python_files(f"bench/{folder}") if "formats" not in path.parts]
    assert files
    assert {path.relative_to(ROOT).as_posix(): wrong for path in files if (wrong := mistakes(path, folder))} == {}


def test_the_rule_finds_an_import_against_the_order(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text("import bench.read.tables\nfrom bench.cli import app\n\ndef late():\n    from bench import run\n")
    assert mistakes(wrong, "run") == ["bench.read.tables", "bench.cli.app"]
    assert mistakes(wrong, "read") == ["bench.cli.app", "bench.run"]
    assert mistakes(wrong, "cli") == []


def test_a_plugin_imports_the_api_and_its_own_helpers() -> None:
    wrong = {}
    for folder in PLUGINS:
        own = folder.replace("/", ".")
        for path in python_files(folder):
            found = [
                name for name in imports(path) if not name.startswith("bench.api.") and not name.startswith(f"{own}._")
            ]
            if found:
                wrong[path.relative_to(ROOT).as_posix()] = found
    assert wrong == {}


def test_the_api_defines_nothing_and_shows_contracts_engine_and_data() -> None:
    tree = ast.parse((ROOT / "bench/api.py").read_text(encoding="utf-8"))
    kinds = {type(node) for node in tree.body}
    assert kinds <= {ast.Expr, ast.Import, ast.ImportFrom, ast.Assign}
    (names,) = (node for node in tree.body if isinstance(node, ast.Assign))
    assert ast.unparse(names.targets[0]) == "__all__"
    shown = {name.split(".")[1] for name in imports(ROOT / "bench/api.py")}
    assert shown <= {"contracts", "engine", "data", "core"}


def test_no_two_modules_of_the_harness_have_one_name() -> None:
    names = Counter(path.name for path in python_files("bench") if path.name not in ("__init__.py", "__main__.py"))
    assert [name for name, count in names.items() if count > 1] == []


def test_the_map_names_every_folder_in_its_order() -> None:
    text = bench.__doc__ or ""
    (rule,) = (line for line in text.splitlines() if " < " in line)
    assert rule == " < ".join([*ORDER[:8], "{ run | read }", *ORDER[10:]])
    there = {path.name for path in (ROOT / "bench").iterdir() if path.is_dir() and list(path.glob("*.py"))}
    assert there - {"experiments", "recipes"} == set(ORDER)
    shown = re.findall(r"(?m)^(\w+)/ ", text)
    assert sorted(shown) == sorted(ORDER)
