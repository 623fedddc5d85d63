"""Everything in a folder of results that records give, made anew."""

from collections.abc import Iterator
from pathlib import Path

from bench.compiling import tabulate
from bench.disk import make_folder, write_atomically, writing
from bench.errors import SepbenchError
from bench.experiment_file import load_experiment
from bench.home import Home
from bench.plots import RECORDS_ALONE, Sources, draw
from bench.record import read_records
from bench.report.leaderboard import write_leaderboard
from bench.run import TABLE_FORMS, published_name
from bench.tables import render


def rebuild(results: Path, home: Home) -> Iterator[Path]:
    """Make tables, plots and the page of `results` from its records, and remove tables and plots of none.

    `records/NAME/*.json` give `tables/NAME.*`, `plots/NAME-KIND.svg` and `index.html`, each yielded when it is written.

    Raises
    ------
    SepbenchError
        A record breaks the rules of the leaderboard, belongs to no experiment that can be found, or lies in the
        folder of another; or the folder cannot be written to.

    """
    folders = sorted(path for path in (results / "records").glob("*") if path.is_dir())
    if not folders:
        raise SepbenchError(f"no records below {results / 'records'}: run an experiment with --results first")
    made: set[Path] = set()
    for folder in folders:
        for path in (*_tables(results, folder), *_plots(results, folder, home)):
            made.add(path)
            yield path
    for stale in {*(results / "tables").glob("*"), *(results / "plots").glob("*")} - made:
        stale.unlink()
    refused = write_leaderboard(results / "records", results / "index.html")
    if refused:
        raise SepbenchError(refused[0])
    yield results / "index.html"


def _tables(results: Path, folder: Path) -> Iterator[Path]:
    records = read_records(folder)
    first = records[0]
    experiment = load_experiment(first.experiment, profile=first.profile, overrides=first.overrides)
    if published_name(experiment) != folder.name:
        raise SepbenchError(
            f"{folder} holds records of {published_name(experiment)}: move them to the folder of that name"
        )
    table = tabulate(experiment, records, {})
    with writing(results, "--results"):
        make_folder(results / "tables")
        for form in TABLE_FORMS:
            path = results / "tables" / f"{folder.name}.{form}"
            write_atomically(path, render(table, form).encode())
            yield path


def _plots(results: Path, folder: Path, home: Home) -> Iterator[Path]:
    first = read_records(folder)[0]
    experiment = load_experiment(first.experiment, profile=first.profile, overrides=first.overrides)
    for drawn in draw(Sources(experiment, home, folder), RECORDS_ALONE, results / "plots", (".svg",), strict=False):
        yield from drawn.paths
