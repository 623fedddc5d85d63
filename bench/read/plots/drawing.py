"""The figures of an experiment as files."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from bench.core.disk import make_folder, writing
from bench.core.errors import SepbenchError
from bench.core.registry import UnknownName
from bench.read.damage import undamaged
from bench.read.evaluated import evaluation_name, evaluation_table
from bench.read.plots.frame import SCREEN, Sheet
from bench.read.plots.from_records import FROM_RECORDS
from bench.read.plots.material import Sources
from bench.read.plots.saving import save
from bench.read.plots.stored_images import examples_of, similarity_of
from bench.read.plots.victims import classes_of, curves_of
from bench.read.tables import Table
from bench.record.record import Record


def _from_records(figure: Callable[[Table, Sequence[Record], str, Sheet], Figure], sources: Sources) -> Figure:
    return figure(sources.table, sources.records, sources.title, sources.sheet)


KINDS: dict[str, Callable[[Sources], Figure]] = {
    **{kind: partial(_from_records, figure) for kind, figure in FROM_RECORDS.items()},
    "curves": curves_of,
    "similarity": similarity_of,
    "examples": examples_of,
    "classes": classes_of,
}
"""What draws each kind; it raises `SepbenchError` with the reason where there is not enough for it."""

RECORDS_ALONE = tuple(FROM_RECORDS)
"""The kinds that take no store."""


@dataclass(frozen=True)
class Drawn:
    """A kind of figure with the files it was written to, or with the reason why it was not drawn."""

    kind: str
    paths: tuple[Path, ...] = ()
    reason: str = ""


def check_kinds(kinds: Sequence[str]) -> None:
    """Raise `UnknownName` for what is no kind of figure."""
    for kind in kinds:
        if kind not in KINDS:
            raise UnknownName("kind of plot", kind, KINDS)


def draw(
    sources: Sources,
    kinds: Sequence[str],
    folder: Path,
    suffixes: Sequence[str] | None = None,
    *,
    strict: bool = True,
) -> Iterator[Drawn]:
    """Write figures as NAME-KIND.png and NAME-KIND.svg to `folder`; without `kinds` all that there is enough for.

    NAME is what the experiment's published results are called. Those for a paper are also written as PDF. Kinds that
    could not be drawn come last.

    Raises
    ------
    SepbenchError
        One of the kinds that are asked for cannot be drawn and `strict` is set, or no kind at all can be drawn, or the
        folder cannot be written to.

    """
    figures = {kind: partial(_figure, sources, kind) for kind in KINDS}
    experiment, suffixes = sources.experiment, suffixes or suffixes_of(sources.sheet)
    paper = sources.sheet.width is not None
    return _drawn(
        figures, kinds, folder, suffixes, experiment.published_name, experiment.name, strict=strict, paper=paper
    )


def draw_evaluation(
    records: Sequence[Record], kinds: Sequence[str], folder: Path, sheet: Sheet = SCREEN
) -> Iterator[Drawn]:
    """Write the figures that records of an evaluation give alone, as `draw` does those of an experiment."""
    table, name = evaluation_table(records), evaluation_name(records)

    def figure(kind: str) -> Figure:
        if kind not in FROM_RECORDS:
            raise SepbenchError(f"{kind} of an evaluation cannot be drawn: it gives {', '.join(RECORDS_ALONE)}")
        return FROM_RECORDS[kind](table, records, table.experiment, sheet)

    figures = {kind: partial(figure, kind) for kind in (KINDS if kinds else RECORDS_ALONE)}
    paper = sheet.width is not None
    return _drawn(figures, kinds, folder, suffixes_of(sheet), name, table.experiment, paper=paper)


def suffixes_of(sheet: Sheet) -> tuple[str, ...]:
    """Return the endings of the files that a figure is written to."""
    return (".png", ".svg") if sheet.width is None else (".pdf", ".png", ".svg")


def _drawn(
    figures: Mapping[str, Callable[[], Figure]],
    kinds: Sequence[str],
    folder: Path,
    suffixes: Sequence[str],
    stem: str,
    name: str,
    *,
    strict: bool = True,
    paper: bool = False,
) -> Iterator[Drawn]:
    check_kinds(kinds)
    undrawn = []
    for kind in kinds or figures:
        try:
            figure = figures[kind]()
        except SepbenchError as error:
            if kinds and strict:
                raise
            undrawn.append(Drawn(kind, reason=str(error)))
            continue
        paths = tuple(folder / f"{stem}-{kind}{suffix}" for suffix in suffixes)
        with writing(folder, "--out"):
            make_folder(folder)
            for path in paths:
                save(figure, path, paper=paper)
        yield Drawn(kind, paths)
    if len(undrawn) == len(kinds or figures):
        raise SepbenchError(f"nothing can be drawn of {name}: {undrawn[0].reason}")
    yield from undrawn


def _figure(sources: Sources, kind: str) -> Figure:
    with undamaged():
        return KINDS[kind](sources)
