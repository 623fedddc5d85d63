"""What `sepbench show` says of a plug-in besides its words and parameters: what it costs, and how to ask for it."""

from collections.abc import Callable, Iterator
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from bench.contracts.dataset import DatasetPlugin
from bench.contracts.defense import Defense, Defenses
from bench.contracts.method import Method, Surrogate, total_passes
from bench.contracts.plugin import Plugin
from bench.contracts.reference import references
from bench.spec.names import passes_text

_SPLITS = ("train", "test")
_USUAL_SET = 50_000
"""Images of the set that costs are told for where they depend on their number."""


def particulars(name: str, plugin: Any) -> list[str]:
    """Return the lines on a plug-in, of which the last are a part of an experiment that asks for it."""
    if not isinstance(plugin, type):
        return _in_an_experiment(f"victims: {_flow([name])}")
    lines = [f"version {plugin.version}"] if issubclass(plugin, Plugin) else []
    if issubclass(plugin, Plugin) and plugin.cite:
        lines.append(f"cite {_citation(plugin.cite)}")
    if issubclass(plugin, Method):
        return [*lines, *_of_method(name, plugin)]
    if issubclass(plugin, Defense):
        return [*lines, *_of_defense(name, plugin)]
    if issubclass(plugin, DatasetPlugin):
        return [*lines, *_of_dataset(name, plugin)]
    return lines


def _citation(key: str) -> str:
    """Return the key and the paper it stands for; a plug-in of another package may cite what is not known here."""
    known = references()
    return f"{key}: {known[key]}" if key in known else key


def _of_method(name: str, kind: type[Method]) -> Iterator[str]:
    yield f"norms {', '.join(kind.norms)}" if kind.norms else "norms none: it takes no budget"
    told = _placeholders(kind)
    if not told:
        method = kind()
        if method.brought is not None:
            yield "asked for by sepbench evaluate PROTECTED --clean DATA"
            return
        yield f"cost {_cost(kind)}{_surrogates(method)}"
        deciding = _deciding(kind, lambda one: (one.passes(), one.image_passes()))
        main = {field: getattr(method.params, field) for field in deciding}
        told = {field: value for field, value in main.items() if type(value) in (int, float)}
    row = f"{name}: {_flow(told)}" if told else name
    yield from _in_an_experiment("methods:", f"  - {row}")


def _cost(kind: type[Method]) -> str:
    """Return the passes of a method over all images, and those that do not grow with their number."""
    method, parts = kind(), list[str]()
    if method.passes():
        decided = _by(_deciding(kind, lambda one: one.passes()))
        parts.append(f"{passes_text(method.passes())} passes over the images, forward and backward{decided}")
    if method.image_passes():
        decided = _by(_deciding(kind, lambda one: one.image_passes()))
        parts.append(f"those of {passes_text(method.image_passes())} single images{decided}")
    told = " and ".join(parts) or "no passes"
    if method.forward_passes():
        decided = _by(_deciding(kind, lambda one: one.forward_passes()))
        told += f", after at most {passes_text(method.forward_passes())} forward alone{decided}"
    if len(parts) == 2:
        told += f", or {passes_text(total_passes(method, _USUAL_SET, _USUAL_SET))} in all with {_USUAL_SET:,} images"
    return f"at most {told}; meanwhile it trains the experiment's surrogate" if method.trains else told


def _surrogates(method: Method) -> str:
    """Return what has to be trained before, with the checkpoints that are used of it."""
    needs = method.needs()
    if not needs:
        return ""
    networks = "1 surrogate" if len(needs) == 1 else f"{len(needs)} surrogates"
    used = sum(len(one.at) if one.at else one.checkpoints for one in needs)
    otherwise = [*dict.fromkeys(one for need in needs for one in _trained_otherwise(need))]
    how = f" ({', '.join(otherwise)})" if otherwise else ""
    return f"; before, {networks} to train{how}, of which it uses {used} checkpoint{'s' * (used != 1)}"


def _trained_otherwise(need: Surrogate) -> Iterator[str]:
    """Yield how a surrogate is trained that is not trained as everything else of its experiment."""
    if need.defense != "plain":
        yield need.defense
    if "epochs" in need.recipe:
        yield f"{need.recipe['epochs']} epochs"
    elif need.recipe:
        yield "by a recipe of its own"


def _of_defense(name: str, kind: type[Defense]) -> Iterator[str]:
    told = _placeholders(kind)
    if not told:
        deciding = _deciding(kind, lambda one: one.extra_passes())
        extra = kind().extra_passes()
        passes = f"{1 + extra:.3g} passes an epoch instead of 1" if extra or deciding else "no further passes"
        yield f"cost {passes}{_by(deciding)}"
    paths = [*kind.files, *([kind.copies] if kind.copies else [])]
    if paths and kind.short:
        told = {kind.short: kind.short.upper()} | told
    told |= dict.fromkeys(paths, "PATH")
    yield from _in_an_experiment(f"defenses: {_flow([{name: told} if told else str(Defenses.parse(name))])}")


def _of_dataset(name: str, kind: type[DatasetPlugin]) -> Iterator[str]:
    if kind.known is not None:
        size = kind.known
        yield (
            f"holds {size.n_train:,} training and {size.n_test:,} test images of {size.classes} classes, "
            f"{size.width}x{size.height} pixels"
        )
    files = [field for field in kind.Params.model_fields if field in _SPLITS or field in _required(kind)]
    mapping = {"name": "photos", "format": name} | dict.fromkeys(files, "PATH")
    yield from _in_an_experiment(f"dataset: {_flow(mapping) if files else name}")


def _in_an_experiment(*lines: str) -> list[str]:
    return ["in an experiment:", *(f"  {line}" for line in lines)]


def _flow(value: Any) -> str:
    # A width that nothing reaches: YAML would break the line.
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000).rstrip()


def _required(kind: type[Plugin[Any]]) -> list[str]:
    return [field for field, info in kind.Params.model_fields.items() if info.is_required()]


def _placeholders(kind: type[Plugin[Any]]) -> dict[str, str]:
    return {field: field.upper() for field in _required(kind)}


def _deciding(kind: type[Plugin[Any]], cost: Callable[[Any], object]) -> list[str]:
    """Return the parameters on which a cost depends: those of which another value changes it, all others as usual."""
    usual = kind().params
    return [
        field
        for field, info in kind.Params.model_fields.items()
        if any(
            cost(changed) != cost(kind())
            for value in _others(getattr(usual, field), info.annotation)
            if (changed := _with(kind, field, value)) is not None
        )
    ]


def _others(value: Any, annotation: Any) -> list[Any]:
    """Return values that a parameter may have instead; those that it may not are sorted out later."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return [value + 1, value - 1]
    if isinstance(value, tuple):
        return [value[:-1], value + value[:1]]
    return [*get_args(annotation)] if isinstance(value, str) else [1, (0, 1)]


def _with(kind: type[Plugin[Any]], field: str, value: Any) -> Any:
    try:
        return kind(kind.Params.model_validate({field: value}))
    except ValidationError:
        return None


def _by(names: list[str]) -> str:
    *most, last = names or [""]
    listed = f"{', '.join(most)} and {last}" if most else last
    return f" (by {listed})" if names else ""
