"""The axes on which experiments vary and tables are laid out, each defined once."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.core.keys import canonical
from bench.core.norms import budget_text
from bench.spec.names import (
    NOTHING,
    REFERENCES,
    as_text,
    defense_label,
    method_label,
)

AxisValue = Any
"""A name or a number; (name, canonical JSON of its parameters) for a method, (norm, size) for a budget.

None where a run has no value of its own on the axis and stands beside those that have one.
"""

Fields = Mapping[str, Any]
"""Fields of a record by their names."""

SEEDS = ("seed", "surrogate_seed", "craft_seed")


@dataclass(frozen=True)
class Axis:
    """One thing in which runs may differ, with how it is read from records and told to people.

    Attributes
    ----------
    name
        What an axis is called in experiments; a record field is called so too.
    title, plural
        What it is called in text.
    listed
        The field of an experiment that lists its values; of several there is a column for each, also where the layout
        leaves the axis out. None where an experiment has one value, or a row for each.
    usual
        The value that needs no mention; None where each does.
    of_release
        Whether it says what was released, rather than who trains on it and how: rows of a leaderboard that differ in
        it are compared with each other.

    """

    name: str
    title: str
    plural: str
    listed: str | None = None
    usual: AxisValue = None
    of_release: bool = False

    @property
    def fields(self) -> tuple[str, ...]:
        """The record fields that hold a value."""
        return (self.name,)

    def read(self, record: Fields) -> AxisValue:
        """Return the value of a record, None where the axis is free for it."""
        return record[self.name]

    def write(self, value: AxisValue) -> dict[str, Any]:
        """Return the record fields of a value."""
        return {self.name: value}

    def label(self, value: AxisValue, among: Sequence[AxisValue] = ()) -> str:
        """Return what a value is called below the axis's title, `among` the values that stand beside it."""
        return NOTHING if value is None else as_text(value)

    def phrase(self, value: AxisValue, among: Sequence[AxisValue] = ()) -> str:
        """Return what a value is called where no title stands above it."""
        return f"{self.title} {self.label(value, among)}"

    def mark(self, value: AxisValue) -> str:
        """Return what is said beside the name of a run whose value is not the usual one."""
        return self.phrase(value)

    def order(self, values: Sequence[AxisValue], wanted: Sequence[AxisValue] = ()) -> list[AxisValue]:
        """Return different values in the order they are shown: numbers rising, names as they come, first what is free.

        `wanted` is an order to follow where there is one.
        """
        numbers = all(isinstance(value, int | float) for value in values if value is not None)
        return sorted(values, key=lambda value: (value is not None, value if numbers and value is not None else 0))

    def texts(self, record: Fields) -> list[str]:
        """Return what a person may write for the value of a record, the usual way first."""
        value = record[self.name]
        return [as_text(value), str(value), self.label(value)]

    def offers(self, values: Sequence[AxisValue]) -> list[tuple[str, str, list[str]]]:
        """Return what to choose by where values must not be mixed: what there are several of, a field, its texts."""
        return [(self.plural, self.name, [as_text(value) for value in values if value is not None])]


class _Method(Axis):
    """A protection method with its parameters."""

    @property
    def fields(self) -> tuple[str, ...]:
        return ("method", "method_params")

    def read(self, record: Fields) -> AxisValue:
        return record["method"], canonical(record["method_params"])

    def write(self, value: AxisValue) -> dict[str, Any]:
        return {"method": value[0], "method_params": json.loads(value[1])}

    def label(self, value: AxisValue, among: Sequence[AxisValue] = ()) -> str:
        variants = [json.loads(params) for name, params in among if name == value[0]]
        return method_label(value[0], json.loads(value[1]), variants)

    def order(self, values: Sequence[AxisValue], wanted: Sequence[AxisValue] = ()) -> list[AxisValue]:
        """Return references first, then those that an order is given for, then the others as they come."""
        rest = [value for value in values if value not in wanted]
        references = [value for name in REFERENCES for value in rest if value[0] == name]
        others = [value for value in rest if value not in references]
        return [*references, *(value for value in wanted if value in values), *others]

    def texts(self, record: Fields) -> list[str]:
        return [record["method"]]

    def offers(self, values: Sequence[AxisValue]) -> list[tuple[str, str, list[str]]]:
        names, params = [name for name, _ in values], [params for _, params in values]
        return [(self.plural, "method", names), ("settings of one method", "method_params", params)]


