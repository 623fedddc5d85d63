"""Reading experiment files: names, profiles, overrides, and errors that point at file, field and line."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, get_origin

from pydantic import ValidationError

from bench.contracts.augment import Augmentation
from bench.contracts.normalisation import Constants
from bench.core.errors import FieldError, SepbenchError
from bench.core.outside import bytes_of
from bench.core.registry import UnknownName
from bench.core.shipped import shipped
from bench.core.validation import describe, first_mistake, no_such_field
from bench.engine.recipe import (
    Cosine,
    OneCycle,
    Recipe,
    Steps,
)
from bench.spec.choosing import in_reach
from bench.spec.experiment import Experiment
from bench.spec.layout import TableLayout
from bench.spec.yaml_file import YamlFile
from bench.spec.yaml_text import NotYaml, value_of

_LARGEST = 2**18  # bytes of an experiment file
_Path = tuple[str | int, ...]
_COMMAND_LINE_FIELDS = {"profile", "overrides"}
_FIELDS: dict[str, list[str]] = {
    "": [*(field for field in Experiment.model_fields if field not in _COMMAND_LINE_FIELDS), "profiles"],
    "recipe": list(Recipe.model_fields),
    "recipe.augmentation": list(Augmentation.model_fields),
    "recipe.normalisation.own": list(Constants.model_fields),
    "recipe.schedule.steps": list(Steps.model_fields),
    "recipe.schedule.cosine": list(Cosine.model_fields),
    "recipe.schedule.one-cycle": list(OneCycle.model_fields),
    "table": list(TableLayout.model_fields),
}
_LISTS = {name for name, field in Experiment.model_fields.items() if get_origin(field.annotation) is tuple}
# What its results are called and how they are shown: the records are the same.
_SHOWN = {"table", "title"}
# Where the same images lie on this machine.
_LOCATIONS = {f"dataset.{field}" for field in ("train", "test", "root", "path", "download")}


def experiment_names() -> list[str]:
    """Return the names of the shipped experiments."""
    return shipped("bench.experiments")


def load_experiment(
    name: str | Mapping[str, Any], *, profile: str | None = None, overrides: Sequence[str] = ()
) -> Experiment:
    """Read a shipped experiment by name, an experiment file by its path, or the fields of one.

    Parameters
    ----------
    name
        As `sepbench ls experiments` lists it, a path that ends in .yaml or .yml, or what such a file holds.
    profile
        A set of overrides that the file carries under `profiles`.
    overrides
        `field=value` each, dotted fields and YAML values, applied after the profile. Those that only say where
        the data set lies, or what the table shows, do not count as a change of the experiment. Values that the file
        excludes, and that no cell has any more, are dropped.

    Raises
    ------
    SepbenchError
        Names the file, line and field of the first mistake.

    """
    source = _read(name) if isinstance(name, str) else YamlFile.of("the experiment", name)
    content = dict(source.content)
    profiles = content.pop("profiles", None)
    changes = [*_of_profile(source, profiles, profile), *map(_of_override, overrides)]
    for change in changes:
        change.apply(content)
    if changes and content.get("exclude") and _change(("exclude",), changes) is None:
        content["exclude"] = _exclusions_left(source, content)
    for field in sorted(field for field in _COMMAND_LINE_FIELDS if content.get(field)):
        clause = no_such_field(field, _known((), _change((field,), changes)))
        raise SepbenchError(f"{_where((field,), source, changes)}: {field}: {clause}")
    try:
        return Experiment.model_validate({**content, "profile": profile, "overrides": counted(overrides)})
    except ValidationError as error:
        raise SepbenchError(_explain(error, source, content, changes)) from error


def with_overrides(content: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return fields after `field=value` each was set; raises `SepbenchError` for what is written otherwise."""
    changed = dict(content)
    for text in overrides:
        _of_override(text).apply(changed)
    return changed


def counted(overrides: Sequence[str]) -> list[str]:
    """Return those overrides that change what is run, not only the place of its data set or what its table shows."""
    return [text for text in overrides if not _is_view(text.partition("=")[0])]


def _is_view(field: str) -> bool:
    return field in _LOCATIONS or field.partition(".")[0] in _SHOWN


def _read(name: str) -> YamlFile:
    if name.endswith((".yaml", ".yml")):
        try:
            return YamlFile.parse(name, bytes_of(Path(name), _LARGEST, "an experiment"))
        except FileNotFoundError as error:
            raise SepbenchError(
                f"there is no experiment file {name}: check the path, or see sepbench ls experiments"
            ) from error
        except OSError as error:
            raise SepbenchError(f"{name} cannot be read ({error.strerror}): name a readable file") from error
    if name in experiment_names():
        return YamlFile.parse(f"{name}.yaml", (files("bench.experiments") / f"{name}.yaml").read_bytes())
    if Path(name).is_file():
        raise SepbenchError(f"{name} is not an experiment file: its name must end in .yaml")
    if Path(name).is_dir():
        raise SepbenchError(
            f"{name} is a folder, not an experiment: sepbench protect {name} --out FOLDER protects the pictures in it, "
            "and sepbench ls experiments lists the experiments"
        )
    beside = [f"{name}.yaml"] if Path(f"{name}.yaml").is_file() else []
    raise UnknownName("experiment", name, [*experiment_names(), *beside])


