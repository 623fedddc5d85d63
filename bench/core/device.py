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
    if "," in name or name == "all":
        raise SepbenchError(f"--devices {name}: this command works on one device; write cpu, cuda or cuda:0")
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


def choose_devices(names: str) -> "list[torch.device]":
    """Return the devices of `cuda:0,cuda:1`, of any one name that `choose_device` knows, or of `all`: every GPU.

    A name that stands there twice is two processes on that device. Raises `SepbenchError` where the machine lacks one,
    or where GPUs stand beside a CPU, whose results differ from theirs in the last bits.
    """
    import torch

    if names == "all":
        gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
        return [torch.device("cuda", index) for index in range(gpus)] or [torch.device("cpu")]
    parts = [part.strip() for part in names.split(",")]
    if len(parts) == 1:
        return [choose_device(names)]
    if not all(parts) or "all" in parts:
        raise SepbenchError(f"--devices {names}: write devices with commas between them, such as cuda:0,cuda:1, or all")
    devices = [choose_device(part) for part in parts]
    if len({device.type for device in devices}) > 1:
        raise SepbenchError(
            f"--devices {names}: name GPUs or the CPU, not both, as their results differ in the last bits"
        )
    return devices


def precision(device: "torch.device", wanted: str = "auto") -> str:
    """Return the number format of matrix products on a device: `bf16` or `fp32`.

    `auto` is bf16 on GPUs that have it: crafting in it protects as well (the experiment cifar10-cpu-precision). On a
    CPU it is fp32, whose results do not depend on the model of the CPU.
    """
    import torch

    if wanted != "auto":
        return wanted
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"


def warn_of_failed_compile(error: Exception) -> None:
    """Say in one line that torch.compile failed, why, and what follows."""
    cause = getattr(error, "inner_exception", error)
    reason = next(iter(str(cause).strip().splitlines()), "")
    kind = type(cause).__name__
    _LOG.warning("torch.compile failed (%s: %s): networks run uncompiled, which is slower", kind, reason)
