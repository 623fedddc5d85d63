"""The command that judges a protected set which somebody brought."""

from collections.abc import Sequence
from pathlib import Path

import click

from bench.cli.ending import end
from bench.cli.help_example import example
from bench.cli.lists import listed
from bench.cli.naming import SET
from bench.cli.options import DEVICES, JOBS, PLUGIN, say


@click.command(epilog=example("sepbench evaluate theirs.npy --clean cifar10-cpu --name theirs --plan"))
@click.argument("protected", type=click.Path(path_type=Path))
@click.option(
    "--clean", required=True, metavar="DATA", help="What it was made from: files, a data set, or an experiment's."
)
@click.option("--test", type=click.Path(path_type=Path), help="Clean test images; else a part of DATA is held out.")
@click.option("--victims", metavar="NAMES", help="Networks, such as resnet8,resnet18; by default one for the device.")
@click.option("--defenses", metavar="NAMES", help="What victims do besides plain; by default grayscale,jpeg-10.")
@click.option("--seeds", default="0", show_default=True, metavar="NUMBERS", help="Victim seeds, such as 0,1,2.")
@click.option("--name", metavar="NAME", help="What records call its method; by default as the file.")
@click.option("--budget", metavar="BUDGET", help="Its track, such as linf-8; by default the smallest that holds.")
@click.option("--recipe", metavar="NAME", help="How victims are trained; by default one for the device.")
@click.option("--as", "taken_for", type=click.Choice(["images", "perturbation"]), help="What an array holds.")
@click.option("--scale", type=float, metavar="LEVELS", help="How many levels of 1/255 make a unit of an array.")
@SET
@PLUGIN
@click.option("--plan", "only_plan", is_flag=True, help="Stop before anything is trained, and say what would be.")
@DEVICES
@JOBS
@click.option("--time-limit", metavar="DURATION", help="Stop at the next safe point after 90s, 9m, 1h30m; exit code 3.")
@click.option("--no-mlflow", is_flag=True, help="Leave MLflow alone.")
@click.option("--results", type=click.Path(path_type=Path), help="Also write records and table below this folder.")
def evaluate(
    protected: Path,
    clean: str,
    test: Path | None,
    victims: str | None,
    defenses: str | None,
    seeds: str,
    name: str | None,
    budget: str | None,
    recipe: str | None,
    taken_for: str | None,
    scale: float | None,
    overrides: Sequence[str],
    only_plan: bool,
    devices: str,
    jobs: int,
    time_limit: str | None,
    no_mlflow: bool,
    results: Path | None,
) -> None:
    """Judge a protected set of anybody's: how it was read, what was spent on it, and whether it holds.

    PROTECTED is what sepbench protect or export wrote, a folder of images, parquet, .npz, .npy, .pt or .pth: images, or
    what was added to them.
    """
    from rich.console import Console

    from bench.core.device import choose_devices
    from bench.core.duration import parse_duration
    from bench.flows.carry_out import Means, carry_out
    from bench.flows.evaluate import plan_evaluation
    from bench.flows.named_data import named_data
    from bench.flows.result import Result
    from bench.plan.outlook import outlook, render_outlook, worth_knowing
    from bench.read.publish import make_results_folder, publish
    from bench.read.tables import render
    from bench.record.tracking import default_uri, installed, ui_command
    from bench.run.stopping import Stop
    from bench.store.home import Home

    stop = Stop(None if time_limit is None else parse_duration(time_limit))
    first, *further = choose_devices(devices) * jobs
    means = Means(Home.find(), first, stop, further=tuple(further), mlflow=not no_mlflow, tell=say)
    data = named_data(clean, recipe, overrides)
    with Console(stderr=True).status(f"reading {protected} and comparing it with {clean}"):
        evaluation = plan_evaluation(
            protected,
            data.dataset,
            test=test,
            victims=listed("--victims", victims),
            defenses=listed("--defenses", defenses),
            seeds=listed("--seeds", seeds) or (),
            name=name,
            budget=budget,
            recipe=data.recipe,
            taken_for=taken_for,  # type: ignore[arg-type]
            scale=scale,
            overrides=data.overrides,
            home=means.home,
            device=means.device,
        )
    plan = evaluation.plan
    click.echo(f"{evaluation.report()}\n")
    if only_plan:
        click.echo(render_outlook(outlook(plan, means.home, means.device, 1 + len(further)), means.home))
        return
    for clause in worth_knowing(plan.card, plan.experiment.dataset.name):
        say(clause)
    if results is not None:
        make_results_folder(results)
    summary = carry_out(plan, means, run=lambda plan, call: evaluation.run(call))
    if results is not None:
        publish(plan, summary.records, results, plan)
    found = Result(plan, summary.records)
    if summary.records:
        click.echo(render(found.table, "md"))
    if found.verdict is not None:
        click.echo(found.verdict.text())
    if not no_mlflow and installed():
        click.echo(f"MLflow: {ui_command(default_uri(means.home.root))}")
    end(summary, means.home)
