"""From the rows of the leaderboard to one matrix for each track: methods by defenses."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from statistics import fmean

from bench.read.chance import chance_of, near_chance
from bench.read.leaderboard.comparing import Compared, Interval, compare
from bench.read.leaderboard.cuts import weaknesses
from bench.read.leaderboard.rows import Row
from bench.read.leaderboard.tracks import Track
from bench.read.tables.quality import over_protected_sets
from bench.record.published import Published
from bench.spec.names import natural

COSTS = ("craft_passes", "craft_seconds", "surrogate_seconds")
"""What a protected set of a method costs, as fields of its records."""


@dataclass(frozen=True)
class Number:
    """A mean over `sets` protected sets with up to `victims` victim seeds on each; `half_width` is None for one run.

    `best` says whether it is the lowest of its column or not to be told from that, None where that was not judged.
    """

    mean: float
    half_width: float | None
    sets: int
    victims: int
    best: bool | None = None
    published: tuple[Published, ...] = ()


@dataclass(frozen=True)
class Line:
    """A setting of a method, or a reference, with its numbers by defense.

    `mean`, `worst` and `rank` are over the defenses of the matrix, None where one is missing. `costs` are of one
    protected set, and `beside` is what stands beside numbers of the track, both the mean over all sets. `weak` has a
    reason for each thing that makes the line weigh less. `variants` are the method's other settings.
    """

    method: str
    reference: str | None
    parameters: str
    chosen: str | None
    tags: tuple[str, ...]
    numbers: Mapping[str, Number]
    sets: str
    victims: str
    costs: Mapping[str, float | None]
    beside: Mapping[str, float | None]
    weak: tuple[str, ...] = ()
    mean: Interval | None = None
    worst: Interval | None = None
    rank: Interval | None = None
    variants: tuple["Line", ...] = ()

    @property
    def competes(self) -> bool:
        """Whether it is a protection rather than what protections are measured against."""
        return self.reference is None


@dataclass(frozen=True)
class Matrix:
    """The methods of one track with what they share.

    `defenses` are those under which at least half of the methods were measured, and what lines are summarised over;
    `further` are the others. `warnings` have to be read before the numbers, `notes` after them. `chance` is what
    guessing gets right, in percent.
    """

    track: Track
    setting: tuple[str, ...]
    changed: tuple[str, ...]
    defenses: tuple[str, ...]
    further: tuple[str, ...]
    lines: tuple[Line, ...]
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    chance: float | None = None


def matrices_of(rows: Iterable[Row]) -> list[Matrix]:
    """Return a matrix for each track in which something was measured, those with most methods of a setting first."""
    places: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.records:
            places[row.place].append(row)
    made = [[_matrix(track, own) for track in _tracks(own)] for own in places.values()]
    full = [sorted(matrices, key=lambda one: (-_methods(one), one.track.order)) for matrices in made if matrices]
    full.sort(key=lambda matrices: (bool(matrices[0].changed), -_methods(matrices[0]), matrices[0].setting))
    return [matrix for matrices in full for matrix in matrices]


def _methods(matrix: Matrix) -> int:
    return sum(line.competes for line in matrix.lines)


def _tracks(rows: Sequence[Row]) -> list[Track]:
    tracks = {row.track for row in rows if row.track is not None and row.reference is None}
    return sorted(tracks, key=lambda track: track.order)


def _matrix(track: Track, place: Sequence[Row]) -> Matrix:
    """Return the matrix of a track; `place` has the rows of all tracks, the clean references among them."""
    settings: defaultdict[tuple[str, bool], defaultdict[tuple[str, tuple[str, ...]], list[Row]]]
    settings = defaultdict(lambda: defaultdict(list))
    for row in place:
        if row.track in (track, None):
            settings[row.method, row.records[0].brought][row.parameters, row.release].append(row)
    chosen = {
        name: next((own for own in variants.values() if own[0].chosen is not None), [])
        for name, variants in settings.items()
    }
    rivals = [own for own in chosen.values() if own and own[0].reference is None]
    defenses, further = _columns([own for own in chosen.values() if own], rivals)
    doubtful = {row.columns["defense"] for own in chosen.values() for row in own if _learned_nothing(row)}
    found = compare([own for own in chosen.values() if own], defenses, ranked=not doubtful & set(defenses))
    lines = []
    for name, variants in settings.items():
        own = chosen[name]
        folded = [_line(other, track, (*defenses, *further)) for other in variants.values() if other is not own]
        folded.sort(key=lambda line: natural(line.parameters))
        if own:
            lines.append(_line(own, track, defenses, found, tuple(folded)))
    first = place[0]
    return Matrix(
        track,
        tuple(text for axis, text in first.columns.items() if axis != "defense"),
        _changes(first),
        defenses,
        further,
        tuple(sorted(lines, key=lambda line: _order(line, defenses))),
        found.warnings,
        found.notes,
        chance_of(record for row in place for record in row.records),
    )


def _changes(row: Row) -> tuple[str, ...]:
    first = row.records[0]
    return (*([] if first.profile is None else [f"profile {first.profile}"]), *first.overrides)


def _columns(
    lines: Sequence[Sequence[Row]], rivals: Sequence[Sequence[Row]]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the defenses under which at least half of the rivals were measured, and the others."""
    measured = [{row.columns["defense"] for row in own} for own in rivals]
    known = {row.columns["defense"] for own in lines for row in own}
    share = {one: sum(one in own for own in measured) for one in known}
    enough = min(len(rivals) / 2, max(share.values()))
    ordered = sorted(known, key=lambda one: (one != "plain", natural(one)))
    core = tuple(one for one in ordered if share[one] >= enough)
    return core, tuple(one for one in ordered if one not in core and share[one])


