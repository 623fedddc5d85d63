"""Finding a network's tensors among those of a file, whose names may differ."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from torch import Tensor

from victims.defenses._weight_files import Tensors

_COUNTER = "num_batches_tracked"  # of no use to a network that is trained further, and old files lack it


@dataclass(frozen=True)
class Match:
    """A file's tensors that are those of a network.

    Attributes
    ----------
    where
        The wrappers and the prefix that they have in the file.
    prefix
        What stands before each name in the file.
    names
        From a name of the network to that in the file.
    tensors
        All that stand with them in the file.
    by_order
        Whether they were found by order and shape, as their names differ.

    """

    where: str
    prefix: str
    names: Mapping[str, str]
    tensors: Tensors
    by_order: bool = False

    @property
    def rest(self) -> list[str]:
        """Names of the tensors that stand with them and are not among them."""
        used = set(self.names.values())
        return [name for name in self.tensors if name not in used and not name.endswith(_COUNTER)]

    @property
    def surplus(self) -> list[str]:
        """Those of the rest that belong to the same modules: the file is of a larger network."""
        modules = {self._module(name) for name in self.names.values()}
        return [name for name in self.rest if name.startswith(self.prefix) and self._module(name) in modules]

    def _module(self, name: str) -> str:
        first = name.removeprefix(self.prefix).partition(".")[0]
        return "numbered" if first.isdigit() else first


def matches(own: Tensors, where: str, tensors: Tensors) -> list[Match]:
    """Return every place among a file's tensors where a network's are, by name or else by order and shape."""
    named = [match for match in _by_name(own, where, tensors) if not _differing(own, match) and not match.surplus]
    if named:
        return named
    match = _by_order(own, where, tensors)
    return [match] if match and not _differing(own, match) and not match.surplus and _renamed(match.names) else []


def first_difference(own: Tensors, states: Sequence[tuple[str, Tensors]]) -> str:
    """Return in what the nearest of a file's mappings differs from a network, and in how many tensors."""
    candidates = [match for where, tensors in states for match in _by_name(own, where, tensors)]
    nearest = min(candidates, key=lambda match: len(_differing(own, match)), default=Match("", "", {}, {}))
    wrong = _differing(own, nearest) if candidates else _needed(own)
    if not wrong:
        return f"it also has {nearest.surplus[0]}, which this network has not"
    there = nearest.tensors.get(nearest.names.get(wrong[0], ""))
    here = _size(own[wrong[0]])
    what = f"it has no {wrong[0]} ({here})" if there is None else f"{wrong[0]} is {_size(there)} there and {here} here"
    return what + (f", and {len(wrong) - 1} more differ" if len(wrong) > 1 else "")


def _by_name(own: Tensors, where: str, tensors: Tensors) -> Iterator[Match]:
    """Yield what has the names of some of a network's tensors, for each prefix that is in use."""
    modules = {name.partition(".")[0] for name in own}
    # A module that all of the network lies in need not be there in the file.
    for skipped in (0, len(f"{modules.pop()}.")) if len(modules) == 1 else (0,):
        tails = {name: name[skipped:] for name in own}
        prefixes = [there.removesuffix(tail) for tail in tails.values() for there in tensors if there.endswith(tail)]
        for prefix in dict.fromkeys(one for one in prefixes if one == "" or one.endswith(".")):
            names = {name: prefix + tail for name, tail in tails.items() if prefix + tail in tensors}
            yield Match(".".join(filter(None, (where, prefix.rstrip(".")))), prefix, names, tensors)


def _by_order(own: Tensors, where: str, tensors: Tensors) -> Match | None:
    there = [name for name in tensors if not name.endswith(_COUNTER)]
    names = dict(zip(_needed(own), there, strict=False))
    levels = zip(*(name.split(".")[:-1] for name in tensors), strict=False)
    prefix = "".join(f"{parts[0]}." for parts in takewhile(lambda parts: len(set(parts)) == 1, levels))
    return Match(where, prefix, names, tensors, by_order=True) if len(names) == len(_needed(own)) else None


def _renamed(names: Mapping[str, str]) -> bool:
    """Return whether modules have other names there, each kind one of its own, rather than another order.

    Layers of one shape in another order would fit as well: where both sides know a name, it has to meet itself.
    """
    if any(own.rpartition(".")[2] != there.rpartition(".")[2] for own, there in names.items()):
        return False
    kinds = {(_kind(own), _kind(there)) for own, there in names.items()}
    ours, theirs = {own for own, _ in kinds}, {there for _, there in kinds}
    return len(ours) == len(theirs) == len(kinds) and all(
        own == there for own, there in kinds if own in theirs or there in ours
    )


def _kind(name: str) -> str:
    """Return what a tensor's module is called, such as `conv1`: the last part of its path that is no number."""
    return next((part for part in reversed(name.split(".")[:-1]) if not part.isdigit()), "")


def _differing(own: Tensors, match: Match) -> list[str]:
    return [
        name
        for name in _needed(own)
        if name not in match.names or not _alike(own[name], match.tensors[match.names[name]])
    ]


def _needed(own: Tensors) -> list[str]:
    return [name for name in own if not name.endswith(_COUNTER)]


def _alike(own: Tensor, there: Tensor) -> bool:
    return own.shape == there.shape and own.is_floating_point() == there.is_floating_point()


def _size(tensor: Tensor) -> str:
    size = "x".join(map(str, tensor.shape)) or "a number"
    return size if tensor.is_floating_point() else f"{size} of {str(tensor.dtype).removeprefix('torch.')}"
