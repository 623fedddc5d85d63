"""Processes of a node that does not see the homes of tests: whatever lies there is missing, to Python."""

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HIDDEN, DAMAGED = "SEPBENCH_TEST_HIDDEN", "SEPBENCH_TEST_DAMAGED"
"""Variables: the folder below which no `home` is seen; a file with a byte for each answer that is to be damaged."""


def customize(folder: Path) -> None:
    """Have Python call `begin` before all else where `folder` is on its path."""
    (folder / "sitecustomize.py").write_text("from tests.making.hidden_home import begin; begin()")


def begin() -> None:
    """Do what the environment asks for."""
    if HIDDEN in os.environ:
        _hide(os.environ[HIDDEN])
    elif DAMAGED in os.environ:
        _damage(Path(os.environ[DAMAGED]))


def _hide(folder: str) -> None:
    def is_hidden(path: Any) -> bool:
        return isinstance(path, str | os.PathLike) and (
            (text := os.fspath(path)).startswith(folder) and "/home/" in f"{text.removeprefix(folder)}/"
        )

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("open", "os.listdir", "os.scandir", "os.mkdir", "os.rename") and is_hidden(arguments[0]):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(arguments[0]))

    def unless_hidden(look: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, **options: Any) -> Any:
            refuse("open", (path,))
            return look(path, **options)

        return call

    sys.addaudithook(refuse)
    os.stat, os.lstat = unless_hidden(os.stat), unless_hidden(os.lstat)


def _damage(file: Path) -> None:
    from bench.store.depot import Depot

    read = Depot.data

    def data(self: Depot, kind: str, key: str, name: str) -> bytes | str:
        answer = read(self, kind, key, name)
        if isinstance(answer, str) or not file.exists() or not file.stat().st_size:
            return answer
        file.write_bytes(file.read_bytes()[1:])
        return answer[:-1] + bytes([answer[-1] ^ 1])

    Depot.data = data  # type: ignore[method-assign]
