"""Where a plug-in came from that is not ours as committed: its package or file, and a digest of its source."""

import ast
import hashlib
import inspect
import re
import sys
import types
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from bench.core.git import ROOT, git
from bench.core.paths import file_digest

_OURS = ("bench", "methods", "victims")

_OF_PYTHON = (types.GetSetDescriptorType, types.MemberDescriptorType)
_OF_ABC = "_abc_impl"
"""What Python itself puts into a class."""
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
"""Of a value that its text tells nothing of, and that is another one in each process."""

GIVEN_FILE = "sepbench_plugin_"
"""What the names of modules begin with that were read from a file that somebody named."""

PACKAGE: ContextVar[str | None] = ContextVar("package", default=None)
"""Name and version of the installed package whose plug-ins are being imported."""


class Origin(NamedTuple):
    """Where a plug-in came from.

    Attributes
    ----------
    package
        Name and version of the installed package, or the name of the file.
    sha256
        Of its source: of the file as it lies there, or of the names and digests of all files where it imports others
        of its own package or folder. Empty where no source can be read.

    """

    package: str
    sha256: str

    @classmethod
    def of(cls, plugin: object) -> "Origin | None":
        """Return where a class or function came from; None of what came with sepbench."""
        name, path = _module_of(plugin)
        if path is None:
            return cls(PACKAGE.get() or name, _digest_of_text(plugin))
        if is_ours(plugin):
            if path not in _untracked():
                return None
            return cls(path.relative_to(ROOT).as_posix(), source_digest(path, ROOT, name.rpartition(".")[0]))
        given = name.startswith(GIVEN_FILE) or name == "__main__"
        depth = 0 if given else name.count(".") + (path.name == "__init__.py")
        root = path.parents[min(depth, len(path.parents) - 1)]
        return cls(PACKAGE.get() or path.name, source_digest(path, root, "" if given else name.partition(".")[0]))


def is_ours(plugin: object) -> bool:
    """Tell whether a plug-in lies where those of sepbench do, also where it was added there."""
    name, path = _module_of(plugin)
    top = name.partition(".")[0]
    return path is not None and top in _OURS and path.is_relative_to(ROOT / top)


def file_of(plugin: object) -> Path | None:
    """Return the file that a class or function was defined in, None where there is none."""
    return _module_of(plugin)[1]


def _module_of(plugin: object) -> tuple[str, Path | None]:
    """Return the name and the file of the module that a class or function was defined in."""
    name = getattr(plugin, "__module__", None) or type(plugin).__module__
    file = getattr(sys.modules.get(name), "__file__", None)
    return name, None if file is None else Path(file).resolve()


def source_digest(file: Path, root: Path, within: str) -> str:
    """Return the hex SHA-256 of a module's source and of what it imports, below `root`, of the package `within`.

    Whatever lies below `root` where `within` is empty. Empty where a file cannot be read.
    """
    try:
        found = dict(_followed(file, root, within))
    except (OSError, SyntaxError, ValueError):
        return ""
    if len(found) == 1:
        return found[file]
    lines = [f"{path.relative_to(root).as_posix()} {digest}\n" for path, digest in sorted(found.items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _followed(file: Path, root: Path, within: str) -> Iterator[tuple[Path, str]]:
    seen, left = {file}, [file]
    while left:
        path = left.pop()
        yield path, file_digest(path)
        for name in _imported(path, root):
            if within and not f"{name}.".startswith(f"{within}."):
                continue
            for other in (root / f"{name.replace('.', '/')}.py", root / name.replace(".", "/") / "__init__.py"):
                if other not in seen and other.is_file():
                    seen.add(other)
                    left.append(other)


def _imported(path: Path, root: Path) -> Iterator[str]:
    """Yield the dotted names of what may be modules that a file imports."""
    package = path.parent.relative_to(root).parts
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = list(package[: len(package) - node.level + 1]) if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{one.name}" if base else one.name for one in node.names)


def _digest_of_text(plugin: object) -> str:
    """Return the digest of the text of what was defined at a prompt or in a notebook."""
    text: str | None
    try:
        text = inspect.getsource(plugin)  # type: ignore[arg-type]
    except (OSError, TypeError):
        text = _text_of_class(plugin)
    return hashlib.sha256(text.encode()).hexdigest() if text else ""


def _text_of_class(plugin: object) -> str | None:
    """Return the text of a class that lies in no file: its functions and its values; None where one cannot be read.

    Python looks for the text of a class in the file of its module, and for that of a function in what was typed.
    """
    if not isinstance(plugin, type):
        return None
    found = []
    for kind in (one for one in plugin.__mro__ if one.__module__ == plugin.__module__):
        for name, value in vars(kind).items():
            part = _text_of_value(name, value, kind)
            if part is None:
                return None
            found.append(part)
    return "".join(found)


def _text_of_value(name: str, value: object, kind: type) -> str | None:
    """Return the text of what a class holds under a name, empty where it has none; None where it cannot be read."""
    if isinstance(value, type):
        if value.__module__ != kind.__module__:
            return ""
        text = _text_of_class(value)
        return None if text is None else f"class {name}\n{text}"
    if name == "__pydantic_fields__":  # of parameters, which are no attributes any more
        fields: Mapping[str, Any] = value  # type: ignore[assignment]
        told = {field: (one.annotation, one.default, one.metadata) for field, one in fields.items()}
        return f"{told}\n"
    function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
    if inspect.isfunction(function):
        try:
            return inspect.getsource(function)
        except (OSError, TypeError):
            return None
    if name.startswith("__") or name == _OF_ABC or isinstance(value, _OF_PYTHON):
        return ""
    text = repr(sorted(value, key=repr) if isinstance(value, set | frozenset) else value)
    return None if _ADDRESS.search(text) else f"{name} = {text}\n"


@cache
def _untracked() -> frozenset[Path]:
    """Return those files among ours that git does not know: neither version nor commit tells of them."""
    names = git("ls-files", "--others", "--exclude-standard", "-z", "--", *_OURS)
    return frozenset(ROOT / name for name in (names or "").split("\0") if name)
