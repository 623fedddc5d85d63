"""The files of an artifact: tensors as safetensors, and the document that says what they are."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.store.sealed import Damage, read_files, seal

if TYPE_CHECKING:
    from torch import Tensor

META = "meta.json"
"""What the document is called."""


def sealed_meta(kind: str, key: str, files: Mapping[str, Any], meta: Mapping[str, Any]) -> bytes:
    """Return the document of an artifact: its meta data, and `size` and `sha256` of its files by their names."""
    return seal({"of": f"{kind} {key}", "files": dict(files), "meta": dict(meta)})


def read_meta(path: Path, kind: str, key: str) -> dict[str, Any]:
    """Return the document of an artifact; raises `Damage` where it is that of another one, moved here."""
    document = read_files(path)
    if document.get("of", f"{kind} {key}") != f"{kind} {key}":  # earlier versions did not say
        raise Damage(f"{path.name} is of another artifact")
    return document


def remove_all(paths: Iterable[Path]) -> None:
    """Remove files, as far as they are there."""
    for path in paths:
        path.unlink(missing_ok=True)


def encode(tensors: Mapping[str, "Tensor"]) -> bytes:
    """Return a safetensors file of tensors of any device and layout."""
    import torch
    from safetensors.torch import save

    # Copies: safetensors takes neither strided tensors nor two that share memory.
    return save(
        {
            name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
            for name, tensor in tensors.items()
        }
    )


def decode(path: Path, data: bytes, device: str) -> dict[str, "Tensor"]:
    """Return the tensors of a safetensors file called `path`, on a device; raises `Damage` where it is none."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    # From the bytes that were hashed: a mapped file could still change, or end in a SIGBUS when it is cut.
    try:
        tensors = load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise Damage(f"{path.name} is no valid safetensors file ({error})") from error
    return {name: tensor.to(device) for name, tensor in tensors.items()}
