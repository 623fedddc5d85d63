"""What is checked: the plug-ins of a file or of an installed package, each with its checks."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

from pydantic import ValidationError

from bench.checks import of_architectures, of_datasets, of_defenses, of_methods
from bench.contracts.plugin import Params
from bench.contracts.plugin_files import attach
from bench.contracts.registries import REGISTRIES
from bench.core.errors import SepbenchError
from bench.core.registry import BrokenPlugin
from bench.core.validation import describe, first_mistake
from bench.data.spec import DatasetSpec

Check = Callable[[], None]


@dataclass(frozen=True)
class Subject:
    """A plug-in with its checks, by what one that passes does; several of one title where there are several budgets."""

    kind: str
    name: str
    plugin: Any
    package: str
    checks: tuple[tuple[str, Check], ...]

    @property
    def title(self) -> str:
        """What it is called."""
        return f"{REGISTRIES[self.kind].kind} {self.name} ({self.package})"


def subjects_of(target: str, given: Mapping[str, Any]) -> list[Subject]:
    """Return the plug-ins of a file, given by its path, or of an installed package, given by its name.

    Parameters
    ----------
    given
        Values of parameters by their names; each plug-in takes those that it has.

    Raises
    ------
    BrokenPlugin
        One of them cannot be used at all.
    SepbenchError
        There is no such file or package, it has no plug-in, or a parameter has no value or a wrong one.

    """
    is_file = target.endswith(".py") or "/" in target
    found = attach([target]) if is_file else list(_of_package(target))
    known = {field for kind, name in found for field in _fields(kind, name)}
    unknown = sorted(given.keys() - known)
    if unknown:
        raise SepbenchError(f"--set {unknown[0]}: no plug-in of {target} has such a parameter: leave it out")
    return [_subject(kind, name, given) for kind, name in found]


def _of_package(package: str) -> Iterator[tuple[str, str]]:
    try:
        installed = distribution(package)
    except (PackageNotFoundError, ValueError) as error:
        raise SepbenchError(
            f"no package '{package}' is installed: name a file, such as {package}.py, or install the package"
        ) from error
    groups = {registry.group: kind for kind, registry in REGISTRIES.items()}
    entries = [(groups[entry.group], entry.name) for entry in installed.entry_points if entry.group in groups]
    if not entries:
        raise SepbenchError(
            f"the package '{package}' has no plug-in: name them as entry points, such as sepbench.methods"
        )
    for kind, name in entries:
        registry = REGISTRIES[kind]
        broken = [one for one in registry.broken() if name in one.names]
        if broken:
            raise BrokenPlugin(str(broken[0]))
        yield kind, name


def _fields(kind: str, name: str) -> list[str]:
    params = getattr(REGISTRIES[kind].get(name), "Params", Params)
    return list(params.model_fields)


def _subject(kind: str, name: str, given: Mapping[str, Any]) -> Subject:
    registry = REGISTRIES[kind]
    plugin, origin = registry.get(name), registry.origin(name)
    own = {field: value for field, value in given.items() if field in _fields(kind, name)}
    try:
        checks = tuple(_CHECKS[kind](name, plugin, own))
    except ValidationError as error:
        mistake = first_mistake(error)
        field = ".".join(map(str, mistake["loc"]))
        raise SepbenchError(
            f"{registry.kind} '{name}': {field}: {describe(mistake, _fields(kind, name))}: give --set {field}=VALUE"
        ) from error
    return Subject(kind, name, plugin, "sepbench" if origin is None else origin.package, checks)


def _of_method(name: str, plugin: Any, own: dict[str, Any]) -> Iterator[tuple[str, Check]]:
    cases = list(of_methods.Case.each(plugin, own))
    for title, check in of_methods.CHECKS.items():
        of_each_budget = title not in of_methods.WITHOUT_BUDGET
        yield from ((title, partial(check, case)) for case in (cases if of_each_budget else cases[:1]))


def _of_defense(name: str, plugin: Any, own: dict[str, Any]) -> Iterator[tuple[str, Check]]:
    of_defenses.made(plugin, own)
    for title, check in of_defenses.CHECKS.items():
        yield title, lambda check=check: check(of_defenses.made(plugin, own))  # type: ignore[misc]


def _of_architecture(name: str, plugin: Any, own: dict[str, Any]) -> Iterator[tuple[str, Check]]:
    yield from ((title, partial(check, name)) for title, check in of_architectures.CHECKS.items())


def _of_dataset(name: str, plugin: Any, own: dict[str, Any]) -> Iterator[tuple[str, Check]]:
    plugin.Params.model_validate(own)
    spec = DatasetSpec.parse({"name": name, "format": name, "params": own}).located()
    yield from ((title, partial(check, spec)) for title, check in of_datasets.CHECKS.items())


_CHECKS: dict[str, Callable[[str, Any, dict[str, Any]], Iterator[tuple[str, Check]]]] = {
    "methods": _of_method,
    "defenses": _of_defense,
    "victims": _of_architecture,
    "datasets": _of_dataset,
}
