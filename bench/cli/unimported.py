"""What plug-ins are called and say of themselves, read from their files: importing them takes torch, and seconds."""

import ast
import inspect
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TypeGuard

from bench.contracts import places
from bench.core.beside import folders_of
from bench.core.registry import Place

_NAMES = {place.registry for place in (places.METHODS, places.ARCHITECTURES, places.DEFENSES, places.DATASETS)}


class _Unreadable(Exception):  # noqa: N818 - reads as what it is
    """Only importing the module tells what it registers."""


def read_summaries(place: Place) -> dict[str, str] | None:
    """Return the names of a kind's plug-ins, sorted, with the first line of each one's docstring.

    None where only importing them tells: another distribution adds some, a name is computed or claimed twice, a
    docstring is inherited or made, or a module is broken.
    """
    found: dict[str, str] = {}
    try:
        if entry_points(group=place.group):
            return None
        for path in _modules(place.package):
            module = ast.parse(path.read_bytes())
            _check_imports(module)
            for name, summary in _registered(module, place.registry):
                if name in found:
                    return None
                found[name] = summary
    except Exception:  # a package that cannot say what it offers, a file that is no Python: see importing them
        return None
    return dict(sorted(found.items()))


def _modules(package: str) -> Iterator[Path]:
    """Yield the files of the modules that a registry imports; raises `_Unreadable` where one is no such file."""
    for folder in folders_of(package):
        for path in folder.iterdir():
            if path.name.startswith(("_", ".")):
                continue
            if path.suffix == ".py":
                yield path
            elif inspect.getmodulename(path.name) or (path / "__init__.py").is_file():
                raise _Unreadable(path)


def _check_imports(module: ast.Module) -> None:
    """Raise `_Unreadable` where a package that the module needs is not installed."""
    for node in module.body:
        names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        for name in names:
            package = name.partition(".")[0]
            if package not in sys.modules and find_spec(package) is None:
                raise _Unreadable(name)


def _registered(module: ast.Module, registry: str) -> Iterator[tuple[str, str]]:
    """Yield what `@REGISTRY.register("name")` stands over at the top of the module."""
    understood = set()
    for node in module.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef):
            continue
        for decorator in node.decorator_list:
            if not _registers(decorator, registry):
                continue
            docstring = ast.get_docstring(node)
            if docstring is None or len(node.decorator_list) > 1:
                raise _Unreadable(node.name)
            understood.add(decorator.func)
            yield _name(decorator), docstring.partition("\n")[0]
    attributes = (part for part in ast.walk(module) if isinstance(part, ast.Attribute) and part.attr == "register")
    for attribute in attributes:
        if attribute not in understood and _owner(attribute) not in _NAMES - {registry}:
            raise _Unreadable(ast.dump(attribute))


def _registers(decorator: ast.expr, registry: str) -> TypeGuard[ast.Call]:
    return (
        isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Attribute)
        and decorator.func.attr == "register"
        and _owner(decorator.func) == registry
    )


def _owner(attribute: ast.Attribute) -> str | None:
    return attribute.value.id if isinstance(attribute.value, ast.Name) else None


def _name(call: ast.Call) -> str:
    match call:
        case ast.Call(args=[ast.Constant(value=str(name))], keywords=[]):
            return name
    raise _Unreadable(ast.dump(call))
