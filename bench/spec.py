"""What a person asks for: an experiment, and the cells it spans."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    field_validator,
    model_validator,
)

from bench.budget import Budget
from bench.data.spec import DatasetSpec
from bench.defense import Defenses
from bench.errors import SepbenchError
from bench.keys import canonical
from bench.method import METHODS, Method
from bench.networks import ARCHITECTURES
from bench.recipe import Recipe
from bench.tables import TableLayout


class FieldError(SepbenchError):
    """A mistake in a part of a field, given by its path below that field."""

    def __init__(self, path: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.path = path


class MethodRow(BaseModel):
    """A method with its parameters: one row of a table. `params` is the method's own validated `Params`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    params: Any

    def build(self) -> Method:
        """Return the method, ready to craft."""
        return METHODS.get(self.name)(self.params)

    def params_json(self) -> dict[str, Any]:
        """Return every parameter, defaults included, as JSON."""
        fields: dict[str, Any] = self.params.model_dump(mode="json")
        return fields


def _architecture(name: Any) -> str:
    ARCHITECTURES.get(str(name))
    return str(name)


def _budget(value: Any) -> Budget:
    return value if isinstance(value, Budget) else Budget.parse(str(value))


def _defense(value: Any) -> Defenses:
    return value if isinstance(value, Defenses) else Defenses.parse(value)


def _dataset(value: Any) -> DatasetSpec:
    return value if isinstance(value, DatasetSpec) else DatasetSpec.parse(value)


ArchitectureName = Annotated[str, BeforeValidator(_architecture)]
BudgetField = Annotated[Budget, BeforeValidator(_budget), PlainSerializer(str)]
DefenseField = Annotated[Defenses, BeforeValidator(_defense), PlainSerializer(str)]
Seeds = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1, strict=False)]


class Experiment(BaseModel):
    """Methods by budgets by victims by defenses by seeds, under one recipe on one data set.

    Attributes
    ----------
    surrogate
        Architecture of the protecting network, where a method does not name its own.
    seeds
        Victim seeds: initial weights, order, augmentation.
    surrogate_seeds, craft_seeds
        Independent crafting replicates; every protected set is judged by every victim seed.
    profile, overrides
        How the experiment was changed from its file: such results are never shown as the unchanged one's.

    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    title: str = ""
    recipe: Recipe
    dataset: Annotated[DatasetSpec, BeforeValidator(_dataset)]
    surrogate: ArchitectureName
    budgets: Annotated[tuple[BudgetField, ...], Field(strict=False)] = ()
    methods: tuple[MethodRow, ...]
    victims: Annotated[tuple[ArchitectureName, ...], Field(min_length=1, strict=False)]
    defenses: Annotated[tuple[DefenseField, ...], Field(min_length=1, strict=False)] = (Defenses.parse("plain"),)
    seeds: Seeds = (0,)
    surrogate_seeds: Seeds = (0,)
    craft_seeds: Seeds = (0,)
    table: TableLayout = TableLayout()
    profile: str | None = None
    overrides: Annotated[tuple[str, ...], Field(strict=False)] = ()

    @field_validator("methods", mode="before")
    @classmethod
    def _expand_methods(cls, value: Any) -> Any:
        """Read names and mappings of parameters; a parameter given as a list of values is a row for each."""
        if not isinstance(value, list) or not value:
            raise SepbenchError("methods is a list of names, or of one name with a mapping of parameters")
        rows = [row for index, entry in enumerate(value) for row in _rows(index, entry)]
        if all(row.name != "none" for row in rows):
            rows.insert(0, MethodRow(name="none", params=METHODS.get("none").Params()))
        return tuple(rows)

    @field_validator("victims", "defenses", "seeds", "surrogate_seeds", "craft_seeds", "budgets")
    @classmethod
    def _no_repeats(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        names = [str(item) for item in value]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise SepbenchError(f"{', '.join(repeated)} stands here more than once")
        return value

    @model_validator(mode="after")
    def _possible(self) -> "Experiment":
        for row in self.methods:
            method = row.build()
            if method.norms:
                self._check_budgets(row.name, method)
            for surrogate in method.needs():
                if surrogate.network is not None:
                    ARCHITECTURES.get(surrogate.network)
                surrogate.epochs(self.recipe.epochs)
        return self

    def _check_budgets(self, name: str, method: Method) -> None:
        usable = [budget for budget in self.budgets if budget.norm in method.norms]
        if not usable:
            raise SepbenchError(
                f"method '{name}' needs a budget of norm {' or '.join(method.norms)}, and budgets has none: "
                f"add one, such as budgets: [linf-8]"
            )
        if any(budget.size == 0 for budget in usable):
            raise SepbenchError(f"a budget of zero lets method '{name}' change nothing: give a positive budget")

    def cells(self) -> list["Cell"]:
        """Return every cell, clean references included, in the order of the table's rows."""
        found: dict[str, Cell] = {}
        for row in self.methods:
            for cell in self._cells_of(row):
                found.setdefault(cell.identity(), cell)
        return list(found.values())

    def _cells_of(self, row: MethodRow) -> Iterator["Cell"]:
        method = row.build()
        budgets: list[Budget | None] = [b for b in self.budgets if b.norm in method.norms]
        surrogate_seeds = self.surrogate_seeds if method.needs() else self.surrogate_seeds[:1]
        craft_seeds = self.craft_seeds if method.norms else self.craft_seeds[:1]
        for combination in itertools.product(
            budgets if method.norms else [None],
            surrogate_seeds,
            craft_seeds,
            self.victims,
            self.defenses,
            self.seeds,
        ):
            budget, surrogate_seed, craft_seed, victim, defense, seed = combination
            yield Cell(row, budget, victim, defense, seed, surrogate_seed, craft_seed)


