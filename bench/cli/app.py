"""The commands of `sepbench`: one function each, that calls what does the work and prints what it returns.

Nothing here may import torch or MLflow before a command needs it: `--help` answers at once.
"""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench import __version__
from bench.errors import SepbenchError, Stopped

if TYPE_CHECKING:
    from bench.plan import Plan
    from bench.spec import Experiment

_EXPERIMENT = click.argument("experiment")
_SET = click.option(
    "--set", "overrides", multiple=True, metavar="FIELD=VALUE", help="Change a field, such as recipe.epochs=5."
)
_PROFILE = click.option("--profile", metavar="NAME", help="Apply a named set of changes from the experiment file.")
_ONLY = click.option(
    "--only", multiple=True, metavar="FIELD=VALUE", help="Cells with this method, budget, victim, defense or seed."
)
_DEVICES = click.option(
    "--devices",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="cpu, cuda or cuda:1; auto is a GPU where there is one.",
)
_FORMAT = click.option(
    "--format", "form", default="md", show_default=True, metavar="FORMAT", help="md, csv, latex, html or json."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="sepbench")
def cli() -> None:
    """Craft protective perturbations for images, train victims on them, and compare what is left.

    \b
    Start with:  sepbench run quickstart
    """


@cli.command()
@click.argument("kind", metavar="methods|victims|defenses|datasets|recipes|experiments")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def ls(kind: str, as_json: bool) -> None:
    """List what there is of a kind, with a line on each."""
    from bench.catalog import listing, render_listing

    click.echo(render_listing(listing(kind), as_json))


@cli.command()
@click.argument("name", metavar="NAME|KEY")
@click.option("--records", type=click.Path(path_type=Path), help="Look for the key in this folder of records as well.")
def show(name: str, records: Path | None) -> None:
    """Show a method, victim, defense, data set, recipe or experiment, or the record or artifact with a key."""
    from bench.catalog import show as describe
    from bench.home import Home

    click.echo(describe(name, Home.find(), records))


@cli.command()
@_EXPERIMENT
@_SET
@_PROFILE
@_ONLY
@_DEVICES
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan(
    experiment: str, overrides: Sequence[str], profile: str | None, only: Sequence[str], devices: str, as_json: bool
) -> None:
    """Say what would run, what is there already, and about how long it takes on this machine."""
    from bench.device import choose_device
    from bench.home import Home
    from bench.outlook import outlook, render_outlook

    device = choose_device(devices)
    home = Home.find()
    click.echo(render_outlook(outlook(_plan(experiment, overrides, profile, only), home.store, device), as_json))


