"""Which device does the work, and in which number format."""

import logging
import os
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
    if wanted != "auto":
        return wanted
    return "bf16" if _has_bf16(device) else "fp32"


def stated_precision(device: "torch.device", wanted: str = "auto") -> str:
    """Return the number format as records state it: `bf16`, `fp32`, or `tf32` where convolutions round to that.

    torch lets cuDNN round the inputs of float32 convolutions to TF32, 10 bits of mantissa, unless it is told not to.
    """
    used = precision(device, wanted)
    return "tf32" if used == "fp32" and _has_bf16(device) and _rounds_to_tf32() else used


def _rounds_to_tf32() -> bool:
    """Tell whether cuDNN may round the inputs of float32 convolutions."""
    from torch.backends import cudnn

    convolutions = getattr(cudnn, "conv", None)  # not in torch 2.6; where it is, the older setting may not be readable
    rounds = cudnn.allow_tf32 if convolutions is None else convolutions.fp32_precision == "tf32"
    return rounds and os.environ.get("NVIDIA_TF32_OVERRIDE") != "0"


def _has_bf16(device: "torch.device") -> bool:
    """Tell whether the matrix units of a device take bf16 (and TF32): those before Ampere only emulate it."""
    import torch

    # Not is_bf16_supported, which tells of the current device, and counts emulation.
    return device.type == "cuda" and (torch.version.hip is not None or torch.cuda.get_device_capability(device)[0] >= 8)


def sent(tensor: "torch.Tensor", device: "torch.device") -> "torch.Tensor":
    """Return a tensor on a device; a GPU is not waited for, which `Tensor.to` does unless the memory is pinned."""
    if device.type != "cuda" or tensor.device.type != "cpu" or not tensor.numel():
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def warn_of_failed_compile(error: Exception) -> None:
    """Say in one line that torch.compile failed, why, and what follows."""
    _LOG.warning("torch.compile failed (%s): networks run uncompiled, which is slower", _reason(error))


def warn_of_failed_capture(error: Exception) -> None:
    """Say in one line that the training pass could not be captured, why, and what follows."""
    _LOG.warning("CUDA graphs failed (%s): kernels are launched one by one, which is slower", _reason(error))


def _reason(error: Exception) -> str:
    cause = getattr(error, "inner_exception", error)
    return f"{type(cause).__name__}: {next(iter(str(cause).strip().splitlines()), '')}"
