"""Names to plug-ins: ours by scanning a package, others' by entry points; a broken one stops only who asks for it."""

import difflib
import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from copy import copy
from importlib.metadata import Distribution, EntryPoint, distributions, entry_points
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from bench.core.beside import import_beside
from bench.core.broken import Broken, told
from bench.core.errors import SepbenchError
from bench.core.origin import PACKAGE, Origin, file_of, is_ours

T = TypeVar("T")

_MOST_NAMED = 40


class UnknownName(SepbenchError):  # noqa: N818 - reads as what it is
    """No plug-in, recipe or experiment has this name; `broken` are plug-ins one of which may be it."""

    def __init__(self, kind: str, name: str, known: Iterable[str], broken: Iterable[Broken] = ()) -> None:
        name, known = str(name), sorted(set(known))
        close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(close)}?" if close else f"known: {_some(known)}"
        super().__init__(f"{_unknown(kind, name)}{hint}{_perhaps([*broken])}")


def is_unknown(error: SepbenchError, kind: str, name: str) -> bool:
    """Tell whether an error, or one that it was made of, says that there is no plug-in of this name."""
    return _unknown(kind, name) in str(error)


def _unknown(kind: str, name: str) -> str:
    return f"unknown {kind} '{name}': "


class BrokenPlugin(SepbenchError):  # noqa: N818 - reads as what it is
    """The plug-in that is asked for is there and cannot be used."""


class Place(NamedTuple):
    """What `Registry` takes, and the name under which our modules see the registry."""

    kind: str
    package: str
    group: str
    registry: str


class Refused(NamedTuple):
    """A plug-in that was registered and cannot be used; `holder` is the one that has its name already, if any."""

    name: str
    broken: Broken
    file: Path | None
    holder: str | None = None


