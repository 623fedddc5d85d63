"""What every stage works with."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from bench.data.images import Splits
from bench.store.artifacts import Store


@dataclass(frozen=True)
class Workbench:
    """What every stage works with.

    Attributes
    ----------
    splits
        The clean data set, on the CPU.
    compile
        Whether networks train with torch.compile.
    on_progress
        Called with the finished fraction of the stage at each epoch, shard and step.
    on_safe_point
        Called where everything done so far has been saved; may raise `Stopped`.

    """

    splits: Splits
    store: Store
    device: torch.device
    compile: bool = False
    on_progress: Callable[[float], None] = lambda fraction: None
    on_safe_point: Callable[[], None] = lambda: None