def _exclusions_left(source: YamlFile, content: Mapping[str, Any]) -> Any:
    """Return what a file leaves out, without the values that its own cells have and the changed ones do not."""
    whole = {field: value for field, value in source.content.items() if field != "profiles"}
    try:
        excluded = Experiment.model_validate(whole).exclude
        cells = Experiment.model_validate({**content, "exclude": ()}).cells()
    except ValidationError:  # which is told of the changed one
        return content["exclude"]
    return [entry for one in excluded if (entry := in_reach(cells, one)) is not None]


@dataclass(frozen=True)
class _Change:
    """One field set by a profile or on the command line."""

    field: tuple[str, ...]
    value: Any
    origin: str
    source: YamlFile | None = None
    place: tuple[str, ...] = ()

    def apply(self, content: dict[str, Any]) -> None:
        """Set the field, and make mappings of those above it."""
        above, last = content, self.field[-1]
        for depth, part in enumerate(self.field[:-1]):
            below = above.get(part, {})
            if depth == 0 and part in ("recipe", "dataset") and isinstance(below, str):
                below = {"name": below}
            if not isinstance(below, Mapping):
                raise SepbenchError(f"{self.where()}: {part} is not a mapping of fields: set {part} as a whole")
            above[part] = dict(below)
            above = above[part]
        above[last] = [self.value] if _is_one_of_several(self.field, self.value) else self.value

    def where(self, below: Sequence[str | int] = ()) -> str:
        """Return where it was written, down to a part of the value."""
        return f"{self.source.place((*self.place, *below))}: {self.origin}" if self.source else self.origin

    def touches(self, path: _Path) -> bool:
        """Tell whether the path leads into the value, or ends above the field."""
        depth = min(len(path), len(self.field))
        return depth > 0 and path[:depth] == self.field[:depth]


def _of_profile(source: YamlFile, profiles: Any, name: str | None) -> Iterator[_Change]:
    where = source.place(("profiles", name or ""))
    if not (profiles is None or isinstance(profiles, dict)):
        raise SepbenchError(f"{where}: profiles: must be a mapping of names to changed fields")
    if name is None:
        return
    if not profiles:
        raise SepbenchError(f"{source.label} has no profiles: leave --profile {name} out")
    if name not in profiles:
        raise SepbenchError(f"{source.label}: {UnknownName('profile', name, map(str, profiles))}")
    if not isinstance(profiles[name], dict) or not all(_is_field(field) for field in profiles[name]):
        raise SepbenchError(f"{where}: profile {name}: must be a mapping of changed fields, such as recipe.epochs: 5")
    for field, value in profiles[name].items():
        yield _Change(tuple(field.split(".")), value, f"profile {name}", source, ("profiles", name, field))


def _of_override(text: str) -> _Change:
    field, equals, value = text.partition("=")
    if not (equals and _is_field(field)):
        raise SepbenchError(f"--set {text}: write --set FIELD=VALUE, such as --set recipe.epochs=5")
    try:
        return _Change(tuple(field.split(".")), value_of(value), f"--set {text}")
    except NotYaml as error:
        raise SepbenchError(f"--set {text}: the value is not YAML: {error}") from error


def _is_one_of_several(field: Sequence[str], value: Any) -> bool:
    """Tell whether a value is the only one of a field that takes a list of names, numbers or methods."""
    return len(field) == 1 and field[0] in _LISTS and isinstance(value, str | int | float | Mapping)


def _is_field(text: Any) -> bool:
    return isinstance(text, str) and all(text.split("."))


def _explain(error: ValidationError, source: YamlFile, content: Mapping[str, Any], changes: Sequence[_Change]) -> str:
    mistake = first_mistake(error)
    location = mistake["loc"]
    clause = describe(mistake, _known(location[:-1], _change(location, changes)))
    cause = mistake.get("ctx", {}).get("error")
    missing = location[-1:] if mistake["type"] == "missing" else ()
    below = cause.path if isinstance(cause, FieldError) else missing
    path = (*_as_written(location[: len(location) - len(missing)], content), *below)
    field = ".".join(map(str, path))
    named = not field or clause.startswith((f"{field}:", f"{field}."))
    advice = f": add it, or give it with --set {field}=VALUE" if missing else ""
    return f"{_where(path, source, changes)}: {'' if named else f'{field}: '}{clause}{advice}"


def _change(path: _Path, changes: Sequence[_Change]) -> _Change | None:
    return next((change for change in reversed(changes) if change.touches(path)), None)


def _where(path: _Path, source: YamlFile, changes: Sequence[_Change]) -> str:
    change = _change(path, changes)
    return change.where(path[len(change.field) :]) if change else source.place(path)


def _known(above: _Path, change: _Change | None) -> list[str]:
    fields = _FIELDS.get(".".join(map(str, above)), [])
    return [field for field in fields if field != "profiles" or change is None]  # a profile holds no profiles


def _as_written(path: _Path, content: Any) -> _Path:
    """Drop from a path the parts that stand in no file: pydantic names the alternative of a union it has tried."""
    kept: list[str | int] = []
    for part in path:
        listed = isinstance(content, list) and isinstance(part, int) and part < len(content)
        if listed or (isinstance(content, Mapping) and part in content):
            content = content[part]
            kept.append(part)
    return tuple(kept)
