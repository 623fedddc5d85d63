"""A YAML file whose fields can be found again by line."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import yaml

from bench.core.errors import SepbenchError
from bench.spec.yaml_text import NotYaml, composed, yaml_problem


@dataclass(frozen=True)
class YamlFile:
    """The mapping that a YAML text holds.

    Attributes
    ----------
    label
        What messages call it: its path as the person gave it.

    """

    label: str
    content: Mapping[str, Any]
    _root: yaml.Node

    @classmethod
    def parse(cls, label: str, data: bytes) -> "YamlFile":
        """Read a mapping of fields; raises `SepbenchError` with the line for anything else, or a repeated field."""
        try:
            text = data.decode()
            root, content = composed(text)
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise SepbenchError(f"{label}:{line}: this is not text in UTF-8: save the file in that encoding") from error
        except NotYaml as error:
            where = label if error.line is None else f"{label}:{error.line}"
            if error.deep:
                raise SepbenchError(f"{label}: what is written here is nested too deeply: write it flat") from error
            raise SepbenchError(f"{where}: this is not YAML: {error}") from error
        if root is None or not isinstance(content, dict):
            what = "the file is empty" if root is None else "this is not a mapping of fields"
            raise SepbenchError(f"{label}: {what}: write fields, such as name: my-experiment")
        for node in _scalars(root, set()):
            if not node.value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in node.value):
                line = node.start_mark.line + 1
                raise SepbenchError(f"{label}:{line}: {node.value!a} holds half a character: write the whole one")
        for key in _repeated(root, set()):
            line = key.start_mark.line + 1
            raise SepbenchError(f"{label}:{line}: {key.value} stands here a second time: remove one of the two")
        return cls(label, content, root)

    @classmethod
    def of(cls, label: str, content: Mapping[str, Any]) -> "YamlFile":
        """Return a mapping that stands in no file; raises `SepbenchError` where it holds what YAML has no form for."""
        read = yaml.safe_load(as_yaml(label, {str(key): value for key, value in content.items()}))
        return cls(label, read, yaml.MappingNode("", []))

    def place(self, path: Sequence[str | int]) -> str:
        """Return `label:line` of the deepest part of `path` that the file holds, `label` where it holds none."""
        node, line = self._root, None
        for part in path:
            found = _below(node, part)
            if found is None:
                break
            key, node = found
            line = key.start_mark.line + 1
        return self.label if line is None else f"{self.label}:{line}"


class _Dumper(yaml.SafeDumper):
    """What is safe, and paths."""


_Dumper.add_multi_representer(PurePath, lambda dumper, path: dumper.represent_str(str(path)))


def as_yaml(what: str, value: Any) -> str:
    """Return a value as YAML in one line; raises `SepbenchError` for `what` holds more than plain data and paths."""
    try:
        text = yaml.dump(value, Dumper=_Dumper, default_flow_style=True, width=math.inf, sort_keys=False)
    except yaml.YAMLError as error:
        odd = type(error.args[1]).__name__ if len(error.args) > 1 else yaml_problem(error)
        raise SepbenchError(f"{what} holds a {odd}: write text, numbers, lists and mappings") from error
    except RecursionError as error:
        raise SepbenchError(f"{what} is nested too deeply: write it flat") from error
    return str(text).removesuffix("\n").removesuffix("\n...")


def _below(node: yaml.Node, part: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    """Return where the part begins, and its value."""
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == str(part)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None


def _scalars(node: yaml.Node, seen: set[int]) -> Iterator[yaml.ScalarNode]:
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        yield node
    elif isinstance(node, yaml.MappingNode | yaml.SequenceNode):
        for part in node.value:
            for below in part if isinstance(part, tuple) else [part]:
                yield from _scalars(below, seen)


def _repeated(node: yaml.Node, seen: set[int]) -> Iterator[yaml.Node]:
    """Yield each key that its mapping has already; YAML would silently keep the last."""
    if id(node) in seen:  # an anchor may stand for what holds it
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        names: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in names:
                    yield key
                names.add(key.value)
            yield from _repeated(value, seen)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _repeated(item, seen)
