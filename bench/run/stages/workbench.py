"""What every stage works with."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch

from bench.data.images import Splits
from bench.plan.plugin_sources import Sources
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
    sources
        Who reads the data set, where that did not come with sepbench.
    looks_twice
        Whether a few images of a method that did not come with sepbench are crafted a second time, to see whether its
        promises hold.
    claim
        Takes a part of the stage, by its name, until the end of the block; yields whether nobody else has it.

    """

    splits: Splits
    store: Store
    device: torch.device
    compile: bool = False
    on_progress: Callable[[float], None] = lambda fraction: None
    on_safe_point: Callable[[], None] = lambda: None
    sources: Sources = field(default_factory=dict)
    looks_twice: bool = False
    claim: Callable[[str], AbstractContextManager[bool]] = lambda part: nullcontext(enter_result=True)
