"""Files of weights as people publish them: tensors by name, within whatever else was saved with them."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from bench.api import SepbenchError, refuse_inflated, what_it_is

Tensors = dict[str, Tensor]

_DEPTH = 5  # of wrappers within one another


class _Inert:
    """Stands for an object that is no tensor, such as the arguments of a script: its class is never imported."""

    def __new__(cls, *arguments: Any, **fields: Any) -> "_Inert":
        return super().__new__(cls)

    def __init__(self, *arguments: Any, **fields: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def _empty(*arguments: Any) -> dict[Any, Any]:
    """Return what stands for an empty mapping with defaults, to be filled."""
    return {}


def read_states(path: Path) -> list[tuple[str, Tensors]]:
    """Return every mapping of names to tensors in a file, on the CPU, with the wrappers that it lies in.

    Nothing in the file is run. Wrappers are joined by points, such as `ema.state_dict`; a file that is a mapping of
    tensors has none, and an empty text. Raises `SepbenchError` where there is no mapping of tensors.
    """
    refuse_inflated(path)
    try:
        content = load_file(path) if path.suffix == ".safetensors" else _load(path)
    except SepbenchError:
        raise
    except Exception as error:  # what a broken file makes of a reader is without bounds
        named = what_it_is(path) or "cannot be read as weights: save a dictionary of tensors"
        raise SepbenchError(f"pretrained: {path} {named}") from error
    found = list(_states(content, (), set()))
    if not found:
        whole = next(_inert(content, 0, set()), None)
        what = "no dictionary of tensors" if whole is None else f"a whole pickled object ({whole})"
        raise SepbenchError(f"pretrained: {path} holds {what}: save the network's state_dict()")
    return found


def _load(path: Path) -> Any:
    try:
        foreign = get_unsafe_globals_in_checkpoint(path)
    except ValueError as error:
        if "torchscript" in str(error):
            raise SepbenchError(
                f"pretrained: {path} holds a TorchScript program: save the network's state_dict()"
            ) from error
        foreign = []  # saved by old versions of torch
    stands_for = {name: type(name, (_Inert,), {}) for name in foreign} | {"collections.defaultdict": _empty}
    with safe_globals([(stand_in, name) for name, stand_in in stands_for.items()]):
        return torch.load(path, map_location="cpu", weights_only=True)


def _states(content: Any, wrappers: tuple[str, ...], seen: set[int]) -> Iterator[tuple[str, Tensors]]:
    if id(content) in seen:  # a small file may hold a list of lists without end
        return
    seen.add(id(content))
    if isinstance(content, Mapping):
        tensors = {name: value for name, value in content.items() if isinstance(name, str) and _is_here(value)}
        if tensors:
            yield ".".join(wrappers), tensors
    for name, value in _parts(content) if len(wrappers) < _DEPTH else ():
        yield from _states(value, (*wrappers, str(name)), seen)


def _is_here(value: Any) -> bool:
    return isinstance(value, Tensor) and value.device.type == "cpu"  # others of a file have no numbers


def _inert(content: Any, depth: int, seen: set[int]) -> Iterator[str]:
    if id(content) in seen:
        return
    seen.add(id(content))
    if isinstance(content, _Inert):
        yield type(content).__name__
    for _, value in _parts(content) if depth < _DEPTH else ():
        yield from _inert(value, depth + 1, seen)


def _parts(content: Any) -> list[tuple[Any, Any]]:
    if isinstance(content, Mapping):
        return list(content.items())
    return list(enumerate(content)) if isinstance(content, list | tuple) else []


def is_averaged(where: str) -> bool:
    """Return whether a name says that weights are a moving average over training."""
    return "ema" in re.split(r"[^a-z]+", where.lower())