class _Budget(Axis):
    """A norm with a size, which `unbounded` has not; free for what adds nothing to the images."""

    @property
    def fields(self) -> tuple[str, ...]:
        return ("norm", "budget")

    def read(self, record: Fields) -> AxisValue:
        return None if record["norm"] is None else (record["norm"], record["budget"])

    def write(self, value: AxisValue) -> dict[str, Any]:
        norm, size = value or (None, None)
        return {"norm": norm, "budget": size}

    def label(self, value: AxisValue, among: Sequence[AxisValue] = ()) -> str:
        return NOTHING if value is None else budget_text(*value)

    def order(self, values: Sequence[AxisValue], wanted: Sequence[AxisValue] = ()) -> list[AxisValue]:
        """Return norms as they come, each with its sizes rising, first what is free."""
        norms = list(dict.fromkeys(value[0] for value in values if value is not None))
        return sorted(values, key=lambda value: (-1, 0) if value is None else (norms.index(value[0]), value[1] or 0))

    def texts(self, record: Fields) -> list[str]:
        if record["norm"] is None:
            return [as_text(None)]
        size = record["budget"]
        return [budget_text(record["norm"], size), *([] if size is None else [as_text(size)])]

    def offers(self, values: Sequence[AxisValue]) -> list[tuple[str, str, list[str]]]:
        return [(self.plural, self.name, [self.label(value) for value in values if value is not None])]


class _Defense(Axis):
    """What an appropriator does against the protection, in words wherever people look at it."""

    def label(self, value: AxisValue, among: Sequence[AxisValue] = ()) -> str:
        return defense_label(value)


class _Share(Axis):
    """The share of the training images that is protected; free for `none`, whose images are nobody's release."""

    def read(self, record: Fields) -> AxisValue:
        return None if record["method"] == "none" else record[self.name]

    def write(self, value: AxisValue) -> dict[str, Any]:
        return {self.name: self.usual if value is None else value}

    def label(self, value: AxisValue, among: Sequence[AxisValue] = ()) -> str:
        return NOTHING if value is None else f"{100 * value:g} %"

    def mark(self, value: AxisValue) -> str:
        return f"{self.label(value)} protected"


class _CleanImages(Axis):
    """How many clean images a victim has besides the release."""

    def label(self, value: AxisValue, among: Sequence[AxisValue] = ()) -> str:
        return f"{value or 'no'} clean image{'s' * (value != 1)}"

    def phrase(self, value: AxisValue, among: Sequence[AxisValue] = ()) -> str:
        return self.label(value)

    def mark(self, value: AxisValue) -> str:
        return f"{value:,} clean image{'s' * (value != 1)} besides"


AXES: dict[str, Axis] = {
    axis.name: axis
    for axis in (
        _Method("method", "method", "methods", of_release=True),
        _Budget("budget", "budget", "budgets", listed="budgets", of_release=True),
        Axis("victim", "victim", "victims", listed="victims"),
        _Defense("defense", "defense", "defenses", listed="defenses"),
        Axis("dataset", "data set", "data sets"),
        Axis("recipe", "recipe", "recipes"),
        _Share(
            *("protected_fraction", "protected fraction", "protected fractions"),
            listed="protected_fractions",
            usual=1.0,
            of_release=True,
        ),
        _CleanImages("clean_images", "clean images", "numbers of clean images", listed="clean_images", usual=0),
    )
}
"""Every axis by its name. Whatever selects, labels, places or shows iterates over it."""


def axes_in_order(*first: str) -> list[Axis]:
    """Return every axis: those named `first`, then the others."""
    return [AXES[name] for name in dict.fromkeys([*first, *AXES])]


def axis_of(field: str) -> Axis | None:
    """Return the axis that a record field belongs to, None where it belongs to none."""
    return next((axis for axis in AXES.values() if field in axis.fields), None)


def is_usual(axis: Axis, value: AxisValue) -> bool:
    """Return whether a value needs no mention."""
    return value is None or (axis.usual is not None and value == axis.usual)


def unusual_marks(record: Fields) -> list[str]:
    """Return what is said beside the name of a run: a mark for each value that is not the usual one of its axis."""
    values = [(axis, axis.read(record)) for axis in AXES.values() if axis.usual is not None]
    return [axis.mark(value) for axis, value in values if not is_usual(axis, value)]
