"""What `sepbench ls` lists: plug-ins, recipes, experiments, with a line on each. It imports none of them."""

import inspect
import json
from dataclasses import asdict, dataclass
from importlib.resources import files

import yaml

from bench.cli.unimported import read_summaries
from bench.contracts import places
from bench.core.registry import Place, UnknownName
from bench.core.shipped import shipped

_PLACES: dict[str, Place] = {
    "methods": places.METHODS,
    "victims": places.ARCHITECTURES,
    "defenses": places.DEFENSES,
    "datasets": places.DATASETS,
}
_FILES = {"recipes": ("bench.recipes", "source"), "experiments": ("bench.experiments", "title")}


@dataclass(frozen=True)
class Entry:
    """A name and one line on it."""

    name: str
    summary: str


def listing(kind: str) -> list[Entry]:
    """Return what there is of a kind; raises `UnknownName` for a kind there is not."""
    if kind in _PLACES:
        read = read_summaries(_PLACES[kind])
        summaries = _imported(kind) if read is None else read
        return [Entry(name, summary) for name, summary in summaries.items()]
    if kind in _FILES:
        package, field = _FILES[kind]
        return [Entry(name, _field(package, name, field)) for name in shipped(package)]
    raise UnknownName("kind", kind, [*_PLACES, *_FILES])


def render_listing(entries: list[Entry], as_json: bool) -> str:
    """Return the entries as JSON, or in two columns."""
    if as_json:
        return json.dumps([asdict(entry) for entry in entries], indent=1)
    width = max(len(entry.name) for entry in entries)
    return "\n".join(f"{entry.name:<{width}}  {entry.summary}" for entry in entries)


def _imported(kind: str) -> dict[str, str]:
    from bench.contracts.registries import REGISTRIES

    registry = REGISTRIES[kind]
    found = {name: (inspect.getdoc(registry.get(name)) or "").partition("\n")[0] for name in registry.names()}
    broken = {name: one.trouble for one in registry.broken() for name in one.names or [one.what]}
    return dict(sorted((broken | found).items()))


def _field(package: str, name: str, field: str) -> str:
    text = (files(package) / f"{name}.yaml").read_text(encoding="utf-8")
    return str(yaml.safe_load(text).get(field, ""))
