"""A device that holds no values: whatever reads one, or copies from the host, is noted with the place that does."""

import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

UNREAD = torch.device("meta")
_OURS = Path(__file__).parents[2]
_READS = {"_local_scalar_dense", "equal", "is_nonzero", "nonzero", "masked_select", "_unique2", "bincount"}
_MAKE = {torch.tensor, torch.as_tensor, Tensor.new_tensor}
_BY_MASK = {"index", "index_put", "index_put_"}


class Unread(TorchDispatchMode):
    """Notes in the block what would have a GPU waited for.

    Attributes
    ----------
    reads, copies
        How often a value was read, and a tensor copied to the device or back, by the line of ours that asked for it.

    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.reads: Counter[str] = Counter()
        self.copies: Counter[str] = Counter()
        self._making = _Making(self.copies)

    def __enter__(self) -> "Unread":
        self._making.__enter__()  # type: ignore[no-untyped-call]
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        self._making.__exit__(*error)  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self, operator: Any, types: Any, given: tuple[Any, ...] = (), named: Mapping[str, Any] | None = None
    ) -> Any:
        name = operator._schema.name.removeprefix("aten::")
        tensors = [one for one in tree_leaves(given) if isinstance(one, Tensor)]
        by_mask = name in _BY_MASK and any(one.dtype == torch.bool for one in tensors[1:])
        if (name in _READS or by_mask) and any(one.device == UNREAD for one in tensors):
            self.reads[_asked_by()] += 1
            return _answer(name, tensors[0])
        if name == "_standard_gamma":  # which torch 2.6 does not know there
            return torch.empty_like(given[0])
        made = operator(*given, **(named or {}))
        # A single number of the host goes along with the launch.
        large = [one for one in (*tensors, made) if isinstance(one, Tensor) and (one.dim() or "copy" in name)]
        if len({one.device for one in large}) > 1:
            self.copies[_asked_by()] += 1
        return made


class _Making(TorchFunctionMode):
    """Notes what is made of numbers of the host: no operator tells of that copy."""

    def __init__(self, copies: Counter[str]) -> None:
        super().__init__()
        self._copies = copies

    def __torch_function__(
        self, function: Any, types: Any, given: tuple[Any, ...] = (), named: Mapping[str, Any] | None = None
    ) -> Any:
        made = function(*given, **(named or {}))
        if function in _MAKE and made.device == UNREAD:
            self._copies[_asked_by()] += 1
        return made


class _Generator(torch.Generator):
    """Draws nothing that anybody could read."""

    device = UNREAD


def train_unread(patch: pytest.MonkeyPatch) -> None:
    """Let networks train on `UNREAD`, which knows neither generators nor autocast."""
    patch.setattr("bench.engine.training._device_generator", lambda *purpose: _Generator())
    patch.setattr(torch, "autocast", lambda *how, **more: nullcontext())
    patch.setattr(torch, "get_autocast_dtype", lambda kind: torch.bfloat16)
    patch.setattr(torch, "is_autocast_enabled", lambda kind=None: False)


def _answer(name: str, asked: Tensor) -> Any:
    """Return what may stand for a value that is not there."""
    if name == "_local_scalar_dense":
        return True if asked.dtype == torch.bool else torch.zeros((), dtype=asked.dtype).item()
    if name in ("equal", "is_nonzero"):
        return True
    raise AssertionError(f"{_asked_by()} asks for as many values as {name} finds, which a GPU has to be waited for")


def _asked_by() -> str:
    frame = sys._getframe(1)
    while frame.f_back is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(_OURS) and path.relative_to(_OURS).parts[0] in ("bench", "victims", "methods"):
            return f"{path.relative_to(_OURS)}:{frame.f_code.co_name}"
        frame = frame.f_back
    return "elsewhere"
