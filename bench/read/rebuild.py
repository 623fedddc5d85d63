"""Everything in a folder of results that records give, made anew."""

from collections.abc import Iterator
from pathlib import Path

from bench.core.disk import make_folder, write_atomically, writing
from bench.core.errors import SepbenchError
from bench.read.leaderboard.vetting import vet
from bench.read.leaderboard.write import write_leaderboard
from bench.read.plots import RECORDS_ALONE, Sources, draw
from bench.read.tables import render
from bench.read.tabulation import TABLE_FORMS
from bench.record.record import read_records
from bench.spec.experiment import Experiment
from bench.spec.file import load_experiment
from bench.store.home import Home


def rebuild(results: Path, home: Home) -> Iterator[Path]:
    """Make tables, plots and the page of `results` from its records, and remove tables and plots of none.

    `records/NAME/*.json` give `tables/NAME.*`, `plots/NAME-KIND.svg` and `index.html`, each yielded when it is written.

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
    experiments = {folder: _experiment_of(folder) for folder in folders}
    made: set[Path] = set()
    for folder, experiment in experiments.items():
        sources = Sources(experiment, home, folder)
        for path in (*_tables(sources, results / "tables"), *_plots(sources, results / "plots")):
            made.add(path)
            yield path
    for stale in {*(results / "tables").glob("*"), *(results / "plots").glob("*")} - made:
        if not stale.is_dir():
            with writing(stale.parent, "--results"):
                stale.unlink()
    write_leaderboard(results / "records", results / "index.html")
    yield results / "index.html"


def _experiment_of(folder: Path) -> Experiment:
    first = next(iter(read_records(folder)), None)
    if first is None:
        raise SepbenchError(f"{folder} holds no record: run its experiment with --results, or remove the folder")
    experiment = load_experiment(first.experiment, profile=first.profile, overrides=first.overrides)
    if experiment.published_name != folder.name:
        raise SepbenchError(
            f"{folder} holds records of {experiment.published_name}: move them to the folder of that name"
        )
    return experiment


def _tables(sources: Sources, folder: Path) -> Iterator[Path]:
    with writing(folder, "--results"):
        make_folder(folder)
        for form in TABLE_FORMS:
            path = folder / f"{sources.experiment.published_name}.{form}"
            write_atomically(path, render(sources.table, form).encode())
            yield path


def _plots(sources: Sources, folder: Path) -> Iterator[Path]:
    for drawn in draw(sources, RECORDS_ALONE, folder, (".svg",), strict=False):
        yield from drawn.paths