@cli.command()
@_EXPERIMENT
@_SET
@_PROFILE
@_ONLY
@_DEVICES
@click.option(
    "--executor", default="local", show_default=True, metavar="NAME", help="Where stages run: local is this process."
)
@click.option("--time-limit", metavar="DURATION", help="Stop at the next safe point after 90s, 9m, 1h30m; exit code 3.")
@click.option("--force", multiple=True, metavar="STAGE", help="Run finished stages again: surrogate, craft or victim.")
@click.option(
    "--jobs", default=1, show_default=True, type=click.IntRange(1), metavar="N", help="Processes that share the device."
)
@click.option("--compile", is_flag=True, help="Train with torch.compile; perf train --compile tells whether it pays.")
@click.option("--worker", is_flag=True, hidden=True, help="Be one of the further processes of --jobs.")
@click.option("--no-mlflow", is_flag=True, help="Leave MLflow alone.")
@click.option("--results", type=click.Path(path_type=Path), help="Also write records and table below this folder.")
def run(
    experiment: str,
    overrides: Sequence[str],
    profile: str | None,
    only: Sequence[str],
    devices: str,
    executor: str,
    time_limit: str | None,
    force: Sequence[str],
    jobs: int,
    compile: bool,
    worker: bool,
    no_mlflow: bool,
    results: Path | None,
) -> None:
    """Run an experiment, or what is left of it, and print its table.

    Finished work is never done twice: the same command again goes on where the last one ended.
    """
    from bench.device import choose_device
    from bench.executors.jobs import run_again, stop_with_parent, workers
    from bench.home import Home
    from bench.outlook import estimator
    from bench.progress import choose_progress
    from bench.publishing import make_results_folder, publish
    from bench.registry import UnknownName
    from bench.run import Invocation, check_stage_kinds, redo, run_plan, table_of
    from bench.stopping import Stop, parse_duration
    from bench.tables import render
    from bench.tracking import NullTracker, Tracker, default_uri, ui_command

    if executor != "local":
        raise UnknownName("executor", executor, ["local"])
    check_stage_kinds(force)
    if worker:
        stop_with_parent()
    stop = Stop(None if time_limit is None else parse_duration(time_limit))
    device = choose_device(devices)
    home = Home.find()
    uri = default_uri(home.root)
    wanted = _plan(experiment, overrides, profile, only)
    if results is not None:
        make_results_folder(results)
    redo(wanted, force, home.store)
    todo = wanted.missing(home.store.has)
    # A worker times nothing: its first process tells how long it takes.
    watcher = choose_progress(todo, (lambda stage: 1.0) if worker else estimator(wanted, device))
    tracker = NullTracker() if no_mlflow else Tracker(uri, home.outbox, leave=worker)
    same = {"--set": overrides, "--profile": profile, "--only": only, "--devices": devices}
    again = run_again(experiment, {**same, "--time-limit": time_limit, "--compile": compile, "--no-mlflow": no_mlflow})
    others = workers(min(jobs, len(todo)), again, home, device, stop)
    try:
        summary = run_plan(wanted, Invocation(home, device, watcher, tracker, stop, others, compile))
    finally:
        watcher.close()
    if results is not None:
        publish(summary, results)
    if summary.records:
        click.echo(render(table_of(summary), "md"))
    if not no_mlflow:
        click.echo(f"MLflow: {ui_command(uri)}")
    for failure in summary.failures:
        _say(f"failed: {failure.method} {failure.victim} {failure.defense} seed {failure.seed}: {failure.reason}")
    if summary.stopped:
        raise Stopped(
            f"{summary.stopped} after {summary.stages} stages: finished work is kept, the same command goes on"
        )
    if summary.failures:
        _say(f"{len(summary.failures)} of {len(summary.records)} cells failed; tracebacks are in {home.logs}")
        if not worker:  # its first process tells of them, and takes 1 for a breakdown
            sys.exit(1)


@cli.command()
@click.argument("experiments", metavar="EXPERIMENT...", nargs=-1, required=True)
@_SET
@_PROFILE
@_FORMAT
@click.option("--records", type=click.Path(path_type=Path), help="Read the records in this folder instead of MLflow.")
@click.option("--where", multiple=True, metavar="FIELD=VALUE", help="Only records with this value of a field.")
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
    from bench.experiment_file import load_experiment
    from bench.home import Home
    from bench.tables import render
    from bench.tabulation import compile_table

    specs = [load_experiment(name, profile=profile, overrides=overrides) for name in experiments]
    compiled = compile_table(specs, Home.find(), records, dict(_pair("--where", one) for one in where))
    click.echo(render(compiled, form), nl=False)
    if strict and compiled.missing:
        _say(f"{compiled.missing} of {compiled.runs} runs are missing")
        sys.exit(1)


@cli.command()
@_EXPERIMENT
@_SET
@_PROFILE
@_ONLY
@_DEVICES
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
    from bench.data.loading import load
    from bench.device import choose_device
    from bench.diagnostics import diagnose as measure
    from bench.diagnostics import render_diagnosis
    from bench.home import Home
    from bench.plots import similarity_heatmap
    from bench.tracking import attach, default_uri
    from bench.workbench import Workbench

    home, wanted = Home.find(), _plan(experiment, overrides, profile, only)
    splits = load(wanted.experiment.dataset.located())
    found = measure(wanted, Workbench(splits, home.store, choose_device(devices)), checkpoints, images)
    click.echo(render_diagnosis(found, form))
    if not no_mlflow:
        texts = {"diagnosis.md": render_diagnosis(found, "md"), "diagnosis.json": render_diagnosis(found, "json")}
        figures = {f"similarity-{n}.png": similarity_heatmap(one) for n, one in enumerate(found.similarities)}
        attach(default_uri(home.root), wanted.experiment.name, "diagnosis", texts, figures)


