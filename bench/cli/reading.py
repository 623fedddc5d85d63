"""Commands that read what runs have left."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from bench.cli.options import DEVICES, EXPERIMENT, FORMAT, ONLY, PROFILE, SET, WHERE, pair, planned, say
from bench.cli.streams import for_machines


@click.command()
@click.argument("experiments", metavar="EXPERIMENT...", nargs=-1, required=True)
@SET
@PROFILE
@FORMAT
@click.option("--records", type=click.Path(path_type=Path), help="Read the records in this folder instead of MLflow.")
@WHERE
@click.option("--strict", is_flag=True, help="Refuse a table with missing runs; exit code 1.")
def table(
    experiments: Sequence[str],
    overrides: Sequence[str],
    profile: str | None,
    form: str,
    records: Path | None,
    where: Sequence[str],
    strict: bool,
) -> None:
    """Print the table of an experiment that has run, or of several side by side, such as one for each data set."""
    from bench.read.tables import render
    from bench.read.tabulation import compile_table
    from bench.spec.file import load_experiment
    from bench.store.home import Home

    specs = [load_experiment(name, profile=profile, overrides=overrides) for name in experiments]
    compiled = compile_table(specs, Home.find(), records, dict(pair("--where", one) for one in where))
    click.echo(for_machines(render(compiled, form), form), nl=False)
    if strict and compiled.missing:
        say(f"{compiled.missing} of {compiled.runs} runs are missing")
        sys.exit(1)


@click.command()
@EXPERIMENT
@SET
@PROFILE
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    metavar="KIND",
    help="ablation, bars, passes, curves, similarity, examples or classes; all that there is enough for if left out.",
)
@click.option("--out", default="plots", show_default=True, type=click.Path(path_type=Path), help="Folder to write to.")
@click.option("--records", type=click.Path(path_type=Path), help="Read the records in this folder instead of MLflow.")
@WHERE
@click.option("--method", metavar="NAME", help="Of classes: whose victims; the strongest if left out.")
def plot(
    experiment: str,
    overrides: Sequence[str],
    profile: str | None,
    kinds: Sequence[str],
    out: Path,
    records: Path | None,
    where: Sequence[str],
    method: str | None,
) -> None:
    """Draw an experiment that has run, as PNG and SVG, and print the files.

    Curves, similarity, examples and classes take what the run left in the store, the others records alone.
    """
    from bench.read.plots import Sources, draw
    from bench.spec.file import load_experiment
    from bench.store.home import Home

    spec = load_experiment(experiment, profile=profile, overrides=overrides)
    chosen = dict(pair("--where", one) for one in where)
    for drawn in draw(Sources(spec, Home.find(), records, method, chosen), kinds, out):
        if drawn.paths:
            click.echo("\n".join(map(str, drawn.paths)))
        else:
            say(f"no {drawn.kind}: {drawn.reason}")


@click.command()
@EXPERIMENT
@SET
@PROFILE
@ONLY
@DEVICES
@click.option(
    "--checkpoints", default=15, show_default=True, type=click.IntRange(1), help="Of each surrogate, equidistant."
)
@click.option(
    "--images",
    default=512,
    show_default=True,
    type=click.IntRange(1),
    help="Protected training images, from the first.",
)
@click.option("--format", "form", default="md", show_default=True, metavar="FORMAT", help="md or json.")
@click.option("--no-mlflow", is_flag=True, help="Leave MLflow alone.")
def diagnose(
    experiment: str,
    overrides: Sequence[str],
    profile: str | None,
    only: Sequence[str],
    devices: str,
    checkpoints: int,
    images: int,
    form: str,
    no_mlflow: bool,
) -> None:
    """Say how alike the gradients of trained surrogates are, and what they recognise before and after protection.

    Prints tables or JSON; MLflow gets both, and heat maps of the similarities.
    """
    from bench.core.device import choose_device
    from bench.data.loading import load_planned
    from bench.read.damage import undamaged
    from bench.read.diagnostics import diagnose as measure
    from bench.read.diagnostics import render_diagnosis
    from bench.read.plots import similarity_heatmap
    from bench.record.tracking import attach, default_uri
    from bench.store.home import Home

    home, wanted = Home.find(), planned(experiment, overrides, profile, only)
    spec = wanted.experiment
    splits = load_planned(spec.dataset.located(), wanted.card, home.cards, spec.added_images)
    with undamaged():
        found = measure(wanted, splits, home.store, choose_device(devices), checkpoints, images)
    click.echo(for_machines(render_diagnosis(found, form), form))
    if not no_mlflow:
        texts = {"diagnosis.md": render_diagnosis(found, "md"), "diagnosis.json": render_diagnosis(found, "json")}
        figures = {f"similarity-{n}.png": similarity_heatmap(one) for n, one in enumerate(found.similarities)}
        attach(default_uri(home.root), home, wanted.experiment.name, "diagnosis", texts, figures)


@click.command()
@EXPERIMENT
@SET
@PROFILE
@ONLY
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write to.")
def export(experiment: str, overrides: Sequence[str], profile: str | None, only: Sequence[str], out: Path) -> None:
    """Write the protected sets of an experiment as NumPy archives, for purifiers and other tools.

    For victims with the defense purified that have only part of a set, or clean images besides, also what they have.
    """
    from bench.read.export import export as write
    from bench.store.home import Home

    left, home, wanted = 0, Home.find(), planned(experiment, overrides, profile, only)
    for one in write(wanted, home, out):
        left += one.path is None
        if one.path is not None:
            click.echo(f"{one.path}  {one.what}")
    if left:
        say(f"{left} protected sets are not crafted yet: {wanted.advice('craft', home.store.has)}, then export again")
        sys.exit(1)


@click.command()
@click.option(
    "--records",
    default="results/records",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder of records.",
)
@click.option(
    "--out", default="results/index.html", show_default=True, type=click.Path(path_type=Path), help="Page to write."
)
def leaderboard(records: Path, out: Path) -> None:
    """Write the leaderboard: one page on committed records that needs no server."""
    from bench.read.leaderboard import write_leaderboard

    refused = write_leaderboard(records, out)
    click.echo(f"{out}")
    for sentence in refused:
        say(sentence)
    if refused:
        sys.exit(1)


@click.command()
@click.option(
    "--results",
    default="results",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder whose records/ is read.",
)
def rebuild(results: Path) -> None:
    """Make tables, plots and the leaderboard page of a folder of results anew from its records."""
    from bench.read.rebuild import rebuild as make
    from bench.store.home import Home

    for path in make(results, Home.find()):
        click.echo(path)