class Registry(Generic[T]):
    """The plug-ins of one kind.

    A module that cannot be imported, a name that two plug-ins claim and a plug-in that breaks its contract are noted
    in `broken`: all others can be used.

    Parameters
    ----------
    kind
        What a plug-in is called in messages, such as "method".
    package
        Import name of the package whose modules register ours; modules whose name starts with `_` are helpers.
    group
        Entry-point group through which other distributions add theirs.
    breach
        Says how a plug-in breaks its contract; None of one that keeps it.

    """

    def __init__(
        self, kind: str, package: str, group: str, breach: Callable[[T], str | None] = lambda plugin: None
    ) -> None:
        self.kind = kind
        self.package = package
        self.group = group
        self._breach = breach
        self._plugins: dict[str, T] = {}
        self._families: dict[str, Callable[[str], T]] = {}
        self._clashes: dict[str, Broken] = {}
        self._broken: list[Broken] = []
        self._offered: list[T] = []
        self._origins: dict[str, Origin | None] = {}
        self._refused: list[Refused] = []
        self._modules: list[str] | None = None
        self._entries: list[EntryPoint] | None = None

    @classmethod
    def at(cls, place: Place, breach: Callable[[T], str | None] = lambda plugin: None) -> "Registry[T]":
        """Return the registry of the plug-ins found there."""
        return cls(place.kind, place.package, place.group, breach)

    def register(self, name: str) -> Callable[[T], T]:
        """Decorate a plug-in to make it known as `name`; where the name is another's, it is nobody's from then on."""

        def add(plugin: T) -> T:
            self._offered.append(plugin)
            breach = self._breach_of(plugin)
            if breach is not None:
                what = f"the {self.kind} '{name}' ({_origin(plugin)})"
                broken = Broken((name,), what, f"cannot be used, as {breach}", "repair or remove it")
                self._broken.append(broken)
                self._refused.append(Refused(name, broken, file_of(plugin)))
                return plugin
            holder = self._plugins.get(name)
            if holder is not None and _origin(holder) != _origin(plugin):
                trouble = f"is defined twice, by {_origin(holder)} and by {_origin(plugin)}"
                advice = "rename one of them, or remove its file or package"
                clash = Broken((name,), f"{self.kind} '{name}'", trouble, advice)
                self._refused.append(Refused(name, clash, file_of(plugin), _origin(holder)))
                self._clashes.setdefault(name, clash)
                return plugin
            self._plugins[name] = plugin
            self._origins.pop(name, None)
            if not is_ours(plugin):
                self._origins[name] = Origin.of(plugin)  # now: its file may be another by the time somebody asks
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
        """Return the plug-in called `name`.

        Raises `UnknownName` with suggestions where there is none, `BrokenPlugin` where it cannot be used.
        """
        self._import_ours()
        self._import_entries(name)
        found = self._find(name)
        if found is None:  # a plug-in may register itself under another name than that of its entry point
            self._import_entries()
            found = self._find(name)
        if found is not None:
            return found
        for one in self._broken:
            if name in one.names:
                raise BrokenPlugin(str(one))
        raise UnknownName(self.kind, name, self.names(), self._broken)

    def names(self) -> list[str]:
        """Return the name of every plug-in that can be used, sorted; those of families are not listed."""
        self._import_all()
        return sorted(self._plugins.keys() - self._clashes.keys())

    def broken(self) -> list[Broken]:
        """Return the plug-ins that cannot be used."""
        self._import_all()
        return [*self._broken, *self._clashes.values()]

    def origin(self, name: str) -> Origin | None:
        """Return where the plug-in called `name` came from; None of what came with sepbench. Raises as `get` does."""
        plugin = self.get(name)
        if name not in self._origins:
            self._origins[name] = Origin.of(plugin)
        return self._origins[name]

    def is_ours(self, name: str) -> bool:
        """Tell whether a plug-in of this name came with sepbench, so that everybody has it."""
        return name in self and self.origin(name) is None

    @contextmanager
    def known_as(self, name: str, plugin: T) -> Iterator[None]:
        """Know a plug-in by a name for the length of the block, as one that did not come with sepbench."""
        if isinstance(plugin, type):
            plugin.name = name  # type: ignore[attr-defined]
        self._plugins[name], self._origins[name] = plugin, Origin("", "")
        try:
            yield
        finally:
            del self._plugins[name], self._origins[name]

    def files(self) -> set[str]:
        """Return the files of the plug-ins that are imported by now."""
        modules = [sys.modules.get(getattr(plugin, "__module__", "")) for plugin in self._offered]
        return {file for module in modules if (file := getattr(module, "__file__", None))}

    def of_file(self, path: Path) -> list[str]:
        """Return the names of the plug-ins that a file has brought, sorted."""
        return [name for name in self.names() if file_of(self._plugins[name]) == path]

    def refused_of_file(self, path: Path) -> list[Refused]:
        """Return what a file has brought that cannot be used."""
        return [one for one in self._refused if one.file == path]

    def forget_file(self, path: Path) -> None:
        """Forget the plug-ins of a file, which is to be read anew."""
        for name in self.of_file(path):
            del self._plugins[name]

    @contextmanager
    def as_before_on_failure(self) -> Iterator[None]:
        """Take back what was registered in the block where it fails; every other plug-in is imported by then."""
        self._import_all()
        before = {name: copy(value) for name, value in vars(self).items()}
        try:
            yield
        except BaseException:
            vars(self).update(before)
            raise

    def __contains__(self, name: str) -> bool:
        """Tell whether `get` has a plug-in of this name that can be used."""
        try:
            self.get(name)
        except (UnknownName, BrokenPlugin):
            return False
        return True

    def _find(self, name: str) -> T | None:
        if name in self._clashes:
            raise BrokenPlugin(str(self._clashes[name]))
        if name in self._plugins:
            return self._plugins[name]
        for prefix, find in self._families.items():
            if name.startswith(prefix):
                return self._of_family(prefix, find, name)
        return None

    def _of_family(self, prefix: str, find: Callable[[str], T], name: str) -> T:
        try:
            return find(name.removeprefix(prefix))
        except SepbenchError:
            raise
        except Exception as error:  # of the library behind the family
            raise BrokenPlugin(
                f"{self.kind} '{name}': what {prefix} stands for does not work ({told(error)})"
            ) from error

    def _breach_of(self, plugin: T) -> str | None:
        try:
            return self._breach(plugin)
        except (Exception, SystemExit) as error:  # whatever a class of others does when it is looked at
            return f"it cannot be looked at ({told(error)})"

    def _import_all(self) -> None:
        self._import_ours()
        self._import_entries()

    def _import_ours(self) -> None:
        if self._modules is None:
            package = import_beside(self.package)
            modules = [module.name for module in pkgutil.iter_modules(package.__path__)]
            self._modules = [name for name in modules if not name.startswith("_")]
        while self._modules:  # one that asks for another while it is imported finds the rest of them here
            self._import_module(f"{self.package}.{self._modules.pop(0)}")

    def _import_module(self, name: str) -> None:
        try:
            with self._undone_on_failure():
                importlib.import_module(name)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # of sys.exit, too
            self._broken.append(Broken.module(self.kind, name, error))

    def _import_entries(self, name: str | None = None) -> None:
        """Import what other packages offer, all of it or what they call so."""
        if self._entries is None:
            self._entries, unreadable = _entries_of(self.group)
            self._broken += unreadable
        for entry in [one for one in self._entries if name in (None, one.name)]:
            if entry not in self._entries:  # what was imported before it has asked for it
                continue
            self._entries.remove(entry)
            self._import_entry(entry)

    def _import_entry(self, entry: EntryPoint) -> None:
        try:
            if not entry.pattern.match(entry.value):
                raise SepbenchError(f"its entry point is '{entry.value}', not module:name")
            with self._undone_on_failure(), _of_package(entry):
                plugin = entry.load()
                if not any(plugin is one for one in self._offered):
                    self.register(entry.name)(plugin)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._broken.append(Broken.entry(self.kind, entry, error))

    @contextmanager
    def _undone_on_failure(self) -> Iterator[None]:
        """Take back what a module has registered that fails later: who knows what it lacks.

        What it prints goes to standard error: it is none of what a command prints.
        """
        before, clashes = dict(self._plugins), dict(self._clashes)
        try:
            with redirect_stdout(sys.stderr):
                yield
        except BaseException:
            for name, plugin in [*self._plugins.items()]:
                # Python forgets the module that failed, and keeps those that were imported on the way.
                if before.get(name) is not plugin and getattr(plugin, "__module__", None) not in sys.modules:
                    del self._plugins[name]
            self._clashes = clashes
            raise


