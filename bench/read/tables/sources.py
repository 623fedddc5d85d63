"""Published numbers beside ours: which belong to a cell, and the notes that name their sources."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from bench.core.errors import SepbenchError
from bench.core.norms import budget_text
from bench.read.tables.table import Setting, Table, TableCell
from bench.record.published import Published
from bench.record.record import Record
from bench.spec.axes import AXES, is_usual
from bench.spec.layout import TableLayout

# A number's source and what has to be known of the number.
Source = tuple[str, str]


def attach(
    cells: Mapping[Setting, TableCell], published: Iterable[Published], layout: TableLayout, done: Sequence[Record]
) -> tuple[dict[Setting, TableCell], tuple[Published, ...]]:
    """Return the cells with their published numbers, and those numbers for the same settings that fit no cell.

    A number fits where data set, victim, recipe, method, norm, budget and defense agree, all images of all classes are
    protected and there are no others. One that fits several settings of a method fits none: sources give no
    parameters. Numbers of a profile or of overrides have nothing beside them.
    """
    unchanged = all(record.profile is None and not record.overrides for record in done)
    if not (layout.published and layout.value == "test_acc" and done and unchanged):
        return dict(cells), ()
    in_part = {record.dataset for record in done if record.protected_classes is not None}
    usual = [
        setting
        for setting in cells
        if setting["dataset"] not in in_part
        and all(is_usual(axis, setting[axis.name]) for axis in AXES.values() if axis.usual is not None)
    ]
    fitting: defaultdict[Setting, list[Published]] = defaultdict(list)
    elsewhere = []
    for one in published:
        same_place = [setting for setting in usual if _same_place(setting, one)]
        fits = [setting for setting in same_place if setting.method == one.method]
        if len(fits) == 1:
            fitting[fits[0]].append(one)
        elif same_place:
            elsewhere.append(one)
    found = {setting: replace(cell, published=tuple(fitting[setting])) for setting, cell in cells.items()}
    return found, tuple(elsewhere)


def _same_place(setting: Setting, one: Published) -> bool:
    agrees = all(setting[name] == getattr(one, name) for name in ("dataset", "victim", "recipe"))
    return (
        agrees
        and setting["budget"] == AXES["budget"].read(dict(one))
        and (setting["defense"] == one.defense or setting["defense"] == _canonical(one.defense))
    )


def _canonical(defense: str) -> str:
    """Return the defense as records call it, with the parameter that a short name leaves out."""
    from bench.contracts.defense import Defenses

    try:
        return str(Defenses.parse(defense))
    except SepbenchError:  # one that this benchmark does not have
        return defense


def numbered_sources(table: Table) -> dict[Source, int]:
    """Return the sources of a table's published numbers with their numbers, from 1, in the order they are met."""
    shown = [one for cell in table.distinct_cells() for one in cell.published]
    return {source: i for i, source in enumerate(dict.fromkeys(map(source_of, [*shown, *table.elsewhere])), 1)}


def source_of(one: Published) -> Source:
    """Return the source of a number and what has to be known of it."""
    remarks = [f"n = {one.n}"] if one.n is not None else []
    return one.source, "; ".join([*remarks, *([one.note] if one.note else [])])


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
        group = " ".join([*(getattr(one, name) for name in differing), one.method, *budget])
        groups[group].append(f"{one.defense} {one.test_acc:.1f}")
    return "; ".join(f"{group}: {', '.join(entries)}" for group, entries in groups.items())