@cli.command()
@_EXPERIMENT
@_SET
@_PROFILE
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    metavar="KIND",
    help="ablation, bars, passes, curves, similarity, examples or classes; all that there is enough for if left out.",
)
@click.option("--out", default="plots", show_default=True, type=click.Path(path_type=Path), help="Folder to write to.")
@click.option("--records", type=click.Path(path_type=Path), help="Read the records in this folder instead of MLflow.")
@click.option("--method", metavar="NAME", help="Of classes: whose victims; the strongest if left out.")
def plot(
    experiment: str,
    overrides: Sequence[str],
    profile: str | None,
    kinds: Sequence[str],
    out: Path,
    records: Path | None,
    method: str | None,
) -> None:
    """Draw an experiment that has run, as PNG and SVG, and print the files.

    Curves, similarity, examples and classes take what the run left in the store, the others records alone.
    """
    from bench.experiment_file import load_experiment
    from bench.home import Home
    from bench.plots import Sources, draw

    spec = load_experiment(experiment, profile=profile, overrides=overrides)
    for drawn in draw(Sources(spec, Home.find(), records, method), kinds, out):
        if drawn.paths:
            click.echo("\n".join(map(str, drawn.paths)))
        else:
            _say(f"no {drawn.kind}: {drawn.reason}")


@cli.command()
@click.option(
    "--results",
    default="results",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder whose records/ is read.",
)
def rebuild(results: Path) -> None:
    """Make tables, plots and the leaderboard page of a folder of results anew from its records."""
    from bench.home import Home
    from bench.report import rebuild as make

    for path in make(results, Home.find()):
        click.echo(path)


@cli.command()
@_EXPERIMENT
@_SET
@_PROFILE
@_ONLY
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write to.")
def export(experiment: str, overrides: Sequence[str], profile: str | None, only: Sequence[str], out: Path) -> None:
    """Write the protected sets of an experiment as NumPy archives, for purifiers and other tools."""
    from bench.export import export as write
    from bench.home import Home

    left = 0
    for one in write(_plan(experiment, overrides, profile, only), Home.find().store, out):
        left += one.path is None
        if one.path is not None:
            click.echo(f"{one.path}  {one.stage.label.removeprefix('craft ')}")
    if left:
        _say(f"{left} protected sets are not crafted yet: run the experiment first, then export again")
        sys.exit(1)


@cli.command()
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
    from bench.report import write_leaderboard

    refused = write_leaderboard(records, out)
    click.echo(f"{out}")
    for sentence in refused:
        _say(sentence)
    if refused:
        sys.exit(1)


