"""How much memory autograd keeps for backward passes: what decides how many images a device can hold at a time."""

import weakref
from collections import Counter
from collections.abc import Callable

from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks


class _Held:
    """A tensor that is kept, for as long as it is."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def most_kept(call: Callable[..., object], *arguments: object) -> int:
    """Return the most bytes that autograd keeps at a time while something is called; memory that is shared counts once.

    What is compiled keeps less than the same, eager.
    """
    holders: Counter[int] = Counter()
    now = most = 0

    def keep(tensor: Tensor) -> _Held:
        nonlocal now, most
        storage, held = tensor.untyped_storage(), _Held(tensor)
        place, size = storage._cdata, storage.nbytes()
        now += 0 if holders[place] else size
        most = max(most, now)
        holders[place] += 1
        weakref.finalize(held, let_go, place, size)
        return held

    def let_go(place: int, size: int) -> None:
        nonlocal now
        holders[place] -= 1
        now -= 0 if holders[place] else size

    with saved_tensors_hooks(keep, lambda held: held.tensor):
        call(*arguments)
    return most
