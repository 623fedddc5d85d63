"""Plug-ins in a file that somebody names: `--plugin FILE.py`."""

import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.contracts.registries import REGISTRIES
from bench.core.broken import Broken
from bench.core.errors import SepbenchError
from bench.core.origin import GIVEN_FILE
from bench.core.paths import file_digest
from bench.core.registry import BrokenPlugin, Registry

_ATTACHED: dict[Path, str] = {}


def attach(files: Iterable[Path | str]) -> list[tuple[str, str]]:
    """Read plug-ins from files, so that experiments may name them like any other for as long as this process lives.

    A file that is what it was when it was read before is not read again. What it imports may lie beside it.

    Returns
    -------
    Kind, as in `REGISTRIES`, and name of every plug-in of these files.

    Raises
    ------
    BrokenPlugin
        A file cannot be imported, or a plug-in in it breaks its contract.
    SepbenchError
        There is no such file, it registers nothing, or a name in it is another's already. Nothing of that file stays.

    """
    return [one for file in files for one in _attach(Path(file))]


def attached() -> dict[str, str]:
    """Return the digests of the files that `attach` has read, by their paths."""
    return {str(path): digest for path, digest in _ATTACHED.items()}


def attach_again(files: Mapping[str, str]) -> None:
    """Read the files that another process has read; raises `SepbenchError` where one has changed since."""
    for path, digest in files.items():
        if file_digest(Path(path)) != digest:
            raise SepbenchError(f"{path} changed after the run began: run the same command again")
    attach(files)


def _attach(file: Path) -> Iterator[tuple[str, str]]:
    if file.suffix != ".py":
        raise SepbenchError(f"{file} is no Python file: name one that ends in .py")
    if not file.is_file():
        raise SepbenchError(f"there is no plug-in file {file}: check the path")
    path = file.resolve()
    if not _is_read(path):
        with ExitStack() as undo:
            for registry in REGISTRIES.values():
                undo.enter_context(registry.as_before_on_failure())
                registry.forget_file(path)
            digest = _read(path)
            for registry in REGISTRIES.values():
                _check_names(file, path, registry)
            if not any(registry.of_file(path) for registry in REGISTRIES.values()):
                raise SepbenchError(
                    f'{file} registers no plug-in: write @METHODS.register("NAME") over its class, or the like with '
                    f"DEFENSES, ARCHITECTURES or DATASETS"
                )
        _ATTACHED[path] = digest
    for kind, registry in REGISTRIES.items():
        yield from ((kind, name) for name in registry.of_file(path))


def _is_read(path: Path) -> bool:
    """Tell whether the plug-ins of a file are known, as it is now, or as one of those that the harness finds itself."""
    known = any(registry.of_file(path) or registry.refused_of_file(path) for registry in REGISTRIES.values())
    return known and (path not in _ATTACHED or _ATTACHED[path] == file_digest(path))


def _read(path: Path) -> str:
    """Execute a file as a module of its own and return its digest."""
    name = f"{GIVEN_FILE}{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    try:
        data = path.read_bytes()
        with _importable(path.parent), redirect_stdout(sys.stderr):
            # Not by a loader: bytecode of an edit within the same second would be that of before.
            exec(compile(data, str(path), "exec"), vars(module))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # of sys.exit, too
        del sys.modules[name]
        raise BrokenPlugin(str(Broken.file("plug-in", str(path), error))) from error
    return hashlib.sha256(data).hexdigest()


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let the block import what lies in a folder, unless something of that name is there without it."""
    sys.path.append(str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _check_names(file: Path, path: Path, registry: Registry[Any]) -> None:
    for one in registry.refused_of_file(path):
        if one.holder is not None:
            raise SepbenchError(
                f"{file} calls a {registry.kind} '{one.name}', which is the name of {one.holder}: give it another name"
            )
        raise BrokenPlugin(str(one.broken))