@contextmanager
def _of_package(entry: EntryPoint) -> Iterator[None]:
    """Let plug-ins of every kind that are registered in the block count as those of the entry point's package."""
    before = PACKAGE.set(f"{entry.dist.name} {entry.dist.version}" if entry.dist else None)
    try:
        yield
    finally:
        PACKAGE.reset(before)


def _entries_of(group: str) -> tuple[list[EntryPoint], list[Broken]]:
    """Return the entry points of a group, and the packages whose entry points cannot be read."""
    try:
        return [*entry_points(group=group)], []
    except Exception:  # of one package: the others' can be read
        pass
    found: list[EntryPoint] = []
    broken: list[Broken] = []
    for package in {_name_of(one): one for one in reversed([*distributions()])}.values():
        try:
            found += package.entry_points.select(group=group)
        except Exception as error:
            broken.append(Broken.package(_name_of(package), error))
    return found, broken


def _name_of(package: Distribution) -> str:
    return str(package.metadata["Name"])


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
    return (", ".join(names[:_MOST_NAMED]) or "none") + more


def _perhaps(broken: list[Broken]) -> str:
    if not broken:
        return ""
    if len(broken) == 1:
        return f"; or it is a plug-in that does not work: {broken[0].what} {broken[0].trouble}"
    return f"; or it is one of {len(broken)} plug-ins that do not work: see sepbench doctor"


def _origin(plugin: object) -> str:
    module, name = getattr(plugin, "__module__", None), getattr(plugin, "__qualname__", None)
    return f"{module}.{name}" if name else f"a {type(plugin).__name__}"
