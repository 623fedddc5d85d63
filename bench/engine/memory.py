"""The memory that training and crafting take and free again: at every step on a CPU, after a stage on a GPU."""

import ctypes
import gc
import resource
import sys

import torch

# Parameters of mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4


def keep_freed_memory() -> bool:
    """Let this process keep the memory it frees, for its next step; return whether it does.

    glibc gives large blocks back to the system, which has to clear every page of them when the next step takes them
    again. Other C libraries cannot be told.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    # Blocks below 1 GiB come from the heap, all of them where an older glibc takes no threshold above 32 MiB; and what
    # is free at the end of the heap stays there.
    on_heap = mallopt(_MMAP_THRESHOLD, 2**30) or mallopt(_MMAP_MAX, 0)
    return bool(on_heap and mallopt(_TRIM_THRESHOLD, -1))


def peak_memory_mb() -> float:
    """Return the most memory that this process has held so far, in MiB."""
    unit = 1 if sys.platform == "darwin" else 2**10  # macOS counts bytes, Linux KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def give_back(device: torch.device) -> None:
    """Leave the memory of a GPU that nothing uses any more to other processes; on a CPU, do nothing.

    What was compiled, captured or failed refers to itself, and holds its network until Python looks for such.
    """
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
