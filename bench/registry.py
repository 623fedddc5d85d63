"""Names to plug-ins: ours by scanning a package, others' by entry points."""

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterable
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from bench.errors import SepbenchError

T = TypeVar("T")


class UnknownName(SepbenchError):  # noqa: N818 - reads as what it is
    """No plug-in, recipe or experiment has this name."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        name, known = str(name), sorted(set(known))
        close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(known) or 'none'}"
        super().__init__(f"unknown {kind} '{name}': {hint}")


class NameTaken(SepbenchError):  # noqa: N818 - reads as what it is
    """Two different plug-ins claim one name."""


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
        self._complete = False

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

    def get(self, name: str) -> T:
        """Return the plug-in called `name`; raises `UnknownName` with suggestions."""
        self._discover()
        if name not in self._plugins:
            raise UnknownName(self.kind, name, self._plugins)
        return self._plugins[name]

    def names(self) -> list[str]:
        """Return every known name, sorted."""
        self._discover()
        return sorted(self._plugins)

    def __contains__(self, name: object) -> bool:
        self._discover()
        return name in self._plugins

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


def _origin(plugin: object) -> str:
    module, name = getattr(plugin, "__module__", "?"), getattr(plugin, "__qualname__", repr(plugin))
    return f"{module}.{name}"
