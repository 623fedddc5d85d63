"""What the methods of a matrix come to beside each other: marks, means, ranks.

Cells of one matrix may rest on different protected sets: some methods were crafted several times, and some of those
under a few defenses alone. What is compared is therefore what all have, the same replicates under the same seeds.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bench.core.keys import canonical
from bench.read.leaderboard.rows import Row
from bench.read.leaderboard.same_bytes import replicate_of
from bench.read.tables import Setting, Table, TableCell, build
from bench.record.published import Published, read_published
from bench.record.record import Record
from bench.spec.axes import AXES
from bench.spec.layout import SummaryKind, TableLayout

_Replicate = tuple[int, int]
_Line = tuple[str, str]


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % interval, whose ends are None where a single run tells of none."""

    mean: float
    low: float | None = None
    high: float | None = None

    @classmethod
    def around(cls, mean: float, half_width: float | None) -> "Interval":
        """Return the interval that reaches as far to either side."""
        return cls(mean) if half_width is None else cls(mean, mean - half_width, mean + half_width)

    @property
    def half_width(self) -> float | None:
        """Half of its width."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


@dataclass(frozen=True)
class Compared:
    """What a comparison gives to cells, by the line's identity and defense, and to lines."""

    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    best: Mapping[tuple[_Line, str], bool | None] = field(default_factory=dict)
    published: Mapping[tuple[_Line, str], tuple[Published, ...]] = field(default_factory=dict)
    summaries: Mapping[_Line, Mapping[str, Interval]] = field(default_factory=dict)

    def cell(self, row: Row) -> tuple[bool | None, tuple[Published, ...]]:
        """Return whether a row's number is among the best of its column, and what others published of it."""
        place = _identity(row), row.columns["defense"]
        return self.best.get(place), self.published.get(place, ())

    def of(self, row: Row) -> Mapping[str, Interval]:
        """Return the `mean` and the `rank` of a row's line, as far as it has them."""
        return self.summaries.get(_identity(row), {})


def compare(lines: Sequence[Sequence[Row]], defenses: Sequence[str], *, ranked: bool) -> Compared:
    """Compare lines, each with a row for each defense that it was measured under, over the `defenses`.

    Ranks are of lines that were measured under all of them; they are left out where not `ranked`.
    """
    judged = [[row for row in own if row.columns["defense"] in defenses] for own in lines]
    judged = [own for own in judged if own]
    rivals = [own for own in judged if own[0].reference is None]
    complete = [own for own in rivals if len(own) == len(defenses)]
    everywhere = _shared(row for own in rivals for row in own)
    shown = _table(judged, lambda own: None, published=True)
    tested = _table(judged, lambda own: everywhere)
    own_sets = {id(own): _shared(own) for own in judged}
    summed = _table([own for own in judged if len(own) == len(defenses) > 1], lambda own: own_sets[id(own)], ("mean",))
    among_all = _shared(row for own in complete for row in own)
    placed = _table(complete, lambda own: among_all, ("rank",)) if ranked and len(complete) > 1 else None
    summaries: defaultdict[_Line, dict[str, Interval]] = defaultdict(dict)
    kinds: list[tuple[SummaryKind, Table | None]] = [("mean", summed), ("rank", placed)]
    for kind, table in kinds:
        for line, interval in _summaries(table, kind):
            summaries[line][kind] = interval
    return Compared(
        () if shown is None else shown.warnings,
        (*(() if tested is None else tested.notes), *_which_sets(rivals, everywhere)),
        {(_line_of(cell), _defense(cell)): cell.best for cell in _cells(tested)},
        {(_line_of(cell), _defense(cell)): cell.published for cell in _cells(shown)},
        summaries,
    )


def _table(
    lines: Sequence[Sequence[Row]],
    sets: Callable[[Sequence[Row]], set[_Replicate] | None],
    summary: tuple[SummaryKind, ...] = (),
    *,
    published: bool = False,
) -> Table | None:
    """Return the table of the runs on those protected sets that `sets` says of a line, on all of them for None."""
    records: list[Record] = []
    for own in lines:
        wanted = None if own[0].reference == "clean" else sets(own)
        runs = [one for row in own for one in row.records if wanted is None or replicate_of(one) in wanted]
        name, params = _called(own[0]), own[0].params
        records += [one.model_copy(update={"method": name, "method_params": params}) for one in runs]
    if not records:
        return None
    layout = TableLayout(rows="method", columns=["defense"], summary=summary)
    return build(records, layout, published=read_published() if published else ())


def _called(row: Row) -> str:
    """Return a name that no method has whose own images were not brought."""
    return f"{row.method} (brought)" if row.records[0].brought else row.method


def _identity(row: Row) -> _Line:
    return _called(row), canonical(row.params)


def _shared(rows: Iterable[Row]) -> set[_Replicate]:
    """Return the replicates that all rows have."""
    found = [set(map(replicate_of, row.records)) for row in rows]
    return set.intersection(*found) if found else set()


def _cells(table: Table | None) -> list[TableCell]:
    return [] if table is None else table.distinct_cells()


def _defense(cell: Setting) -> str:
    """Return what the column of a cell is called, as in `Row.columns`."""
    return AXES["defense"].label(cell["defense"])


def _line_of(cell: Setting) -> _Line:
    return cell.method, cell.method_params


def _summaries(table: Table | None, kind: SummaryKind) -> Iterator[tuple[_Line, Interval]]:
    for column in () if table is None else table.summaries:
        for cell in column.cells:
            if cell is not None and cell.kind == kind and cell.mean is not None:
                yield _line_of(cell.settings[0]), Interval(cell.mean, cell.low, cell.high)


def _which_sets(rivals: Sequence[Sequence[Row]], shared: set[_Replicate]) -> tuple[str, ...]:
    """Say what was compared where some lines rest on more protected sets than others."""
    if not any(len(set(map(replicate_of, row.records))) > len(shared) for own in rivals for row in own):
        return ()
    if not shared:
        return ("Nothing is marked or ranked: no protected set was crafted with the same seeds by all methods.",)
    count = "protected set" if len(shared) == 1 else f"{len(shared)} protected sets"
    return (f"Bold and ranks compare the methods on the {count} that all of them have; numbers are over all sets.",)
