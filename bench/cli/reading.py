"""Commands that read what runs have left."""

import shutil
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import click

from bench.cli.carrying import write_state
from bench.cli.help_example import example
from bench.cli.naming import changing
from bench.cli.options import DEVICE, EXPERIMENT, FORMAT, ONLY, PLUGIN, WHERE, pair, planned, say
from bench.cli.streams import for_machines
from bench.core.errors import SepbenchError


@click.command(epilog=example("sepbench table quickstart --format latex --where defense=plain"))
@click.argument("experiments", metavar="EXPERIMENT...", nargs=-1, required=True)
@changing
@PLUGIN
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
    """Print the table of an experiment that has run, or of several side by side, such as one for each data set.

    On a terminal it fits the window, in blocks below each other where it is too wide; elsewhere it is Markdown.
    What `sepbench evaluate` judged is called evaluate-NAME.
    """
    from bench.cli.once import Made, once
    from bench.store.home import Home

    home, width = Home.find(), shutil.get_terminal_size().columns if sys.stdout.isatty() else None

    def make() -> Made:
        from bench.cli import tabulating

        return tabulating.table(experiments, overrides, profile, form, records, where, width=width, home=home)

    request = ["table", experiments, overrides, profile, form, str(records), where, width, sys.stdout.encoding]
    logged = [home.root / name for name in ("mlflow.db", "mlflow.db-wal", "mlartifacts")]
    answer = once(home.answers, request, [*map(Path, experiments), records or home.root / "records", *logged], make)
    click.echo(answer["printed"], nl=False)
    if strict and answer["missing"]:
        say(f"{answer['missing']} of {answer['runs']} runs are missing")
        sys.exit(1)


@click.command(epilog=example("sepbench plot quickstart --kind bars --out plots"))
@EXPERIMENT
@changing
@PLUGIN
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
@click.option(
    "--paper", is_flag=True, help="For a paper: without title and caption, a column wide, letters as text, as PDF, too."
)
@click.option(
    "--width", type=click.FloatRange(2, 20), metavar="INCHES", help="Of --paper: how wide; 3.3, a column, if left out."
)
def plot(
    experiment: str,
    overrides: Sequence[str],
    profile: str | None,
    kinds: Sequence[str],
    out: Path,
    records: Path | None,
    where: Sequence[str],
    method: str | None,
    paper: bool,
    width: float | None,
) -> None:
    """Draw an experiment that has run, as PNG and SVG, and print the files.

    Curves, similarity, examples and classes take what the run left in the store, the others records alone. What
    `sepbench evaluate` judged is called evaluate-NAME, and gives the others.
    """
    from bench.read.evaluated_records import are_evaluations, evaluation_records
    from bench.read.plots import COLUMN, Sheet, Sources, draw, draw_evaluation
    from bench.read.standins import loaded
    from bench.store.home import Home

    if width is not None and not paper:
        raise SepbenchError("--width goes with --paper: add it, figures for a screen are as wide as they have to be")
    sheet = Sheet((width or COLUMN) if paper else None)
    home, chosen = Home.find(), dict(pair("--where", one) for one in where)
    with ExitStack() as reading:
        if are_evaluations([experiment]):
            found = evaluation_records([experiment], home, records, chosen, profile=profile, overrides=overrides)
            figures = draw_evaluation(found, kinds, out, sheet)
        else:
            (spec,) = reading.enter_context(loaded([experiment], home, records, profile=profile, overrides=overrides))
            figures = draw(Sources(spec, home, records, method, chosen, sheet), kinds, out)
        for drawn in figures:
            if drawn.paths:
                click.echo("\n".join(map(str, drawn.paths)))
            else:
                say(f"no {drawn.kind}: {drawn.reason}")


