"""Artifacts whose float32 matrices and kernels are kept as bfloat16, at half the size."""

import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save

from bench.core.disk import make_folder, writing
from bench.store.artifacts import Store
from bench.store.home import Home

ROUNDED = "rounded"
"""In the meta data of an artifact: the number format that its weights were rounded to."""


def is_rounded(store: Store, kind: str, key: str) -> bool:
    """Tell whether an artifact was rounded, here or on its way here; raises `CorruptArtifact` where it is damaged."""
    return ROUNDED in store.meta(kind, key)


def bytes_saved(folder: Path, names: list[str]) -> int:
    """Return how many bytes fewer the named files of an artifact would take; of one that is damaged, none."""
    try:
        return sum(_saved(folder / f"{name}.safetensors") for name in names)
    except (OSError, SafetensorError):
        return 0


def keep_rounded(home: Home, kind: str, key: str) -> None:
    """Put the rounded artifact in the place of the exact one; whoever calls holds its lock.

    Vectors, such as the statistics of batch norm, stay as they are. A kill leaves one or the other, or what was moved
    out of the way, never a part of both.

    Raises
    ------
    CorruptArtifact
        A file of it is damaged.

    """
    store, meta = home.store, home.store.meta(kind, key)
    other = Store(home.incoming / f"rounding-{secrets.token_hex(8)}")
    try:
        draft = other.draft(kind, key)
        for name in store.names(kind, key):
            draft.put_data(name, _halved(store.data(kind, key, name)))
        draft.commit({**meta, ROUNDED: "bf16"}, store.names(kind, key))
        aside = store.root / "set-aside" / f"removed-{key}-{time.time_ns()}"
        with writing(store.root):
            make_folder(aside.parent)
            store.folder(kind, key).rename(aside)
            try:
                store.adopt(kind, key, other)
            except BaseException:
                if not store.folder(kind, key).exists():
                    aside.rename(store.folder(kind, key))
                raise
            shutil.rmtree(aside)
    finally:
        shutil.rmtree(other.root, ignore_errors=True)
        with suppress(OSError):  # something else is being brought
            home.incoming.rmdir()


def _halved(data: bytes) -> bytes:
    tensors = load(data)
    return save({name: one.bfloat16() if _is_matrix(one.dtype, one.shape) else one for name, one in tensors.items()})


def _saved(path: Path) -> int:
    with safe_open(path, framework="pt") as file:
        return sum(_bytes_saved(file.get_slice(name)) for name in _names(file))


def _names(file: object) -> Iterator[str]:
    yield from file.keys()  # type: ignore[attr-defined]


def _bytes_saved(part: object) -> int:
    shape = part.get_shape()  # type: ignore[attr-defined]
    matrix = part.get_dtype() == "F32" and len(shape) > 1  # type: ignore[attr-defined]
    return 2 * int(torch.Size(shape).numel()) if matrix else 0


def _is_matrix(dtype: torch.dtype, shape: torch.Size) -> bool:
    return dtype == torch.float32 and len(shape) > 1
