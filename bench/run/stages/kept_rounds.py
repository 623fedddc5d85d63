"""Where a method that crafts, or prepares, in rounds keeps its state: in the stage's draft, with the time it took."""

import time
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from torch import Tensor

from bench.store.draft import Draft

_EVERY_SECONDS = 20.0
_SHARE = 0.05
"""Of the time that keeping may take."""


class KeptRounds:
    """The state of a method in a draft, which outlives the process.

    Parameters
    ----------
    draft
        Of the stage; what an earlier process kept counts in `seconds`.

    """

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._began, self._last, self._took = time.perf_counter(), time.perf_counter(), 0.0

    @cached_property
    def before(self) -> float:
        """What crafting took in earlier processes, up to what they kept last."""
        return max((self._draft.info(name)["seconds"] for name in self.names()), default=0.0)

    @property
    def seconds(self) -> float:
        """What crafting took so far, in earlier processes too."""
        return self.before + time.perf_counter() - self._began

    def put(self, name: str, tensors: Mapping[str, Tensor], info: Mapping[str, Any]) -> None:
        """Keep tensors under a name, with some JSON beside them, in place of earlier ones."""
        began = time.perf_counter()
        self._draft.put(name, tensors, {**info, "seconds": self.seconds})
        self._last = time.perf_counter()
        self._took = self._last - began

    def names(self) -> list[str]:
        """Return the names that can be read back."""
        return [name for name in self._draft.names() if name.startswith("state-")]

    def tensors(self, name: str) -> dict[str, Tensor]:
        """Return the tensors of a name, on the CPU."""
        return self._draft.tensors(name)

    def info(self, name: str) -> dict[str, Any]:
        """Return the JSON of a name."""
        return self._draft.info(name)

    def due(self) -> bool:
        """Return whether it is time to keep again: no more often than it is worth."""
        return time.perf_counter() - self._last > max(_EVERY_SECONDS, self._took / _SHARE)
