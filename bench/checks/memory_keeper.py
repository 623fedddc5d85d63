"""What a method keeps between rounds, without a disk."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor


class MemoryKeeper:
    """What a method keeps between rounds, in memory."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[dict[str, Tensor], dict[str, Any]]] = {}

    def put(self, name: str, tensors: Mapping[str, Tensor], info: Mapping[str, Any]) -> None:
        """Keep copies."""
        self._kept[name] = {key: tensor.clone() for key, tensor in tensors.items()}, dict(info)

    def names(self) -> list[str]:
        """Return what is kept."""
        return list(self._kept)

    def tensors(self, name: str) -> dict[str, Tensor]:
        """Return the tensors of a name."""
        return self._kept[name][0]

    def info(self, name: str) -> dict[str, Any]:
        """Return the rest."""
        return self._kept[name][1]

    def due(self) -> bool:
        """Return that it is never time to keep but when stopped."""
        return False
