"""Published numbers beside ours: which belong to a cell, and the notes that name their sources."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from bench.core.norms import budget_text
from bench.read.agreement import differences, published_defense, published_parameters, same_method
from bench.read.tables.table import Setting, Table, TableCell
from bench.record.published import Published
from bench.record.record import Record
from bench.spec.axes import AXES, AxisValue, is_usual
from bench.spec.layout import TableLayout
from bench.spec.names import method_label

DIFFERS = "†"
"""Behind a number that is known to differ in something from ours of the same setting."""

# A number's source and what has to be known of the number.
Source = tuple[str, str]


def attach(
    cells: Mapping[Setting, TableCell], published: Iterable[Published], layout: TableLayout, done: Sequence[Record]
) -> tuple[dict[Setting, TableCell], tuple[Published, ...]]:
    """Return the cells with their published numbers, and those numbers for the same settings that fit no cell.

    A number fits where data set, victim, recipe, norm, budget, and method and defense with all of their parameters
    agree, all images of all classes are protected and there are no others. In what it is known to differ all the same
    is said in its `differs`. Numbers of a profile or of overrides have nothing beside them.
    """
    unchanged = all(record.profile is None and not record.overrides for record in done)
    if not (layout.published and layout.value == "test_acc" and done and unchanged):
        return dict(cells), ()
    in_part = {record.dataset for record in done if record.protected_classes is not None}
    usual: defaultdict[tuple[AxisValue, ...], list[Setting]] = defaultdict(list)
    for setting in cells:
        if setting["dataset"] not in in_part and all(
            is_usual(axis, setting[axis.name]) for axis in AXES.values() if axis.usual is not None
        ):
            usual[setting["dataset"], setting["victim"], setting["budget"]].append(setting)
    fitting: defaultdict[Setting, list[Published]] = defaultdict(list)
    elsewhere = []
    for one in published:
        place = (one.dataset, one.victim, AXES["budget"].read(dict(one)))
        there = usual.get(place, [])
        comparable = _under_its_recipe_and_defense(there, one) if there else {}
        fits = [
            setting for setting in comparable if same_method(setting.method, json.loads(setting.method_params), one)
        ]
        for setting in fits:
            fitting[setting].append(comparable[setting])
        if comparable and not fits:
            elsewhere.append(next(iter(comparable.values())))
    found = {setting: replace(cell, published=tuple(fitting[setting])) for setting, cell in cells.items()}
    return found, tuple(elsewhere)


def _under_its_recipe_and_defense(settings: Iterable[Setting], one: Published) -> dict[Setting, Published]:
    """Return those of the settings that a number is comparable with, each with the number and what differs there."""
    defense = published_defense(one)
    found = {}
    for setting in settings:
        differs = differences(setting.recipe, one)
        if differs is not None and setting["defense"] == defense:
            found[setting] = one.model_copy(update={"differs": "; ".join(differs) or None})
    return found


def numbered_sources(table: Table) -> dict[Source, int]:
    """Return the sources of a table's published numbers with their numbers, from 1, in the order they are met."""
    shown = [one for cell in table.distinct_cells() for one in cell.published]
    return {source: i for i, source in enumerate(dict.fromkeys(map(source_of, [*shown, *table.elsewhere])), 1)}


def source_of(one: Published) -> Source:
    """Return the source of a number and what has to be known of it."""
    remarks = [f"n = {one.n}"] if one.n is not None else []
    remarks += [one.note] if one.note else []
    remarks += [f"{DIFFERS} not as here: {one.differs}"] if one.differs else []
    return one.source, "; ".join(remarks)


def describe_sources(table: Table) -> list[str]:
    """Return a numbered note for each source, with those of its numbers that stand beside no row."""
    notes = []
    for source, number in numbered_sources(table).items():
        name, remarks = source
        note = f"[{number}] {name} ({remarks})." if remarks else f"[{number}] {name}."
        others = _in_words([one for one in table.elsewhere if source_of(one) == source])
        notes.append(f"{note} Without a row here: {others}." if others else note)
    return notes


def _in_words(numbers: Sequence[Published]) -> str:
    """Return the numbers by method, as in `em linf-8: plain 21.1, jpeg-10 81.5`."""
    differing = [name for name in ("dataset", "recipe", "victim") if len({getattr(one, name) for one in numbers}) > 1]
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for one in numbers:
        budget = [] if one.norm is None else [budget_text(one.norm, one.budget)]
        method = method_label(one.method, published_parameters(one), [{}])
        group = " ".join([*(getattr(one, name) for name in differing), method, *budget])
        groups[group].append(f"{published_defense(one)} {one.test_acc:.1f}")
    return "; ".join(f"{group}: {', '.join(entries)}" for group, entries in groups.items())
