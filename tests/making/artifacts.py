"""One small artifact, put into a store, compared and damaged."""

from pathlib import Path

import torch
from torch import Tensor

from bench.store.artifacts import Store

KIND, KEY = "surrogate", "0123456789abcdef" * 4


def weights(value: int) -> dict[str, Tensor]:
    return {"weight": torch.full((4, 3), float(value)), "steps": torch.tensor(value)}


def is_same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(a[k].dtype == b[k].dtype and torch.equal(a[k], b[k]) for k in a)


def commit(store: Store, value: int = 1) -> Path:
    """Put an artifact of two files into the store; return its folder."""
    draft = store.draft(KIND, KEY)
    draft.put("first", weights(value))
    draft.put("second", weights(value + 1))
    draft.commit({"value": value}, keep=["first", "second"])
    return store.root / KIND / KEY[:2] / KEY


def holds(store: Store, value: int = 1) -> bool:
    return (
        store.has(KIND, KEY)
        and store.meta(KIND, KEY) == {"value": value}
        and is_same(store.tensors(KIND, KEY, "first"), weights(value))
        and is_same(store.tensors(KIND, KEY, "second"), weights(value + 1))
    )


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path, position: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
