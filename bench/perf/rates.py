"""What a device does at best: multiply matrices, and move bytes."""

import time
from collections.abc import Callable

import torch

_TIMES = 5


def matmul_flops_per_second(precision: str, device: torch.device) -> float:
    """Return the rate of one large square matrix product in `fp32` or `bf16`, the best of five."""
    side = 8192 if device.type == "cuda" else 1024
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    # Random numbers: of equal ones a GPU takes less power, and clocks higher than it does at work.
    a = torch.randn(side, side, device=device).to(dtype)
    return 2 * side**3 / _best_seconds(lambda: a @ a, device)


def copy_bytes_per_second(device: torch.device) -> float:
    """Return the bytes that copies within the memory of a device read and write a second, the best of five."""
    count = 2**29 if device.type == "cuda" else 2**27  # several times its caches
    source = torch.zeros(count, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * count / _best_seconds(lambda: target.copy_(source), device)


def upload_bytes_per_second(device: torch.device, *, pinned: bool) -> float:
    """Return the bytes that reach a GPU from the CPU a second, of memory that is pinned or not, the best of five."""
    count = 2**27
    source = torch.zeros(count, dtype=torch.uint8, pin_memory=pinned)
    target = torch.empty(count, dtype=torch.uint8, device=device)
    return count / _best_seconds(lambda: target.copy_(source), device)


def wait_for(device: torch.device) -> None:
    """Wait until a device has done what it was given; a CPU has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _best_seconds(work: Callable[[], object], device: torch.device) -> float:
    best = float("inf")
    for _ in range(_TIMES):
        wait_for(device)
        began = time.perf_counter()
        work()
        wait_for(device)
        best = min(best, time.perf_counter() - began)
    return best
