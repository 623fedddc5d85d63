"""What a person asks for: methods by budgets by victims by defenses by seeds."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from bench.contracts.budget import Budget
from bench.contracts.defense import DEFENSES, Defenses
from bench.contracts.method import METHODS, Method
from bench.contracts.network import ARCHITECTURES
from bench.core.errors import FieldError, SepbenchError
from bench.core.keys import key
from bench.core.norms import NORMS
from bench.core.validation import describe, first_mistake, shown
from bench.data.spec import DatasetSpec
from bench.engine.recipe import Recipe
from bench.spec.axes import AXES
from bench.spec.cell import Cell
from bench.spec.choosing import choosing
from bench.spec.layout import TableLayout
from bench.spec.method_row import MethodRow, read_rows, row_labels
from bench.spec.names import NAMES_FILES, as_text, names_files


def _architecture(name: Any) -> str:
    if not isinstance(name, str):
        raise SepbenchError(f"must be the name of an architecture, not {shown(name)}")
    ARCHITECTURES.get(name)
    return name


def _budget(value: Any) -> Budget:
    return value if isinstance(value, Budget) else Budget.parse("" if value is None else str(value))


def _defense(value: Any) -> Defenses:
    if isinstance(value, Defenses):
        return value
    try:
        return Defenses.parse(value)
    except ValidationError as error:
        mistake = first_mistake(error)
        names = _names_of_defenses(value)
        known = [field for name in names if name in DEFENSES for field in DEFENSES.get(name).Params.model_fields]
        where = [value if isinstance(value, str) else "+".join(names), *map(str, mistake["loc"])]
        raise SepbenchError(f"{': '.join(where)}: {describe(mistake, known)}") from error


def _names_of_defenses(value: Any) -> list[str]:
    if isinstance(value, list):
        return [name for one in value for name in _names_of_defenses(one)]
    return list(value) if isinstance(value, dict) else [part.partition(":")[0] for part in value.split("+")]


def _listed(value: Any) -> list[str]:
    values = value if isinstance(value, list | tuple) else [value]
    for one in values:
        if one is None or isinstance(one, list | tuple | dict):
            what = "and nothing is given" if one is None else f"not {shown(one)}"
            raise SepbenchError(f"must be a value or a list of values, {what}")
    return [one if isinstance(one, str) else as_text(one) for one in values]


def _dataset(value: Any) -> DatasetSpec:
    return value if isinstance(value, DatasetSpec) else DatasetSpec.parse(value)


ArchitectureName = Annotated[str, BeforeValidator(_architecture)]
BudgetField = Annotated[Budget, BeforeValidator(_budget), PlainSerializer(str)]
DefenseField = Annotated[Defenses, BeforeValidator(_defense), PlainSerializer(str)]
Fractions = Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(min_length=1, strict=False)]
Counts = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1, strict=False)]
Values = Annotated[list[str], BeforeValidator(_listed), Field(min_length=1)]
Seeds = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1, strict=False)]


def published_name(name: str, profile: str | None, overrides: Sequence[str]) -> str:
    """Return what the files of published results of an experiment are called, changed so."""
    changed = [quote(profile, safe="")] if profile is not None else []
    changed += [key(list(overrides))[:8]] if overrides else []
    return "@".join([name, *changed])


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
    protected_fractions
        Shares of the training images that are protected while the others stay clean, in (0, 1]; which ones, the victim
        seed decides, and a smaller share is part of a larger one.
    clean_images
        How many further clean images, none of the release, the victim has besides; 0 is none.
    exclude
        Cells that are left out: those that have, for every field of an entry, one of the values that stand there, such
        as `{method: [sep, tap], budget: l2-1}`.
    profile, overrides
        How the experiment was changed from its file: such results are never shown as the unchanged one's.

    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)

    name: str
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
    protected_fractions: Fractions = (1.0,)
    clean_images: Counts = (0,)
    exclude: Annotated[tuple[Annotated[dict[str, Values], Field(min_length=1)], ...], Field(strict=False)] = ()
    table: TableLayout = TableLayout()
    profile: str | None = None
    overrides: Annotated[tuple[str, ...], Field(strict=False)] = ()

    @field_validator("name")
    @classmethod
    def _names_files(cls, value: str) -> str:
        if not names_files(value):
            raise SepbenchError(f"'{value}' cannot name files: use {NAMES_FILES}")
        return value

    @field_validator("methods", mode="before")
    @classmethod
    def _expand_methods(cls, value: Any, info: ValidationInfo) -> Any:
        """Read names and mappings of parameters; a parameter given as a list of values is a row for each."""
        if not isinstance(value, list) or not value:
            raise SepbenchError(
                "must be a list of names, or of a name with its parameters, such as [random-noise, {sep: {steps: 10}}]"
            )
        recipe: Recipe | None = info.data.get("recipe")  # none where it has a mistake of its own
        rows = [row for index, entry in enumerate(value) for row in read_rows(index, entry, recipe)]
        if all(row.name != "none" for row in rows):
            rows.insert(0, MethodRow(name="none", params=METHODS.get("none").Params()))
        return tuple(rows)

    @field_validator(
        "victims",
        "defenses",
        "seeds",
        "surrogate_seeds",
        "craft_seeds",
        "budgets",
        "protected_fractions",
        "clean_images",
    )
    @classmethod
    def _no_repeats(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        names = [str(item) for item in value]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise SepbenchError(f"{', '.join(repeated)} stands here more than once: name each once")
        return value

    @model_validator(mode="after")
    def _possible(self) -> "Experiment":
        for row in self.methods:
            method = row.build()
            if method.norms:
                self._check_budgets(row.name, method)
        if not any(True for _ in self.each_cell()):
            raise FieldError(("exclude",), "it leaves no cell of the experiment: exclude fewer")
        return self

    def _check_budgets(self, name: str, method: Method) -> None:
        usable = [budget for budget in self.budgets if budget.norm in method.norms]
        if not usable:
            *others, last = method.norms
            norms = f"{', '.join(others)} or {last}" if others else last
            raise FieldError(
                ("budgets",),
                f"method '{name}' needs a budget of norm {norms}, and there is none: add one, "
                f"such as budgets: [{NORMS[method.norms[0]].example}]",
            )
        if any(budget.size == 0 for budget in usable):
            raise FieldError(
                ("budgets",), f"a budget of zero lets method '{name}' change nothing: give a positive budget"
            )

    @property
    def layout(self) -> TableLayout:
        """The table's layout, with every axis on which cells differ: those that it leaves out are further columns."""
        shown = {*self.table.row_axes, *self.table.columns}
        further = [
            axis.name
            for axis in AXES.values()
            if axis.name not in shown and axis.listed is not None and len(getattr(self, axis.listed)) > 1
        ]
        return self.table.model_copy(update={"columns": [*self.table.columns, *further]})

    def resolved(self) -> dict[str, Any]:
        """Return all of it as JSON from which `model_validate` makes the same again, the paths of defenses included."""
        return self.model_dump(mode="json") | {"defenses": [defense.written() for defense in self.defenses]}

    @property
    def added_images(self) -> list[int]:
        """The numbers of further clean images that some victims have."""
        return [count for count in self.clean_images if count]

    @property
    def variant(self) -> str:
        """What tells results of this profile and these overrides from others of the experiment, as a folder's name."""
        changed = [self.profile, list(self.overrides)]
        return "default" if changed == [None, []] else key(changed)[:12]

    @property
    def published_name(self) -> str:
        """What the files of published results are called: the name, with the profile and overrides if there are any."""
        return published_name(self.name, self.profile, self.overrides)

    def cells(self) -> list[Cell]:
        """Return every cell, clean references included, in the order of the table's rows."""
        return list(self.each_cell())

    def each_cell(self) -> Iterator[Cell]:
        """Yield every cell in that order."""
        yield from itertools.filterfalse(self._excluded(), self._all_cells()) if self.exclude else self._all_cells()

    def _excluded(self) -> Callable[[Cell], bool]:
        cells, tests = list(self._all_cells()), []
        for index, entry in enumerate(self.exclude):
            wanted = [(field, value) for field, values in entry.items() for value in values]
            try:
                tests.append(choosing(cells, wanted, "exclude"))
            except SepbenchError as error:
                raise FieldError(("exclude", index), str(error)) from error
        return lambda cell: any(test(cell) for test in tests)

    def _all_cells(self) -> Iterator[Cell]:
        # No axis repeats a value, so that only two equal rows have cells in common, and then all of them.
        rows: dict[str, tuple[MethodRow, str]] = {}
        for row, name in zip(self.methods, row_labels(self.methods), strict=True):
            rows.setdefault(row.identity(), (row, name))
        for row, name in rows.values():
            yield from self._cells_of(row, name)

    def _cells_of(self, row: MethodRow, name: str) -> Iterator[Cell]:
        method = row.build()
        budgets: list[Budget | None] = [b for b in self.budgets if b.norm in method.norms]
        surrogate_seeds = self.surrogate_seeds if method.needs() else self.surrogate_seeds[:1]
        craft_seeds = self.craft_seeds if method.norms else self.craft_seeds[:1]
        fractions = self.protected_fractions if row.name != "none" else (1.0,)
        for combination in itertools.product(
            budgets if method.norms else [None],
            surrogate_seeds,
            craft_seeds,
            self.victims,
            self.defenses,
            fractions,
            self.clean_images,
            self.seeds,
        ):
            budget, surrogate_seed, craft_seed, victim, defense, fraction, clean_images, seed = combination
            yield Cell(row, budget, victim, defense, seed, surrogate_seed, craft_seed, fraction, clean_images, name)
