"""Paths that people give, checked once."""

import os
from pathlib import Path

from bench.api import SepbenchError


def existing_file(field: str, path: str) -> Path:
    """Return the file that `dataset.FIELD` names; raises `SepbenchError` where there is none."""
    if not Path(path).is_file():
        raise SepbenchError(f"dataset.{field} is {path}, and there is no such file: {_advice(path)}")
    return Path(path)


def existing_folder(field: str, path: str) -> Path:
    """Return the folder that `dataset.FIELD` names; raises `SepbenchError` where there is none."""
    if not Path(path).is_dir():
        raise SepbenchError(f"dataset.{field} is {path}, and there is no such folder: {_advice(path)}")
    return Path(path)


def _advice(path: str) -> str:
    data = os.environ.get("SEPBENCH_DATA")
    return "correct SEPBENCH_DATA or the path" if data and path.startswith(data) else "correct the path"
