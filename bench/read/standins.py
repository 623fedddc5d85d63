"""Experiments whose plug-ins are not installed here, read with what their records say of them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, create_model

from bench.contracts.dataset import DatasetPlugin
from bench.contracts.defense import Defense
from bench.contracts.method import Method, Surrogate
from bench.contracts.plugin import Params
from bench.contracts.registries import REGISTRIES
from bench.core.errors import SepbenchError
from bench.core.registry import is_unknown
from bench.record.record import Record, read_records
from bench.spec.experiment import Experiment
from bench.spec.file import load_experiment
from bench.store.home import Home


@contextmanager
def loaded(
    names: Sequence[str],
    home: Home,
    folder: Path | None,
    *,
    profile: str | None = None,
    overrides: Sequence[str] = (),
) -> Iterator[list[Experiment]]:
    """Yield experiments that are to be read, not run.

    What they name and nobody has installed here, records in `folder`, or in the home where it is None, stand in for
    until the end of the block: with their defaults the cells, and what tables call them, are what they were.

    Raises `SepbenchError` as `load_experiment` does where there are no such records.
    """
    with ExitStack() as standing_in:
        try:
            found = [load_experiment(name, profile=profile, overrides=overrides) for name in names]
        except SepbenchError:
            known = _from_records(home, folder)
            if not known:
                raise
            for (kind, name), told in known.items():
                plugin = _STAND_INS[kind](name, told)
                standing_in.enter_context(REGISTRIES[_REGISTRIES[kind]].known_as(name, plugin))
            found = [load_experiment(name, profile=profile, overrides=overrides) for name in names]
        yield found


@contextmanager
def led_to_plugins(home: Home) -> Iterator[None]:
    """Let a complaint of an unknown name end with where a plug-in of that name came from, if records of the home know.

    What is to be run, or found by its key, needs the plug-in itself.
    """
    try:
        yield
    except SepbenchError as error:
        try:
            known = _from_records(home, None)
        except SepbenchError:  # of records that cannot be read, which nobody has asked for
            known = {}
        for (kind, name), told in known.items():
            if is_unknown(error, REGISTRIES[_REGISTRIES[kind]].kind, name):
                raise SepbenchError(
                    f"{error}; records here have one of {told['package']}: name its file by --plugin, or install its "
                    f"package"
                ) from error
        raise


def _from_records(home: Home, folder: Path | None) -> dict[tuple[str, str], dict[str, Any]]:
    """Return what the newest records say of plug-ins that are not here, by their kind and name."""
    places = folder or home.root / "records"
    records = read_records(places) if places.is_dir() else []
    found = {
        (kind, name): told
        for record in sorted(records, key=lambda record: record.started)
        for (kind, name), told in _plugins_of(record)
    }
    return {
        (kind, name): told for (kind, name), told in found.items() if name not in REGISTRIES[_REGISTRIES[kind]].names()
    }


def _plugins_of(record: Record) -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    for title, told in (record.plugins or {}).items():
        kind = next((kind for kind in _REGISTRIES if title.startswith(f"{kind} ")), None)
        if kind is not None:
            yield (kind, title.removeprefix(f"{kind} ")), told


def _method(name: str, told: dict[str, Any]) -> type[Method]:
    surrogates = [Surrogate()] if told["surrogates"] else []

    class StandIn(Method):
        """A method of records."""

        Params = _params(told["defaults"])
        norms = tuple(told["norms"])

        def needs(self) -> list[Surrogate]:
            return surrogates

        def craft(self, *_: Any) -> Any:
            raise _not_here("method", name)

    return StandIn


def _defense(name: str, told: dict[str, Any]) -> type[Defense]:
    class StandIn(Defense):
        """A defense of records."""

        Params = _params(told["defaults"])
        short = told["short"]
        files = tuple(told["files"])

    return StandIn


def _architecture(name: str, told: dict[str, Any]) -> Callable[[int], Any]:
    def stand_in(classes: int) -> Any:
        raise _not_here("architecture", name)

    return stand_in


def _dataset(name: str, told: dict[str, Any]) -> type[DatasetPlugin]:
    class StandIn(DatasetPlugin):
        """A data set of records."""

        Params = _params({})

        def open(self) -> Any:
            raise _not_here("data set", name)

        def files(self) -> Any:
            raise _not_here("data set", name)

    return StandIn


def _params(defaults: dict[str, Any]) -> type[Params]:
    """Return parameters with these defaults; of others any are taken, as they are."""
    fields: dict[str, Any] = {name: (_type_of(value), value) for name, value in defaults.items()}

    class Open(Params):
        model_config = ConfigDict(extra="allow")

    return create_model("Open", __base__=Open, **fields)


def _type_of(value: Any) -> Any:
    if isinstance(value, list):
        return list[Any]
    return type(value) if isinstance(value, bool | int | float | str) else Any


def _not_here(kind: str, name: str) -> SepbenchError:
    return SepbenchError(
        f"the {kind} '{name}' is not installed here: install its package, or name its file by --plugin"
    )


_REGISTRIES = {
    "method": "methods",
    "defense": "defenses",
    "architecture": "victims",
    "surrogate": "victims",
    "data set": "datasets",
}
"""The registries by what titles in `Record.plugins` begin with."""

_STAND_INS: dict[str, Callable[[str, dict[str, Any]], Any]] = {
    "method": _method,
    "defense": _defense,
    "architecture": _architecture,
    "surrogate": _architecture,
    "data set": _dataset,
}
