"""A method with its parameters, and how people write it."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_serializer

from bench.contracts.method import METHODS, Method
from bench.contracts.network import ARCHITECTURES
from bench.contracts.plugin import default_values
from bench.core.errors import FieldError, SepbenchError
from bench.core.keys import canonical
from bench.core.validation import describe, first_mistake, shown
from bench.engine.recipe import Recipe
from bench.spec.names import method_label
from bench.spec.surrogates import trained_by


class MethodRow(BaseModel):
    """A method with its parameters: one row of a table. `params` is the method's own validated `Params`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    params: Any

    def build(self) -> Method:
        """Return the method, ready to craft."""
        return METHODS.get(self.name)(self.params)

    @property
    def known_as(self) -> str:
        """What records and tables call it: its name, or that which somebody gave to the images that they brought."""
        brought = self.build().brought
        return self.name if brought is None else brought.called

    @model_serializer
    def _as_written(self) -> dict[str, Any]:
        brought = self.build().brought
        called = {} if brought is None else {"called": brought.called}  # which decides nothing, and is in no key
        return {self.name: self.params_json() | called}

    def params_json(self) -> dict[str, Any]:
        """Return every parameter, defaults included, as JSON."""
        fields: dict[str, Any] = self.params.model_dump(mode="json")
        return fields

    def known_params(self) -> dict[str, Any]:
        """Return the parameters as records have them: none where somebody brought the images."""
        return self.params_json() if self.build().brought is None else {}

    def defaults_json(self) -> dict[str, Any]:
        """Return the default of each parameter that has one, as JSON."""
        return default_values(type(self.params))

    def identity(self) -> str:
        """Return one text that tells this row from every other of its experiment."""
        return canonical({self.name: self.params_json()})


def changed_parameters(
    method: str, params: Mapping[str, Any], defaults: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the parameters that differ from the method's defaults, or all of them where these are not known.

    A parameter that a method has gained since a record was made has its default. Of a method that did not come with
    sepbench only `defaults` count, whether it is installed or not: what records say is the same everywhere.
    """
    if not METHODS.is_ours(method):
        known = defaults or {}
        return {name: value for name, value in params.items() if name not in known or known[name] != value}
    try:
        complete = METHODS.get(method).Params.model_validate(params, strict=False)
    except ValidationError:
        return dict(params)
    changed: dict[str, Any] = complete.model_dump(mode="json", exclude_defaults=True)
    return changed


def row_labels(rows: Sequence[MethodRow]) -> list[str]:
    """Return a name for each row: the method's, with those parameters in which rows of the same method differ."""
    variants: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        variants.setdefault(row.known_as, []).append(row.known_params())
    return [method_label(row.known_as, row.known_params(), variants[row.known_as]) for row in rows]


def read_rows(index: int, entry: Any, recipe: Recipe | None) -> list[MethodRow]:
    """Return the rows that one entry of `methods` stands for: a list of values of a parameter is a row for each.

    Raises `FieldError`, its path below `methods`, for unknown names, wrong parameters, and surrogates that do not
    exist or have fewer epochs in `recipe` than checkpoints are asked of them.
    """
    if isinstance(entry, str):
        entry = {entry: {}}
    if not (isinstance(entry, dict) and len(entry) == 1):
        raise FieldError((index,), f"{shown(entry)} is not a method: write its name, or one name with its parameters")
    name, given = next(iter(entry.items()))
    given = {} if given is None else given
    try:
        kind = METHODS.get(name)
    except SepbenchError as error:
        raise FieldError((index, name), str(error)) from error
    if not isinstance(given, dict):
        raise FieldError((index, name), f"parameters are a mapping, such as {{steps: 10}}, not {shown(given)}")
    for field, value in given.items():
        if value == [] and not _takes_list(kind, field):
            raise FieldError((index, name, field), "a list of values makes a row for each, and this one is empty")
    rows = [MethodRow(name=name, params=_validated(kind, (index, name), one)) for one in _combinations(kind, given)]
    for row in rows:
        _check_surrogates(row, (index, name), recipe)
    return rows


def _validated(kind: type[Method], path: tuple[str | int, ...], given: dict[str, Any]) -> Any:
    try:
        return kind.Params.model_validate(given)
    except ValidationError as error:
        mistake = first_mistake(error)
        known = list(kind.Params.model_fields)
        raise FieldError((*path, *mistake["loc"]), describe(mistake, known)) from error


def _check_surrogates(row: MethodRow, path: tuple[str | int, ...], recipe: Recipe | None) -> None:
    try:
        for surrogate in row.build().needs():
            if surrogate.network is not None:
                ARCHITECTURES.get(surrogate.network)
            if recipe is not None:
                surrogate.epochs(trained_by(surrogate, recipe)[0].epochs)
    except SepbenchError as error:
        raise FieldError(path, str(error)) from error


def _combinations(kind: type[Method], given: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the parameter sets that lists of values span; a field that is itself a list takes lists of lists."""
    choices: list[list[tuple[str, Any]]] = []
    for field, value in given.items():
        several = isinstance(value, list) and (not _takes_list(kind, field) or all(isinstance(v, list) for v in value))
        choices.append([(field, one) for one in (value if several else [value])])
    for combination in itertools.product(*choices):
        yield dict(combination)


def _takes_list(kind: type[Method], field: str) -> bool:
    info = kind.Params.model_fields.get(field)
    return info is not None and any(part in str(info.annotation) for part in ("tuple[", "list["))
