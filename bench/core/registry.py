"""Names to plug-ins: ours by scanning a package, others' by entry points."""

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterable
from importlib.metadata import entry_points
from typing import Generic, NamedTuple, TypeVar

from bench.core.errors import SepbenchError

T = TypeVar("T")


class UnknownName(SepbenchError):  # noqa: N818 - reads as what it is
    """No plug-in, recipe or experiment has this name."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        name, known = str(name), sorted(set(known))
        close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(close)}?" if close else f"known: {_some(known)}"
        super().__init__(f"unknown {kind} '{name}': {hint}")


class NameTaken(SepbenchError):  # noqa: N818 - reads as what it is
    """Two different plug-ins claim one name."""


class Place(NamedTuple):
    """What `Registry` takes, and the name under which our modules see the registry."""

    kind: str
    package: str
    group: str
    registry: str


class Registry(Generic[T]):
    """The plug-ins of one kind.

    Parameters
    ----------
    kind
        What a plug-in is called in messages, such as "method".
    package
        Import name of the package whose modules register ours; modules whose name starts with `_` are helpers.
    group
        Entry-point group through which other distributions add theirs.

    """

    def __init__(self, kind: str, package: str, group: str) -> None:
        self.kind = kind
        self.package = package
        self.group = group
        self._plugins: dict[str, T] = {}
        self._families: dict[str, Callable[[str], T]] = {}
        self._complete = False

    @classmethod
    def at(cls, place: Place) -> "Registry[T]":
        """Return the registry of the plug-ins found there."""
        return cls(place.kind, place.package, place.group)

    def register(self, name: str) -> Callable[[T], T]:
        """Decorate a plug-in to make it known as `name`; raises `NameTaken` where the name is another's."""

        def add(plugin: T) -> T:
            holder = self._plugins.get(name)
            if holder is not None and _origin(holder) != _origin(plugin):
                raise NameTaken(
                    f"{self.kind} '{name}' is defined twice, by {_origin(holder)} and by {_origin(plugin)}: "
                    f"rename one of them"
                )
            self._plugins[name] = plugin
            if isinstance(plugin, type):
                plugin.name = name  # type: ignore[attr-defined]
            return plugin

        return add

    def register_family(self, prefix: str) -> Callable[[Callable[[str], T]], Callable[[str], T]]:
        """Decorate a function that finds the plug-ins whose names start with `prefix`, too many to register each.

        It gets the rest of the name and raises `UnknownName` where there is none.
        """

        def add(find: Callable[[str], T]) -> Callable[[str], T]:
            self._families[prefix] = find
            return find

        return add

    def get(self, name: str) -> T:
        """Return the plug-in called `name`; raises `UnknownName` with suggestions."""
        self._discover()
        if name in self._plugins:
            return self._plugins[name]
        for prefix, find in self._families.items():
            if name.startswith(prefix):
                return find(name.removeprefix(prefix))
        raise UnknownName(self.kind, name, self._plugins)

    def names(self) -> list[str]:
        """Return every registered name, sorted; those of families are not listed."""
        self._discover()
        return sorted(self._plugins)

    def __contains__(self, name: str) -> bool:
        try:
            self.get(name)
        except UnknownName:
            return False
        return True

    def _discover(self) -> None:
        if self._complete:
            return
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(package.__path__):
            if not module.name.startswith("_"):
                importlib.import_module(f"{self.package}.{module.name}")
        for entry in entry_points(group=self.group):
            try:
                plugin = entry.load()
            except Exception as error:
                reason = " ".join(str(error).split())
                raise SepbenchError(
                    f"the {self.kind} '{entry.name}' of the installed package {entry.module} cannot be loaded "
                    f"({type(error).__name__}: {reason}): repair or uninstall that package"
                ) from error
            if plugin not in self._plugins.values():
                self.register(entry.name)(plugin)
        self._complete = True


def _some(names: list[str], most: int = 40) -> str:
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "none") + more


def _origin(plugin: object) -> str:
    module, name = getattr(plugin, "__module__", "?"), getattr(plugin, "__qualname__", repr(plugin))
    return f"{module}.{name}"
