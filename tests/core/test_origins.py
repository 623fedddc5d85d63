"""Where a plug-in came from: its package and version, or its file, and a digest of its source and what it imports."""

import hashlib
import linecache
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import ModuleType

import pytest

from bench.contracts.method import METHODS
from bench.core.origin import Origin, source_digest
from bench.core.registry import Registry
from tests.core.test_registries import GROUP, install


def test_what_came_with_sepbench_has_no_origin() -> None:
    assert METHODS.origin("sep") is None
    assert METHODS.is_ours("sep")
    assert not METHODS.is_ours("nobody's")


def test_a_plugin_of_a_package_is_of_its_version(
    tmp_path: Path, empty_package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "class Far:\n    pass\n"
    monkeypatch.syspath_prepend(install(tmp_path / "site", "far_off", source, f"[{GROUP}]\nfar = far_off:Far\n"))
    toys: Registry[object] = Registry("toy", empty_package, GROUP)
    assert toys.origin("far") == Origin("far_off 1.0", hashlib.sha256(source.encode()).hexdigest())
    assert not toys.is_ours("far")
    sys.modules.pop("far_off")


def test_the_digest_of_one_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("import torch\nimport os.path\n")
    assert source_digest(file, tmp_path, "") == hashlib.sha256(file.read_bytes()).hexdigest()


def test_the_digest_covers_what_a_file_imports_beside_it_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import helper\n")
    (tmp_path / "helper.py").write_text("from sub import deep\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "__init__.py").write_text("")
    (tmp_path / "sub" / "deep.py").write_text("x = 1\n")
    (tmp_path / "other.py").write_text("x = 1\n")

    def digest() -> str:
        return source_digest(tmp_path / "mine.py", tmp_path, "")

    first = digest()
    (tmp_path / "other.py").write_text("x = 2\n")
    assert digest() == first
    (tmp_path / "sub" / "deep.py").write_text("x = 2\n")
    assert digest() != first


def test_of_a_package_only_its_own_modules_count(tmp_path: Path) -> None:
    for package in ("far", "near"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("")
    (tmp_path / "far" / "mine.py").write_text("from . import helper\nimport near.more\n")
    (tmp_path / "far" / "helper.py").write_text("x = 1\n")
    (tmp_path / "near" / "more.py").write_text("x = 1\n")

    def digest() -> str:
        return source_digest(tmp_path / "far" / "mine.py", tmp_path, "far")

    first = digest()
    (tmp_path / "near" / "more.py").write_text("x = 2\n")
    assert digest() == first
    (tmp_path / "far" / "helper.py").write_text("x = 2\n")
    assert digest() != first


NOTEBOOK = """
from bench.api import Field, Method, Params
class Far(Params):
    size: int = Field(3, description="x", ge=1)
class Mine(Method[Far]):
    per_sample = True
    _clear = {'a': [1]}
    def craft(self, data, budget, ctx):
        return data.x
"""


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], type]:
    """Define what a cell of a notebook says, as a notebook does, and return its class Mine."""
    module = ModuleType("a_notebook")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    cells = count()

    def ran(source: str) -> type:
        name = f"<cell {next(cells)}>"
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        exec(compile(source, name, "exec"), module.__dict__)
        mine: type = module.__dict__["Mine"]
        return mine

    return ran


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("return data.x", "return data.x + 1"),
        ("per_sample = True", "per_sample = False"),
        ("(3,", "(4,"),
        ("=1)", "=2)"),
        ("_clear = {'a': [1]}", "_clear = {'a': [2]}"),
    ],
)
def test_a_class_of_a_notebook_that_was_edited_has_another_digest(
    before: str, after: str, notebook: Callable[[str], type]
) -> None:
    digests = [Origin.of(notebook(source)) for source in (NOTEBOOK, NOTEBOOK, NOTEBOOK.replace(before, after))]
    assert digests[0] is not None
    assert digests[0] == digests[1]
    assert len(digests[0].sha256) == 64
    assert digests[2] != digests[0]


@pytest.mark.parametrize("value", ["object()", "[object()]"])
def test_of_a_value_that_is_not_told_by_its_text_nobody_knows_whether_it_was_edited(
    value: str, notebook: Callable[[str], type]
) -> None:
    for where in ("    per_sample = True\n", '    size: int = Field(3, description="x", ge=1)\n'):
        source = NOTEBOOK.replace(where, f"{where}    held: ClassVar = {value}\n")
        found = Origin.of(notebook(f"from typing import ClassVar\n{source}"))
        assert found is not None
        assert found.sha256 == ""


def test_the_order_of_a_set_is_no_edit(notebook: Callable[[str], type]) -> None:
    assert repr({0, 8}) != repr({8, 0})  # of texts it differs from process to process
    one, other, further = (
        NOTEBOOK.replace("{'a': [1]}", f"frozenset({values})") for values in ([0, 8], [8, 0], [8, 1])
    )
    assert Origin.of(notebook(one)) == Origin.of(notebook(other)) != Origin.of(notebook(further))


def test_what_a_class_of_a_notebook_has_of_another_of_its_cells_counts(notebook: Callable[[str], type]) -> None:
    further = NOTEBOOK.replace("Mine(Method[Far])", "Base(Method[Far])") + "class Mine(Base):\n    norms = ('l2',)\n"
    assert Origin.of(notebook(further)) != Origin.of(notebook(further.replace("data.x", "data.x + 1")))


def test_the_digest_of_what_cannot_be_read_is_empty(notebook: Callable[[str], type]) -> None:
    mine = notebook(NOTEBOOK)
    linecache.cache.clear()
    assert Origin.of(mine) == Origin("a_notebook", "")