@click.command(epilog=example("sepbench diff cifar10-cpu cifar10-cpu-replicates --records results/records"))
@click.argument("first", metavar="KEY|EXPERIMENT")
@click.argument("second", metavar="KEY|EXPERIMENT")
@click.option("--records", type=click.Path(path_type=Path), help="Read the records in this folder, not in the home.")
@click.option(
    "--value", default="test_acc", show_default=True, metavar="FIELD", help="What experiments are compared by."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def diff(first: str, second: str, records: Path | None, value: str, as_json: bool) -> None:
    """Say what two records, or two experiments, differ in, and whether by more than their seeds explain."""
    from bench.read import differences_text
    from bench.read.differences import named
    from bench.record.record import read_records
    from bench.record.tracking.rebuilt import kept_records
    from bench.spec.layout import TableLayout
    from bench.store.home import Home

    value = TableLayout(value=value).value
    known = read_records(records) if records else [one for kept in kept_records(Home.find()).values() for one in kept]
    ours, theirs = named(first, known), named(second, known)
    single = [len(side) == 1 and side[0].key.startswith(name) for side, name in ((ours, first), (theirs, second))]
    if single[0] != single[1]:
        raise SepbenchError("one of them is a record and the other an experiment: name two of a kind")
    if as_json:
        click.echo(differences_text.as_json(ours, theirs, value, single=single[0]))
    elif single[0]:
        click.echo(differences_text.diff_records(ours[0], theirs[0], known))
    else:
        click.echo(differences_text.diff_experiments(ours, theirs, (first, second), value))


@click.command(epilog=example("sepbench diagnose quickstart --checkpoints 5"))
@EXPERIMENT
@changing
@PLUGIN
@ONLY
@DEVICE
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


@click.command(epilog=example("sepbench export quickstart --hub quickstart-sets --only method=sep"))
@EXPERIMENT
@changing
@PLUGIN
@ONLY
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write NumPy archives, or --state, to.")
@click.option(
    "--hub",
    type=click.Path(path_type=Path),
    help="Folder to write to instead as the Hugging Face Hub has data sets: parquet files and a data card.",
)
@click.option("--with-test", is_flag=True, help="Of --hub: the clean test images, too, where their licence allows.")
@click.option(
    "--records",
    type=click.Path(path_type=Path),
    help="Of --hub: a folder of records that tell what defenses give back, besides those of the home.",
)
@click.option("--state", is_flag=True, help="Write to --out what sepbench import takes in to go on elsewhere.")
@click.option("--bf16", is_flag=True, help="Of --state: checkpoints in bfloat16; records of what follows say so.")
@click.option(
    "--leave-out",
    multiple=True,
    type=click.Choice(["protected", "checkpoints", "drafts"]),
    help="Of --state: what stays behind.",
)
@click.option("--file-size", metavar="SIZE", help="Of --state: the most that a file may take, such as 16M.")
@DEVICE
def export(
    experiment: str,
    overrides: Sequence[str],
    profile: str | None,
    only: Sequence[str],
    out: Path | None,
    hub: Path | None,
    with_test: bool,
    records: Path | None,
    state: bool,
    bf16: bool,
    leave_out: Sequence[str],
    file_size: str | None,
    devices: str,
) -> None:
    """Write the protected sets of an experiment as NumPy archives, or ready for the Hugging Face Hub.

    With --state what there is of it, finished or begun, in small files for another machine: protected sets,
    victims, and the checkpoints that are still needed. --devices is where it was begun.

    Archives are for purifiers and other tools: for victims with the defense purified that have only part of a set, or
    clean images besides, also what they have. Nothing is uploaded.
    """
    from bench.read.export import export as write
    from bench.store.home import Home

    if state and out is None and hub is None:
        raise SepbenchError("--state needs a place to write to: add --out FILE.sepstate, or --out FOLDER")
    if (out is None) == (hub is None):
        raise SepbenchError("give --out FOLDER for NumPy archives, or --hub FOLDER for the layout of the Hub")
    if not state and (bf16 or leave_out or file_size):
        raise SepbenchError("--bf16, --leave-out and --file-size go with --state: add --state")
    if state and hub is not None:
        raise SepbenchError("--state goes with --out: the Hub takes protected sets alone")
    if hub is None and (with_test or records is not None):
        raise SepbenchError(f"{'--with-test' if with_test else '--records'} goes with --hub: add --hub FOLDER")
    left, home, wanted = 0, Home.find(), planned(experiment, overrides, profile, only)
    if state and out is not None:
        write_state(wanted, home, out, devices, bf16, leave_out, file_size)
        return
    if hub is not None:
        from bench.read.hub import hand_on, upload_command

        written = hand_on(wanted, home, hub, records, test=with_test)
    else:
        assert out is not None
        written = write(wanted, home, out)
    for one in written:
        left += one.path is None
        if one.path is not None:
            click.echo(f"{one.path}  {one.what}")
    if left:
        say(f"{left} protected sets are not crafted yet: {wanted.advice('craft', home.store.has)}, then export again")
        sys.exit(1)
    if hub is not None:
        click.echo(
            f"fill in the licence, then upload it: {upload_command(hub, f'{wanted.experiment.dataset.name}-protected')}"
        )


@click.command(epilog=example("sepbench leaderboard --records results/records --out leaderboard.html"))
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


@click.command(epilog=example("sepbench rebuild --results results"))
@click.option(
    "--results",
    default="results",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder whose records/ is read.",
)
@click.option(
    "--experiment",
    "experiments",
    multiple=True,
    metavar="FILE.yaml",
    help="The file of an experiment that has records there and did not come with sepbench.",
)
@PLUGIN
def rebuild(results: Path, experiments: Sequence[str]) -> None:
    """Make tables, plots and the leaderboard page of a folder of results anew from its records."""
    from bench.read.rebuild import rebuild as make
    from bench.store.home import Home

    for path in make(results, Home.find(), experiments):
        click.echo(path)