def _learned_nothing(row: Row) -> bool:
    return row.reference == "clean" and near_chance(row.records) is not None


def _line(
    rows: Sequence[Row],
    track: Track,
    defenses: Sequence[str],
    found: Compared | None = None,
    variants: tuple[Line, ...] = (),
) -> Line:
    """Return the line of one setting; `defenses` are those that it is judged by."""
    first = rows[0]
    records = [record for row in rows for record in row.records]
    numbers = {row.columns["defense"]: _number(row, found) for row in rows}
    shown = [numbers[one] for one in defenses if one in numbers] or list(numbers.values())
    costs = {cost: over_protected_sets(records, cost) for cost in COSTS}
    summary = {} if found is None else found.of(first)
    worst = max((numbers[one] for one in defenses if one in numbers), key=lambda one: one.mean, default=None)
    complete = all(one in numbers for one in defenses) and worst is not None
    return Line(
        first.method,
        first.reference,
        first.parameters,
        first.chosen,
        first.release,
        numbers,
        _span([one.sets for one in shown]),
        _span([one.victims for one in shown]),
        costs,
        {name: over_protected_sets(records, name) for name in track.beside},
        weaknesses([row for row in rows if row.columns["defense"] in defenses] or rows),
        summary.get("mean"),
        Interval.around(worst.mean, worst.half_width) if complete and worst is not None else None,
        summary.get("rank"),
        variants,
    )


def _number(row: Row, found: Compared | None) -> Number:
    assert row.mean is not None
    best, published = (None, ()) if found is None else found.cell(row)
    return Number(row.mean, row.half_width, row.sets or 0, row.victims or 0, best, published)


def _span(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low}\N{EN DASH}{high}"


def _order(line: Line, defenses: Sequence[str]) -> tuple[bool, bool, float, float, str]:
    """Sort by mean rank, then by accuracy; what was not measured under all defenses follows, references come last."""
    rank = inf if line.rank is None else line.rank.mean
    means = [line.numbers[one].mean for one in defenses if one in line.numbers]
    mean = fmean(means) if means else inf
    return not line.competes, len(means) < len(defenses), rank, mean, line.method
