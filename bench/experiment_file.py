"""Reading experiment files: names, profiles, overrides, and errors that point at file, field and line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from bench.errors import SepbenchError
from bench.recipe import Recipe
from bench.registry import UnknownName
from bench.spec import Experiment, FieldError, describe
from bench.tables import TableLayout

_MODELS: dict[str, Any] = {"": Experiment, "recipe": Recipe, "table": TableLayout}


def experiment_names() -> list[str]:
    """Return the names of the shipped experiments."""
    folder = files("bench.experiments")
    return sorted(path.name.removesuffix(".yaml") for path in folder.iterdir() if path.name.endswith(".yaml"))


def load_experiment(name: str, *, profile: str | None = None, overrides: Sequence[str] = ()) -> Experiment:
    """Read a shipped experiment by name, or an experiment file by its path.

    Parameters
    ----------
    name
        As `sepbench ls experiments` lists it, or a path that ends in .yaml or .yml.
    profile
        A set of overrides that the file carries under `profiles`.
    overrides
        `field=value` each, dotted fields and YAML values, applied after the profile.

    Raises
    ------
    SepbenchError
        Names the file, line and field of the first mistake.

    """
    source = _Source.read(name)
    content = dict(source.content)
    profiles = content.pop("profiles", {})
    changes: dict[tuple[str, ...], str] = {}
    if profile is not None:
        if not isinstance(profiles, Mapping) or profile not in profiles:
            raise UnknownName(f"profile of {source.label}", profile, profiles)
        for field, value in profiles[profile].items():
            _assign(content, field, value)
            changes[tuple(field.split("."))] = f"{source.label}: profile {profile}"
    for override in overrides:
        field, equals, text = override.partition("=")
        if not equals or not field:
            raise SepbenchError(f"--set {override}: write --set FIELD=VALUE, such as --set recipe.epochs=5")
        _assign(content, field, _yaml_value(override, text))
        changes[tuple(field.split("."))] = f"--set {override}"
    try:
        return Experiment.model_validate({**content, "profile": profile, "overrides": list(overrides)})
    except ValidationError as error:
        raise SepbenchError(_explain(error, source, changes)) from error


@dataclass(frozen=True)
class _Source:
    label: str
    content: Mapping[str, Any]
    node: yaml.Node

    @classmethod
    def read(cls, name: str) -> "_Source":
        if name.endswith((".yaml", ".yml")):
            path = Path(name)
            if not path.is_file():
                raise SepbenchError(
                    f"there is no experiment file {name}: check the path, or see sepbench ls experiments"
                )
            label, text = name, path.read_text(encoding="utf-8")
        elif name in experiment_names():
            label = f"{name}.yaml"
            text = (files("bench.experiments") / label).read_text(encoding="utf-8")
        else:
            raise UnknownName("experiment", name, experiment_names())
        try:
            node, content = yaml.compose(text), yaml.safe_load(text)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f"{label}:{mark.line + 1}" if mark else label
            raise SepbenchError(f"{where}: this is not YAML: {getattr(error, 'problem', error)}") from error
        if node is None or not isinstance(content, dict):
            raise SepbenchError(f"{label}: an experiment file is a mapping of fields, such as name: my-experiment")
        return cls(label, content, node)

    def line(self, path: Sequence[str | int]) -> int:
        """Return the 1-based line of the deepest part of `path` that the file holds."""
        node, line = self.node, 1
        for part in path:
            found = None
            if isinstance(node, yaml.MappingNode):
                for key_node, value_node in node.value:
                    if key_node.value == str(part):
                        found, line = value_node, key_node.start_mark.line + 1
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                found = node.value[part]
                line = found.start_mark.line + 1
            if found is None:
                break
            node = found
        return line


def _assign(content: dict[str, Any], field: str, value: Any) -> None:
    parts = field.split(".")
    place = content
    for part in parts[:-1]:
        below = place.get(part, {})
        if isinstance(below, str):  # a name alone, such as recipe: sep-2023
            below = {"name": below}
        if not isinstance(below, Mapping):
            raise SepbenchError(f"{field} cannot be set: {part} is not a mapping of fields")
        place[part] = dict(below)
        place = place[part]
    place[parts[-1]] = value


def _yaml_value(override: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SepbenchError(f"--set {override}: the value is not YAML") from error


def _explain(error: ValidationError, source: _Source, changes: Mapping[tuple[str, ...], str]) -> str:
    first = error.errors()[0]
    cause = first.get("ctx", {}).get("error")
    path = tuple(first["loc"]) + (cause.path if isinstance(cause, FieldError) else ())
    model = _MODELS.get(".".join(str(part) for part in path[:-1]))
    message = describe(first, list(model.model_fields) if model else [])
    # Discriminator tags and the like stand in pydantic's locations but not in the file.
    field = ".".join(str(part) for part in path)
    for changed, origin in reversed(list(changes.items())):
        if path[: len(changed)] == changed or changed[: len(path)] == path != ():
            return f"{origin}: {field}: {message}"
    return f"{source.label}:{source.line(path)}: {field + ': ' if field else ''}{message}"