@dataclass(frozen=True)
class Cell:
    """One victim run: what was done to the images, and who trains on them."""

    method: MethodRow
    budget: Budget | None
    victim: str
    defense: Defenses
    seed: int
    surrogate_seed: int
    craft_seed: int

    def identity(self) -> str:
        """Return one text that tells this cell from every other of its experiment."""
        return canonical({**self.fields(), "method_params": self.method.params_json()})

    def fields(self) -> dict[str, Any]:
        """Return the cell's identity as it stands in a record, but for the method's parameters."""
        return {
            "method": self.method.name,
            "norm": self.budget.norm if self.budget else None,
            "budget": self.budget.size if self.budget else None,
            "victim": self.victim,
            "defense": str(self.defense),
            "seed": self.seed,
            "surrogate_seed": self.surrogate_seed,
            "craft_seed": self.craft_seed,
        }

    def __str__(self) -> str:
        protected = f"{self.method.name} {self.budget}" if self.budget else self.method.name
        return f"{protected} · {self.victim} · {self.defense} · seed {self.seed}"


def _rows(index: int, entry: Any) -> list[MethodRow]:
    if isinstance(entry, str):
        entry = {entry: {}}
    if not (isinstance(entry, dict) and len(entry) == 1):
        raise FieldError((index,), f"{entry!r} is not a method: write its name, or one name with its parameters")
    name, given = next(iter(entry.items()))
    try:
        kind = METHODS.get(name)
    except SepbenchError as error:
        raise FieldError((index,), str(error)) from error
    return [
        MethodRow(name=name, params=_validated(kind, (index, name), one)) for one in _combinations(kind, given or {})
    ]


def _validated(kind: type[Method], path: tuple[str | int, ...], given: dict[str, Any]) -> Any:
    try:
        return kind.Params.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        known = list(kind.Params.model_fields)
        raise FieldError((*path, *first["loc"]), describe(first, known)) from error


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


def describe(error: Any, known: list[str]) -> str:
    """Return one of pydantic's error entries as a clause for a person."""
    import difflib

    if error["type"] == "extra_forbidden":
        field = str(error["loc"][-1])
        close = difflib.get_close_matches(field, known, n=2, cutoff=0.5)
        hint = f"did you mean {' or '.join(close)}?" if close else f"known fields: {', '.join(known)}"
        return f"there is no such field; {hint}"
    if error["type"] == "missing":
        return "this field is missing"
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    message = str(error["msg"])
    return f"{message[0].lower()}{message[1:]}, not {error['input']!r}"
