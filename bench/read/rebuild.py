"""Everything in a folder of results that records give, made anew."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.core.disk import make_folder, write_atomically, writing
from bench.core.errors import SepbenchError
from bench.read.evaluated import evaluation_name, evaluation_table, is_evaluation
from bench.read.leaderboard.vetting import vet
from bench.read.leaderboard.write import write_leaderboard
from bench.read.plots import Sources, svgs
from bench.read.standins import loaded
from bench.read.tables import Table, render
from bench.read.tabulation import TABLE_FORMS
from bench.record.record import Record, read_records
from bench.spec.file import experiment_names, load_experiment
from bench.store.home import Home


def rebuild(results: Path, home: Home, files: Sequence[str] = ()) -> Iterator[Path]:
    """Make tables, plots and the page of `results` from its records, and remove tables and plots of none.

    `records/NAME/*.json` give `tables/NAME.*`, `plots/NAME-KIND.svg` and `index.html`, each yielded when it is written.
    `files` are paths of experiments that did not come with sepbench.

    Raises
    ------
    SepbenchError
        A record breaks the rules of the leaderboard, belongs to no experiment that can be found, or lies in the
        folder of another: nothing is written then; or the folder cannot be written to.

    """
    folders = sorted(path for path in (results / "records").glob("[!.]*") if path.is_dir())
    if not folders:
        raise SepbenchError(f"no records below {results / 'records'}: run an experiment with --results first")
    _, refused = vet(results / "records")
    if refused:
        raise SepbenchError(refused[0])
    named = {load_experiment(file).name: file for file in files}
    kept = [_kept_in(folder, home, named) for folder in folders]
    made: set[Path] = set()
    for one in kept:
        for path in (*_tables(one, results / "tables"), *_plots(one, results / "plots")):
            made.add(path)
            yield path
    for stale in {*(results / "tables").glob("*"), *(results / "plots").glob("*")} - made:
        if not stale.is_dir():
            with writing(stale.parent, "--results"):
                stale.unlink()
    write_leaderboard(results / "records", results / "index.html")
    yield results / "index.html"


@dataclass(frozen=True)
class _Kept:
    """The records of a folder, with what their files are called, their table and their title."""

    name: str
    records: Sequence[Record]
    table: Table
    title: str


def _kept_in(folder: Path, home: Home, files: Mapping[str, str]) -> _Kept:
    records = read_records(folder)
    if not records:
        raise SepbenchError(f"{folder} holds no record: run its experiment with --results, or remove the folder")
    first = records[0]
    if is_evaluation(records):
        kept = _Kept(evaluation_name(records), records, evaluation_table(records), first.experiment)
    else:
        name = files.get(first.experiment, first.experiment)
        if name not in experiment_names() and name not in files.values():
            raise SepbenchError(
                f"{folder} holds records of {name}, which did not come with sepbench: name its file with --experiment"
            )
        with loaded([name], home, folder, profile=first.profile, overrides=first.overrides) as (one,):
            sources = Sources(one, home, folder)
            kept = _Kept(one.published_name, sources.records, sources.table, sources.title)
    if kept.name != folder.name:
        raise SepbenchError(f"{folder} holds records of {kept.name}: move them to the folder of that name")
    return kept


def _tables(kept: _Kept, folder: Path) -> Iterator[Path]:
    return _written(folder, {f"{kept.name}.{form}": render(kept.table, form) for form in TABLE_FORMS})


def _plots(kept: _Kept, folder: Path) -> Iterator[Path]:
    figures = svgs(kept.table, kept.records, kept.title)
    return _written(folder, {f"{kept.name}-{kind}.svg": text for kind, text in figures.items()})


def _written(folder: Path, texts: Mapping[str, str]) -> Iterator[Path]:
    with writing(folder, "--results"):
        make_folder(folder)
        for name, text in texts.items():
            write_atomically(folder / name, text.encode())
            yield folder / name
