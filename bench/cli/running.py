"""Commands that work: run, what its further processes do, sync."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from bench.cli.ending import end
from bench.cli.help_example import example
from bench.cli.naming import changing
from bench.cli.options import DEVICES, EXPERIMENT, JOBS, ONLY, PLUGIN, planned, say
from bench.core.errors import Stopped


@click.command(epilog=example("sepbench run cifar10-cpu --only method=sep --time-limit 9m"))
@EXPERIMENT
@changing
@ONLY
@PLUGIN
@DEVICES
@click.option(
    "--executor",
    default="local",
    show_default=True,
    metavar="NAME",
    help="Where stages run: local is this machine, ray a Ray cluster.",
)
@click.option("--address", metavar="HOST:PORT", help="Of the Ray cluster; without it Ray is started on this machine.")
@click.option("--time-limit", metavar="DURATION", help="Stop at the next safe point after 90s, 9m, 1h30m; exit code 3.")
@click.option(
    "--stage-limit", metavar="DURATION", help="A stage that takes longer, such as 6h, has failed; others go on."
)
@click.option("--force", multiple=True, metavar="STAGE", help="Run finished stages again: surrogate, craft or victim.")
@JOBS
@click.option("--compile", is_flag=True, help="Train with torch.compile; perf train --compile tells whether it pays.")
@click.option("--no-mlflow", is_flag=True, help="Leave MLflow alone.")
@click.option("--results", type=click.Path(path_type=Path), help="Also write records and table below this folder.")
def run(
    experiment: str,
    overrides: Sequence[str],
    profile: str | None,
    only: Sequence[str],
    devices: str,
    executor: str,
    address: str | None,
    time_limit: str | None,
    stage_limit: str | None,
    force: Sequence[str],
    jobs: int,
    compile: bool,
    no_mlflow: bool,
    results: Path | None,
) -> None:
    """Run an experiment, or what is left of it, and print its table.

    Finished work is never done twice: the same command again goes on where the last one ended.
    """
    from bench.core.duration import parse_duration
    from bench.flows.carry_out import Means, carry_out
    from bench.plan.outlook import worth_knowing
    from bench.plan.unreached import unreached
    from bench.read.publish import make_results_folder, publish
    from bench.read.tables import render
    from bench.read.tabulation import table_of
    from bench.record.tracking import default_uri, installed, ui_command
    from bench.run.executors.executor import choose_executor
    from bench.run.redo import check_stage_kinds
    from bench.run.stopping import Stop
    from bench.store.home import Home

    chosen = choose_executor(executor, address)
    check_stage_kinds(force)
    stop = Stop(
        None if time_limit is None else parse_duration(time_limit),
        None if stage_limit is None else parse_duration(stage_limit, "--stage-limit"),
    )
    first, *further = chosen.devices(devices, jobs)
    means = Means(
        Home.find(),
        first,
        stop,
        chosen,
        tuple(further),
        compile,
        mlflow=not no_mlflow,
        tell=say,
        anew="--force {kind}",
    )
    home = means.home
    wanted = planned(experiment, overrides, profile, only)
    for clause in (*worth_knowing(wanted.card, wanted.experiment.dataset.name), *unreached(wanted.experiment)):
        say(clause)
    if results is not None:
        make_results_folder(results)
    summary = carry_out(wanted, means, force)
    if results is not None:
        publish(wanted, summary.records, results)
    if summary.records:
        click.echo(render(table_of(wanted, summary.records), "md"))
    if not no_mlflow and installed():
        click.echo(f"MLflow: {ui_command(default_uri(home.root))}")
    end(summary, home)


@click.command(hidden=True)
@click.argument("file", type=click.Path(path_type=Path))
def work(file: Path) -> None:
    """Help with the run that wrote FILE; the further processes of run --jobs and --devices do."""
    from bench.core.device import choose_device
    from bench.record.tracking import NullTracker, Tracker, default_uri
    from bench.run.assignment import Assignment
    from bench.run.executors.executor import Workplace
    from bench.run.executors.jobs import stop_with_parent
    from bench.run.invocation import Invocation, run_plan
    from bench.run.progress import choose_progress
    from bench.run.stopping import Stop
    from bench.store.home import Home

    told = Assignment.read(file)
    stop_with_parent()
    home = Home.find()
    wanted = told.plan(home)
    # It times nothing: the first process tells how long it takes.
    watcher = choose_progress(wanted.todo(home.store), lambda stage: 1.0)
    stop = Stop(told.seconds, told.stage_seconds)
    place = Workplace(home, choose_device(told.device), watcher, stop, (), told.compile, told.tell)
    tracker = Tracker(default_uri(home.root), home, leave=True) if told.tell else NullTracker()
    try:
        summary = run_plan(wanted, Invocation(place, tracker=tracker))
    finally:
        watcher.close()
    if summary.stopped:
        raise Stopped(summary.stopped)
    if summary.failures:  # of which the first process tells: it takes any other exit code for a breakdown
        say(f"{len(summary.failures)} of {len(summary.records)} cells failed")


@click.command(epilog=example("sepbench sync --all"))
@click.option("--all", "upstream", is_flag=True, help="Surrogates and protected sets, too: for a server that is new.")
def sync(upstream: bool) -> None:
    """Send MLflow what it could not take while experiments ran, and what it lacks of the victims finished here."""
    from bench.record.tracking import default_uri
    from bench.record.tracking import sync as send
    from bench.store.home import Home

    home = Home.find()
    result = send(default_uri(home.root), home, upstream=upstream)
    click.echo(f"{result.sent} sent, {result.already} were there already, {result.left} left")
    if result.again:
        click.echo(f"{result.again} of those sent stood in the records of {home.root} and not in MLflow")
    if result.reason:
        say(f"{result.reason}: what is left waits for the next sepbench sync")
        sys.exit(1)
