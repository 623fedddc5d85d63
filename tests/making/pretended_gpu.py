"""A GPU that is none: tensors say that they are on it, a CPU computes them, and what would wait for it is noted."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock
from weakref import WeakSet

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

GPU = torch.device("cuda", 0)

READ, BACK, SENT, MASKED = "a number is read", "a tensor is brought back", "unpinned memory is sent", "a mask selects"
SOLVED, EXPONENTIAL = "a solver tells of errors", "the norm of a matrix chooses a formula"

_aten = torch.ops.aten
_WAITING = {
    _aten._local_scalar_dense.default: READ,
    _aten.equal.default: READ,
    _aten.bincount.default: READ,
    _aten.repeat_interleave.Tensor: READ,
    _aten.nonzero.default: MASKED,
    _aten.masked_select.default: MASKED,
    _aten._unique2.default: MASKED,
    _aten.unique_dim.default: MASKED,
    _aten._linalg_check_errors.default: SOLVED,
    _aten.linalg_matrix_exp.default: EXPONENTIAL,
}
_AT_POSITIONS = (
    _aten.index.Tensor,
    _aten.index_put.default,
    _aten.index_put_.default,
    _aten._index_put_impl_.default,
)


class OnGPU(Tensor):
    """A tensor that says it is on a GPU; `held` is it on the CPU."""

    held: Tensor
    device = property(lambda self: GPU)
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, held: Tensor) -> "OnGPU":
        made: OnGPU = Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=torch.device("meta"),  # of any other that is none, autograd looks for the threads
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Refuse: outside `pretended_gpu` there is none."""
        raise AssertionError(f"{func} on the pretended GPU, outside of its block")


class _Computing(TorchDispatchMode):
    """Computes on the CPU what is asked of the GPU."""

    def __init__(self, waits: Counter[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.waits = waits
        self.pinned: WeakSet[Any] = WeakSet()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is _aten.is_pinned.default:
            return args[0].untyped_storage() in self.pinned
        if func is _aten._pin_memory.default:
            copy = args[0].clone()
            self.pinned.add(copy.untyped_storage())
            return copy
        asked = kwargs.get("device")
        there = any(isinstance(one, OnGPU) for one in tree_leaves((args, kwargs)))
        lands = there if asked is None else torch.device(asked).type != "cpu"
        self._note(func, args, kwargs, there, lands)
        if asked is not None:
            kwargs["device"] = torch.device("cpu")
        kwargs.pop("pin_memory", None)
        inner, inner_kwargs = tree_map(lambda one: one.held if isinstance(one, OnGPU) else one, (args, kwargs))
        found = func(*inner, **inner_kwargs)
        if func._schema.name.endswith("_") and isinstance(found, Tensor):  # in place
            return args[0]
        return tree_map(lambda one: OnGPU(one) if isinstance(one, Tensor) else one, found) if lands else found

    def _note(self, func: Any, args: Any, kwargs: Any, there: bool, lands: bool) -> None:
        if there and func in _WAITING:
            self.waits[_WAITING[func]] += 1
        if func is _aten._to_copy.default:
            self._move(args[0], there, lands, bool(kwargs.get("non_blocking")))
        if func is _aten.copy_.default:
            into, source, *rest = args
            self._move(source, isinstance(source, OnGPU), isinstance(into, OnGPU), bool(rest and rest[0]))
        if func in _AT_POSITIONS and isinstance(args[0], OnGPU):
            for positions in (one for one in args[1] if one is not None):
                self.waits[MASKED] += positions.dtype in (torch.bool, torch.uint8)
                self._move(positions, isinstance(positions, OnGPU), True, False)

    def _move(self, source: Tensor, there: bool, lands: bool, non_blocking: bool) -> None:
        if there and not lands:
            self.waits[BACK] += 1
        if lands and not there and source.numel():
            self.waits[SENT] += not (non_blocking and source.untyped_storage() in self.pinned)


@contextmanager
def pretended_gpu(free: int = 2**34, cached: int = 0, processors: int = 132) -> Iterator[Counter[str]]:
    """Let `cuda:0` be a device in the block; yields how often the process would wait for it, by reasons.

    Nothing is compiled for it. `free` bytes of it are, beside those that torch has `cached`.
    """
    waits: Counter[str] = Counter()
    stands_in: dict[str, Any] = {
        "_lazy_init": lambda: None,
        "get_rng_state": lambda *_: torch.zeros(0),
        "set_rng_state": lambda *_: None,
        "mem_get_info": lambda *_: (free, 2**35),
        "memory_reserved": lambda *_: cached + 2**20,
        "memory_allocated": lambda *_: 2**20,
        "get_device_capability": lambda *_: (7, 5),
        "get_device_properties": lambda *_: SimpleNamespace(multi_processor_count=processors),
    }
    with (
        mock.patch.multiple(torch.cuda, **stands_in),
        mock.patch("bench.engine.ensemble.backend_for", return_value=None),
        _Computing(waits),
    ):
        yield waits
