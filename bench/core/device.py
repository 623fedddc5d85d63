"""Which device does the work, and in which number format."""

import logging
from typing import TYPE_CHECKING

from bench.core.errors import SepbenchError

if TYPE_CHECKING:
    import torch

_LOG = logging.getLogger("sepbench")


def choose_device(name: str) -> "torch.device":
    """Return the device called `name`; `auto` is the first GPU, or the CPU where there is none.

    Raises `SepbenchError` where the machine has no such device, or several are named.
    """
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda:0" if gpus else "cpu")
    if "," in name:
        raise SepbenchError(
            f"--devices {name}: one command works on one device; start it once per device with the same "
            f"SEPBENCH_HOME, and they share the work"
        )
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise SepbenchError(f"--devices {name}: there is no such device; write cpu, cuda or cuda:0") from error
    if device.type not in ("cpu", "cuda"):
        raise SepbenchError(f"--devices {name}: sepbench runs on cpu and cuda")
    if device.type == "cuda" and (device.index or 0) >= gpus:
        found = f"this machine has {gpus}" if gpus else "torch finds none on this machine"
        raise SepbenchError(f"--devices {name} asks for a GPU, and {found}: use --devices cpu, or see sepbench doctor")
    return torch.device("cuda", device.index or 0) if device.type == "cuda" else device


def precision(device: "torch.device", wanted: str = "auto") -> str:
    """Return the number format of matrix products on a device: `bf16` or `fp32`.

    `auto` is bf16 on GPUs that have it: crafting in it protects as well (the experiment cifar10-cpu-precision). On a
    CPU it is fp32, whose results do not depend on the model of the CPU.
    """
    import torch

    if wanted != "auto":
        return wanted
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"


def sent(tensor: "torch.Tensor", device: "torch.device") -> "torch.Tensor":
    """Return a tensor on a device; a GPU is not waited for, which `Tensor.to` does unless the memory is pinned."""
    if device.type != "cuda" or tensor.device.type != "cpu" or not tensor.numel():
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def warn_of_failed_compile(error: Exception) -> None:
    """Say in one line that torch.compile failed, why, and what follows."""
    cause = getattr(error, "inner_exception", error)
    reason = next(iter(str(cause).strip().splitlines()), "")
    kind = type(cause).__name__
    _LOG.warning("torch.compile failed (%s: %s): networks run uncompiled, which is slower", kind, reason)
