"""YAML as a person or a stranger wrote it: plain values only, and no more of them than are written."""

from typing import Any

import yaml
from yaml.composer import ComposerError

_MOST = 100_000
"""Values that a text may stand for: with anchors a few lines can stand for more than any memory holds."""


class NotYaml(ValueError):  # noqa: N818 - reads as what it is
    """A text is no YAML that is read here; the message says why, in one line.

    Attributes
    ----------
    line
        Where, counted from 1; None where that is not known.
    deep
        Whether it is nested too deeply.

    """

    def __init__(self, why: str, line: int | None = None, *, deep: bool = False) -> None:
        super().__init__(why)
        self.line, self.deep = line, deep


def composed(text: str) -> tuple[yaml.Node | None, Any]:
    """Return the nodes of a text and the value that it stands for, of plain data; raises `NotYaml`."""
    try:
        root = yaml.compose(text, yaml.SafeLoader)
        if root is not None and _size(root, {}) > _MOST:
            raise NotYaml(f"its anchors stand for more than {_MOST:,} values: write out what is meant")
        return root, yaml.safe_load(text)
    except NotYaml:
        raise
    except RecursionError as error:
        raise NotYaml(str(error), deep=True) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise NotYaml(yaml_problem(error), mark.line + 1 if mark else None) from error
    # What a tag makes of a text that is none of its kind: ValueError, IndexError, KeyError, AttributeError.
    except Exception as error:
        known = isinstance(error, ValueError)
        raise NotYaml(str(error).partition("\n")[0] if known else "a tag does not fit what stands behind it") from error


def value_of(text: str) -> Any:
    """Return the value that a text stands for; raises `NotYaml`."""
    return composed(text)[1]


def yaml_problem(error: Exception) -> str:
    """Return in one line what makes a text no YAML."""
    problem = str(getattr(error, "problem", None) or error).partition("\n")[0]
    return f"{error.context}, {problem}" if isinstance(error, ComposerError) and error.context else problem


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """Return how many values a node stands for, each as often as it is repeated; one within itself counts once."""
    if id(node) in known:
        return known[id(node)]
    known[id(node)] = 1
    parts = node.value if isinstance(node, yaml.MappingNode | yaml.SequenceNode) else ()
    below = (one for part in parts for one in (part if isinstance(part, tuple) else (part,)))
    known[id(node)] = 1 + sum(_size(one, known) for one in below)
    return known[id(node)]
