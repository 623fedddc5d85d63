"""What `sepbench show` explains."""

import inspect
import json
import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from bench.cli.unimported import read_summaries
from bench.contracts import places
from bench.core.errors import SepbenchError
from bench.core.registry import Registry, UnknownName
from bench.core.shipped import shipped
from bench.record.record import read_record
from bench.store.artifacts import Store
from bench.store.home import Home

_KEY_LETTERS = frozenset("0123456789abcdef")


def show(name: str, home: Home, records: Path | None = None, full: bool = False) -> str:
    """Return the description of a plug-in, recipe or experiment, or the record or artifact whose key starts so.

    `full` shows an experiment with every default.

    Raises `SepbenchError` where nothing has the name or the key, or several have.
    """
    found = [] if _is_no_plugin(name) else _plugins(name)
    if name in shipped("bench.recipes"):
        found.append(_text("bench.recipes", name))
    if name in shipped("bench.experiments") or name.endswith((".yaml", ".yml")):
        found.append(_experiment(name, full))
    if found:
        return "\n\n".join(found)
    if is_key(name):
        return _by_key(name, home, records)
    raise _unknown(name)


def is_key(name: str) -> bool:
    """Tell whether a name may be a key, or how one begins."""
    return len(name) >= 6 and set(name) <= _KEY_LETTERS


def _is_no_plugin(name: str) -> bool:
    """Tell whether the files of plug-ins say that none has this name; in doubt one may."""
    if "bench.contracts.registries" in sys.modules or ":" in name:  # they are imported, or it is one of a family
        return False
    read = [read_summaries(place) for place in (places.METHODS, places.ARCHITECTURES, places.DEFENSES, places.DATASETS)]
    return all(one is not None and name not in one for one in read)


def _plugins(name: str) -> list[str]:
    from bench.contracts.registries import REGISTRIES

    return [_plugin(registry, name) for registry in REGISTRIES.values() if name in registry]


def _unknown(name: str) -> SepbenchError:
    from bench.contracts.registries import REGISTRIES

    for registry in REGISTRIES.values():
        if any(name in one.names for one in registry.broken()):
            registry.get(name)  # says why not
    known = [one for registry in REGISTRIES.values() for one in registry.names()]
    broken = [one for registry in REGISTRIES.values() for one in registry.broken()]
    return UnknownName("name or key", name, [*known, *shipped("bench.recipes"), *shipped("bench.experiments")], broken)


def _plugin(registry: Registry[Any], name: str) -> str:
    from bench.cli.particulars import particulars

    plugin = registry.get(name)
    lines = [f"{registry.kind} {name}", "", inspect.getdoc(plugin) or "", "", *particulars(name, plugin)]
    if isinstance(plugin, type):
        lines += _parameters(plugin.Params.model_fields)  # type: ignore[attr-defined]
    return "\n".join(lines)


def _parameters(fields: Mapping[str, Any]) -> list[str]:
    if not fields:
        return ["no parameters"]
    rows = []
    for name, info in fields.items():
        rows.append((name, _default(info), info.description or ""))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return ["parameters:", *(f"  {a:<{widths[0]}}  {b:<{widths[1]}}  {c}".rstrip() for a, b, c in rows)]


def _default(info: Any) -> str:
    if info.is_required():
        return "required"
    value = info.get_default(call_default_factory=True)
    return "unset" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)


def _experiment(name: str, full: bool) -> str:
    """Return an experiment as its file stands, one of a person's once that was found to be right, or in full."""
    if name in shipped("bench.experiments") and not full:
        return _text("bench.experiments", name)
    from bench.spec.file import load_experiment

    spec = load_experiment(name)
    if full:
        written = spec.model_dump(mode="json", exclude={"profile", "overrides"})
        return yaml.safe_dump(written, sort_keys=False, allow_unicode=True).rstrip()
    return Path(name).read_text(encoding="utf-8").rstrip()


def _by_key(prefix: str, home: Home, folder: Path | None) -> str:
    if folder is not None and not folder.is_dir():
        raise SepbenchError(f"no records at {folder}: the folder does not exist")
    paths = [path for root in (home.root / "records", folder) if root for path in root.rglob(f"{prefix}*.json")]
    keys = sorted({path.stem for path in paths} | {key for _, key in _artifacts(home.store, prefix)})
    if not keys:
        places = f"{home.root} or {folder}" if folder else str(home.root)
        raise SepbenchError(
            f"no record or artifact in {places} has a key that starts with {prefix}: sepbench table EXPERIMENT "
            f"--format json lists the keys behind a table"
        )
    if len(keys) > 1:
        raise SepbenchError(
            f"{len(keys)} keys start with {prefix}: give more of it, such as {keys[0][: len(prefix) + 4]}"
        )
    parts = list(dict.fromkeys(read_record(path).to_json().rstrip() for path in sorted(paths)))
    for kind, key in _artifacts(home.store, prefix):
        files_there = ", ".join(home.store.names(kind, key)) or "no tensors"
        parts.append(f"{kind} artifact {home.store.folder(kind, key)}: {files_there}")
        if not paths:
            parts.append(json.dumps(home.store.meta(kind, key), indent=1))
    return "\n".join(parts)


def _artifacts(store: Store, prefix: str) -> list[tuple[str, str]]:
    folders = sorted(store.root.glob(f"*/{prefix[:2]}/{prefix}*"))
    return [(kind, one.name) for one in folders if store.has(kind := one.parent.parent.name, one.name)]


def _text(package: str, name: str) -> str:
    return (files(package) / f"{name}.yaml").read_text(encoding="utf-8").rstrip()
