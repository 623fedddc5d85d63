"""The sentences below a table."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from bench.data.counts import names_of
from bench.read.chance import chance_of
from bench.read.data_counts import counts_of
from bench.read.stats import CONFIDENCE, OF_THE_PROTECTED_SET
from bench.read.tables.table import CellId, Labels, TableCell
from bench.record.record import Record
from bench.record.values import OF_TEST_IMAGES
from bench.spec.axes import axes_in_order, is_usual


def common_n(cells: Iterable[TableCell]) -> int | None:
    """Return the n that all complete cells share, None where they differ."""
    measured = [cell for cell in cells if cell.n]
    sizes = {cell.n for cell in measured if not cell.partial} or {cell.n for cell in measured}
    return sizes.pop() if len(sizes) == 1 else None


def describe_context(labels: Mapping[str, Labels], shown: set[str], done: list[Record], value: str) -> str:
    """Name what the headers leave out, and of accuracies what guessing gives.

    Such as `Data set cifar10, victim resnet18. Guessing gives 10 %.`
    """
    parts = [
        axis.phrase(value, list(labels[axis.name]))
        for axis in axes_in_order("dataset", "victim", "recipe", "budget", "defense")
        for value in labels[axis.name]
        if axis.name not in shown and not is_usual(axis, value)
    ]
    if done and done[0].profile is not None:
        parts.append(f"profile {done[0].profile}")
    if done and done[0].overrides:
        parts.append(f"with {', '.join(done[0].overrides)}")
    text = ", ".join(parts)
    named = [f"{text[:1].upper()}{text[1:]}."] if text else []
    return " ".join([*named, *_guessing(done)]) if value in OF_TEST_IMAGES else " ".join(named)


def _guessing(done: list[Record]) -> list[str]:
    chances: dict[float, list[str]] = {}
    for dataset in dict.fromkeys(record.dataset for record in done):
        chance = chance_of(record for record in done if record.dataset == dataset)
        if chance is not None:
            chances.setdefault(chance, []).append(dataset)
    if len(chances) == 1:
        return [f"Guessing gives {next(iter(chances)):.3g} %."]
    told = [f"{chance:.3g} % on {names_of(datasets)}" for chance, datasets in chances.items()]
    return [f"Guessing gives {names_of(told)}."] if told else []


def describe_images(done: Iterable[Record]) -> tuple[str, ...]:
    """Return a sentence for each data set, named where there are several: how many images it has of each class."""
    counted = dict.fromkeys((record.dataset, counts.sentence()) for record in done if (counts := counts_of(record)))
    several = len({name for name, _ in counted}) > 1
    return tuple(f"{f'{name}: ' if several else ''}{sentence}." for name, sentence in counted)


def describe_counts(
    cells: list[TableCell], value: str, n: int | None, runs: Mapping[CellId, Record | None], failed: set[CellId]
) -> str:
    """Say what n and the intervals are and how much is missing."""
    measured = [cell for cell in cells if cell.n]
    absent = [run for run, result in runs.items() if result is None]
    parts = [_what_n_counts(measured, value, n)] if measured else []
    if any(cell.half_width is not None for cell in measured):
        parts.append(f"mean ± {100 * CONFIDENCE:g} % half-width (Student t)")
    if absent:
        of_them = sum(run in failed for run in absent)
        parts.append(f"{len(absent)} of {len(runs)} runs missing" + (f", {of_them} of them failed" if of_them else ""))
    return f"{'; '.join(parts)}."


def _what_n_counts(measured: list[TableCell], value: str, n: int | None) -> str:
    s = "" if n == 1 else "s"
    averaged = value not in OF_THE_PROTECTED_SET and any(cell.n < len(cell.keys) for cell in measured)
    replicates = f"crafting replicate{s}{' (victims averaged within each)' if averaged else ''}"
    seeds = f"victim seed{s}"
    units = {
        frozenset({False}): seeds,
        frozenset({True}): replicates,
        frozenset({False, True}): f"{seeds}, or {replicates} where there are several",
    }[frozenset(cell.replicated for cell in measured)]
    marked = " unless marked (runs done of planned)" if any(cell.partial for cell in measured) else ""
    return f"n counts {units}" if n is None else f"n = {n} {units}{marked}"


def describe_oddities(
    cells: list[TableCell], value: str, runs: Mapping[CellId, Record | None], done: list[Record]
) -> tuple[str, ...]:
    """Return a sentence for each thing that a reader would not expect."""
    notes = []
    norms = list(dict.fromkeys(cell.norm for cell in cells if cell.norm is not None))
    if len(norms) > 1:
        *others, last = norms
        notes.append(f"{', '.join(others)} and {last} budgets are separate tracks: compare methods within one norm.")
    results = [record for record in runs.values() if record is not None]
    brought = list(dict.fromkeys(one.method for one in done if one.brought))
    if brought:
        notes.append(
            f"Brought: protected images of {names_of(brought)} were made elsewhere; measured here is what was spent "
            f"on them and what victims learn."
        )
    in_part = ((one.dataset, one.protected_classes, one.classes) for one in done if one.protected_classes is not None)
    for dataset, count, classes in dict.fromkeys(in_part):
        named = f" ({names_of(classes[:count])})" if classes else ""
        notes.append(f"Of {dataset} only the first {count} classes{named} are protected and judged.")
    bytes_of: defaultdict[str, set[str | None]] = defaultdict(set)
    for one in results:
        bytes_of[one.protected_key] |= {one.protected_sha256} - {None}
    if again := [one for one in results if len(bytes_of[one.protected_key]) > 1]:
        told = dict.fromkeys(one.crafted_on for one in again)
        machines = [machine for machine in told if machine is not None]
        why = (
            f"crafted on {' and on '.join(machines)}"
            if len(machines) == len(told) > 1
            else "as when it is crafted again on another processor"
        )
        notes.append(
            f"Victims of {names_of(list(dict.fromkeys(one.method for one in again)))} had one protected set by its key "
            f"and several by its bytes, {why}."
        )
    older = len({record.key for record in done}) - len(results)
    if older > 0:
        notes.append(f"{older} older record{'s' * (older > 1)} of runs that were measured again left out.")
    unrecorded = len(results) - sum(len(cell.keys) for cell in cells)
    if unrecorded:
        notes.append(f"{unrecorded} of {len(results)} finished runs have no {value}.")
    return tuple(notes)
