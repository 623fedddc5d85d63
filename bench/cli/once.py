"""Answers that take torch and seconds: worked out once, and given again at once while they still hold."""

import logging
import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from bench.contracts import places
from bench.core.beside import folders_of
from bench.core.heard import heard
from bench.store.answers import Answer

_LOG = logging.getLogger("sepbench")
_PACKAGES = ("bench", "methods", "victims")
_GROUPS = {place.group for place in (places.METHODS, places.ARCHITECTURES, places.DEFENSES, places.DATASETS)}
_OF_A_SHELL = {"_", "SHLVL", "PWD", "OLDPWD"}
_GPUS = "nvidia*", "dri/*", "kfd"


@dataclass(frozen=True)
class Made:
    """An answer as JSON.

    Attributes
    ----------
    further
        Files that it rests on besides those that were known before, and folders for the names in them.
    lasting
        Whether nothing decides it that nobody can ask for at once, such as what a server knows.

    """

    answer: Any
    further: Sequence[Path] = ()
    lasting: bool = True


def once(folder: Path, request: Any, rests_on: Sequence[Path], make: Callable[[], Made]) -> Any:
    """Return what `make` answers, or has answered before where nothing has changed since that decides it.

    That is: the request, files that it rests on, the code of sepbench, what is installed, the environment and the
    machine. Given anew each time are an answer with a warning of what may pass by itself, and all answers where another
    distribution adds plug-ins, or where this process has imported torch already: who calls from Python may have added
    some.

    Parameters
    ----------
    folder
        Where answers are kept.
    request
        What is asked for, as JSON.
    rests_on
        Files, and folders with all in them.
    make
        Answers, whatever that takes; its errors are not kept.

    """
    if "torch" in sys.modules:
        return make().answer
    code = [path for package in _PACKAGES for path in folders_of(package)]
    try:
        answer = Answer(folder, [request, _surroundings()], [*code, *rests_on])
    except OSError:  # the working directory is gone
        return make().answer
    known = answer.again()
    if known is not None:
        for sentence in known["warnings"]:
            _LOG.warning("%s", sentence)
        return known["answer"]
    with heard() as warnings:
        made = make()
    lasting = made.lasting and all(getattr(warning, "lasting", False) for warning in warnings)
    if lasting and not any(entry_points(group=group) for group in _GROUPS):
        told = {"answer": made.answer, "warnings": [warning.getMessage() for warning in warnings]}
        answer.keep(told, [*_installed(), *made.further])
    return made.answer


def users_cache() -> Path:
    """Return the folder of sepbench where this user's programs keep what they can make again."""
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 - also without a home
    return Path(caches) / "sepbench"


def _surroundings() -> Any:
    """Return what decides answers besides files: Python, the environment, and the machine, as homes are shared."""
    environment = {name: value for name, value in os.environ.items() if name not in _OF_A_SHELL}
    gpus = sorted(str(path) for pattern in _GPUS for path in Path("/dev").glob(pattern))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return [sys.version, sys.prefix, sys.path, str(Path.cwd()), environment, platform.node(), cores, gpus]


def _installed() -> list[Path]:
    """Return the folders that pip installs into: installing and removing changes the names in them."""
    known = [Path(path) for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    return [path for path in known if path.is_dir()]
