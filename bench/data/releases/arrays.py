"""Arrays in files of NumPy and torch, read without running what else may be in them."""

import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import SepbenchError
from bench.core.impostors import what_it_is
from bench.data.array_heads import ArrayHead, head_of, refuse_inflated, refuse_large
from bench.data.formats._texts import checked_text

_VALUES = (
    "images",
    "x_train",
    "train_images",
    "data",
    "x",
    "perturbation",
    "perturbations",
    "noise",
    "delta",
    "poison",
)
_LABELS = ("labels", "y_train", "train_labels", "targets", "y", "label")
"""What a file calls its images or perturbations, and their labels, where it holds several arrays; the first counts."""

_NUMBERS = "biuf"
_DEEPEST = 4


@dataclass(frozen=True, eq=False)
class Arrays:
    """What a file holds of a protected set.

    Attributes
    ----------
    values
        Images or perturbations of any numeric type, the first axis counts them.
    labels
        Whole numbers or names of classes, [N]; None where there are none.
    classes
        Class names; None where there are none.
    what
        What messages call the values.
    unread
        The name of what may be labels and cannot be taken for them.

    """

    values: NDArray[Any]
    labels: NDArray[Any] | None
    classes: tuple[str, ...] | None
    what: str
    unread: str | None = None


def read_npy(path: Path) -> Arrays:
    """Read the one array that `numpy.save` wrote, as a map of the file: nothing is allocated."""
    with _reading(path, "an array of numbers, as numpy.save writes it"):
        with path.open("rb") as file:
            head = head_of(file)
        _check(path, path.name, head)
        return Arrays(np.load(path, mmap_mode="r", allow_pickle=False), None, None, path.name)


def read_npz(path: Path) -> Arrays:
    """Read images or perturbations, labels and class names from what `numpy.savez` wrote."""
    with _reading(path, "an archive of plain arrays, as numpy.savez writes it"):
        with zipfile.ZipFile(path) as archive:
            heads: dict[str, ArrayHead] = {}
            for name in archive.namelist():
                if name.endswith(".npy"):
                    with archive.open(name) as member:
                        heads[name.removesuffix(".npy")] = head_of(member)
        if not heads and (named := what_it_is(path)):
            raise SepbenchError(f"{path} {named}")
        values, labels = _chosen(path, heads)
        unread = labels if labels is not None and not _for_each(heads[values], heads[labels]) else None
        labels = None if unread else labels
        with np.load(path, allow_pickle=False) as archive:
            for name, head in heads.items():
                if name in (values, labels, "classes"):
                    _check(path, f"'{name}' of {path.name}", head, text=name != values)
            read = {values, labels, "classes"} & {*heads}
            refuse_large(path, str(path), [heads[name] for name in read if name is not None])
            names = _text(archive["classes"], f"'classes' of {path.name}") if "classes" in heads else None
            found = None if labels is None else read_labels(archive[labels], f"'{labels}' of {path.name}")
            return Arrays(
                values=archive[values],
                labels=found,
                classes=None if names is None or names.ndim != 1 else tuple(map(str, names.tolist())),
                what=f"'{values}' of {path.name}",
                unread=labels if found is None and labels else unread,
            )