@cli.command()
@click.argument("what", metavar="craft|train")
@click.option("--network", default="resnet18", show_default=True, metavar="NAME", help="Architecture.")
@click.option("--checkpoints", metavar="N,N", help="Numbers of checkpoints, of craft alone.  [default: 5]")
@click.option(
    "--images", type=click.IntRange(1), metavar="N", help="Images of an epoch, of train alone.  [default: 512]"
)
@click.option("--precision", default="fp32,bf16", show_default=True, metavar="NAME,NAME", help="Formats of our loop.")
@click.option("--compile", is_flag=True, help="Of train alone: also with torch.compile.")
@click.option(
    "--size", default=32, show_default=True, type=click.IntRange(8), metavar="PIXELS", help="Side of the images."
)
@click.option(
    "--batch", type=click.IntRange(1), metavar="N", help="Images of a step.  [default: 64 of craft, 128 of train]"
)
@_DEVICES
def perf(
    what: str,
    network: str,
    checkpoints: str | None,
    images: int | None,
    precision: str,
    compile: bool,
    size: int,
    batch: int | None,
    devices: str,
) -> None:
    """Measure throughput against a plain loop in the same run, and print JSON."""
    import json

    from bench.device import choose_device
    from bench.perf import craft_throughput, read_list, train_throughput
    from bench.registry import UnknownName

    formats = read_list("--precision", precision, ("fp32", "bf16").__contains__)
    if what == "craft":
        if images is not None:
            raise SepbenchError("--images belongs to perf train: craft takes one --batch of images")
        if compile:
            raise SepbenchError("--compile belongs to perf train: craft compiles where it pays, which is on GPUs")
        counts = [int(one) for one in read_list("--checkpoints", checkpoints or "5", str.isdecimal)]
        measured = craft_throughput(network, counts, formats, size, batch or 64, choose_device(devices))
    elif what == "train":
        if checkpoints is not None:
            raise SepbenchError("--checkpoints belongs to perf craft: training has none")
        measured = train_throughput(
            network, formats, size, batch or 128, images or 512, choose_device(devices), compile=compile
        )
    else:
        raise UnknownName("thing to measure", what, ["craft", "train"])
    click.echo(json.dumps(measured, indent=1))


@cli.command()
def doctor() -> None:
    """Say what this machine can do, and what is missing."""
    from bench.doctor import examine, render_findings
    from bench.home import Home

    findings = examine(Home.find())
    click.echo(render_findings(findings))
    if any(one.mark == "✗" for one in findings):
        sys.exit(1)


@cli.command()
def sync() -> None:
    """Send MLflow the reports it could not take while experiments ran."""
    from bench.home import Home
    from bench.tracking import default_uri
    from bench.tracking import sync as send

    home = Home.find()
    result = send(default_uri(home.root), home.outbox)
    click.echo(f"{result.sent} sent, {result.already} were there already, {result.left} left")
    if result.left:
        _say(f"{result.reason}: what is left waits for the next sepbench sync")
        sys.exit(1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit: 0 done, 1 some cells failed, 2 the request is wrong, 3 stopped and resumable."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("sepbench: %(message)s"))
    logger = logging.getLogger("sepbench")
    logger.handlers = [handler]
    logger.propagate = False
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        cli.main(args=list(arguments), prog_name="sepbench", standalone_mode=False)
    except (SepbenchError, Stopped) as error:
        _say(str(error))
        sys.exit(error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(0)
    except click.ClickException as error:
        _say(_usage(error, arguments))
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        _say("interrupted: finished work is kept, the same command goes on from here")
        sys.exit(3)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)


def _plan(name: str, overrides: Sequence[str], profile: str | None, only: Sequence[str]) -> "Plan":
    from bench.experiment_file import load_experiment
    from bench.home import Home
    from bench.run import plan_experiment
    from bench.selection import selector

    spec: Experiment = load_experiment(name, profile=profile, overrides=overrides)
    return plan_experiment(spec, Home.find(), selector(spec, [_pair("--only", one) for one in only]))


def _pair(option: str, text: str) -> tuple[str, str]:
    field, equals, value = text.partition("=")
    if not equals or not field or not value:
        raise SepbenchError(f"{option} {text}: write {option} FIELD=VALUE, such as {option} method=sep")
    return field, value


def _usage(error: click.ClickException, arguments: Sequence[str]) -> str:
    """Return click's complaint in the form of ours."""
    message = error.format_message().rstrip(".").replace("'. Did you mean", "': did you mean")
    command = " ".join(["sepbench", *(name for name in arguments[:1] if name in cli.commands)])
    return f"{message[:1].lower()}{message[1:]}{' See' if message.endswith('?') else ': see'} {command} --help"


def _say(sentence: Any) -> None:
    click.echo(f"sepbench: {sentence}", err=True)