def read_torch(path: Path) -> Arrays:
    """Read a tensor, or a dictionary or list that holds one, as `torch.save` wrote it; no other object is made."""
    import torch

    if not zipfile.is_zipfile(path):
        named = what_it_is(path)
        raise SepbenchError(
            f"{path} {named}"
            if named
            else f"{path} is not a file as torch.save has written them since 1.6: load it and save its tensor again"
        )
    refuse_inflated(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of tensors that nobody reads, such as sparse ones
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # what a broken file makes of a reader is without bounds
        raise SepbenchError(
            f"{path} cannot be read as tensors alone, and other objects could run code: save just the tensor, as "
            f"torch.save(tensor, FILE) does"
        ) from error
    found = dict(_tensors(content, "", set()))
    heads = {name: _member(tensors) for name, tensors in found.items()}
    values, labels = _chosen(path, heads)
    what = f"'{values}' of {path.name}" if values else path.name
    _check(path, what, heads[values])
    own = None
    if labels is not None and _for_each(heads[values], heads[labels]):
        _check(path, f"'{labels}' of {path.name}", heads[labels])
        own = read_labels(_array(found[labels]))
    return Arrays(_array(found[values]), own, None, what, labels if own is None else None)


READERS = {".npy": read_npy, ".npz": read_npz, ".pt": read_torch, ".pth": read_torch}
"""By the ending of a file."""


def _tensors(content: Any, name: str, seen: set[int], depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield every tensor with the way to it, or the list of those that are one together; numbers in a list are one.

    What stands in several places is found in the first: a small file may hold a list of lists without end.
    """
    import torch

    if id(content) in seen:
        return
    seen.add(id(content))
    if isinstance(content, torch.Tensor):
        if _is_plain(content):
            yield name, content.detach()
    elif depth < _DEEPEST and isinstance(content, Mapping):
        for key, value in content.items():
            yield from _tensors(value, f"{name}.{key}" if name else str(key), seen, depth + 1)
    elif depth < _DEEPEST and isinstance(content, list | tuple) and content:
        if all(isinstance(one, int) for one in content):
            if all(-(2**63) <= one < 2**63 for one in content):
                yield name, torch.tensor(content)
        elif all(isinstance(one, torch.Tensor) and one.ndim == 3 and _is_plain(one) for one in content):
            if len({(one.shape, one.dtype) for one in content}) == 1:
                yield name, [one.detach() for one in content]
        else:
            for number, value in enumerate(content):
                yield from _tensors(value, f"{name}[{number}]", seen, depth + 1)


def _is_plain(tensor: Any) -> bool:
    """Tell whether a tensor holds real numbers, one for each place, in a type that can be widened."""
    import torch

    if tensor.device.type != "cpu" or tensor.is_nested or tensor.is_neg():  # without numbers, or as views of others
        return False
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex():
        return False
    return bool(tensor.dtype.is_floating_point) or _numpy_type(tensor.dtype) is not None


def _numpy_type(dtype: Any) -> np.dtype[Any] | None:
    """Return NumPy's own type of the same numbers; None where it has none, such as for bfloat16 and float8."""
    import torch

    try:
        return torch.empty(0, dtype=dtype).numpy().dtype
    except (TypeError, RuntimeError):
        return None


def _member(tensors: Any) -> ArrayHead:
    """Return what can be said of a tensor, or of a list of equal ones, before anything is made of it."""
    one, count = (tensors[0], (len(tensors),)) if isinstance(tensors, list) else (tensors, ())
    return ArrayHead((*count, *one.shape), _numpy_type(one.dtype) or np.dtype(np.float32))


def _array(tensors: Any) -> NDArray[Any]:
    import torch

    tensor = torch.stack(tensors) if isinstance(tensors, list) else tensors
    array: NDArray[Any] = (tensor.float() if _numpy_type(tensor.dtype) is None else tensor).numpy()
    return array


def _text(array: NDArray[Any], what: str) -> NDArray[Any]:
    """Return names that are stored as bytes as text; raises `SepbenchError` where they are damaged."""
    return np.char.decode(array, "utf-8", "replace") if array.dtype.kind == "S" else checked_text(array, what)


def read_labels(array: NDArray[Any], what: str = "labels") -> NDArray[Any] | None:
    """Return whole numbers or names of classes, [N]; None where an array has neither.

    Floats that are whole, and rows with a single one in the place of the class, count as numbers. Raises
    `SepbenchError` where text is damaged, naming `what`.
    """
    array = _text(np.asarray(array), what)
    if array.ndim == 2 and array.shape[1] > 1:
        if array.dtype.kind not in _NUMBERS or not (((array == 0) | (array == 1)).all() and (array.sum(1) == 1).all()):
            return None
        positions: NDArray[np.int64] = array.argmax(1)
        return positions
    array = array.reshape(-1)
    if array.dtype.kind == "f":
        whole = np.isfinite(array).all() and (array == np.rint(array)).all() and (np.abs(array) < 2**53).all()
        return array.astype(np.int64) if whole else None
    return array if array.dtype.kind in "iuU" else None


def _chosen(path: Path, heads: Mapping[str, ArrayHead]) -> tuple[str, str | None]:
    """Return the name of the values and that of their labels, None where there are none."""
    shaped = [name for name, head in heads.items() if head.dtype.kind in _NUMBERS and len(head.shape) in (2, 3, 4)]
    large = [name for name in shaped if len(heads[name].shape) > 2 or heads[name].shape[1] > 2]
    large = [name for name in large if name not in _LABELS or len(heads[name].shape) > 2] or large
    known = [name for name in _VALUES if name in large]
    if not large:
        listed = ", ".join(f"{name or 'a tensor'} {list(head.shape)}" for name, head in heads.items())
        raise SepbenchError(f"{path} holds no array of images or perturbations: it has {listed or 'none'}")
    if len(large) > 1 and not known:
        raise SepbenchError(
            f"{path} holds several arrays that may be meant ({', '.join(large)}): save the one with the protected "
            f"images or the perturbations as 'images'"
        )
    values = known[0] if known else large[0]
    count = heads[values].shape[0]
    rows = [name for name, head in heads.items() if len(head.shape) in (1, 2) and head.shape[0] == count]
    called = [name for name in _LABELS if name in heads and name != values]
    named = next((name for name in called if name in rows), None)
    flat = [name for name in rows if name not in (values, "classes") and heads[name].shape in ((count,), (count, 1))]
    fits = [name for name in flat if heads[name].dtype.kind in "iuUS"]
    return values, named or (fits[0] if len(fits) == 1 else next(iter(called), None))


def _for_each(values: ArrayHead, labels: ArrayHead) -> bool:
    """Tell whether labels have an entry, or a row, for each of the values, and are plain."""
    return len(labels.shape) in (1, 2) and labels.shape[0] == values.shape[0] and not labels.dtype.hasobject


def _check(path: Path, what: str, head: ArrayHead, text: bool = False) -> None:
    """Refuse what is no array of numbers, or would not fit into memory, before any of it is read."""
    if head.dtype.hasobject:
        raise SepbenchError(f"{what} holds Python objects, which could run code: save an array of plain numbers")
    if head.dtype.kind not in _NUMBERS and not (text and head.dtype.kind in "US"):
        raise SepbenchError(f"{what} has dtype {head.dtype}: images and perturbations are numbers")
    refuse_large(path, what, [head])


@contextmanager
def _reading(path: Path, expected: str) -> Iterator[None]:
    """Turn whatever a broken file makes of a reader into one sentence."""
    try:
        yield
    except SepbenchError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise SepbenchError(f"{path} cannot be read ({error.strerror}): make it readable") from error
        if named := what_it_is(path):
            raise SepbenchError(f"{path} {named}") from error
        raise SepbenchError(f"{path} cannot be read as {expected}: make it anew") from error
