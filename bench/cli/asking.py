"""Commands that ask: what there is, what would run, what this machine can do."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from bench.cli.help_example import example
from bench.cli.naming import changing
from bench.cli.options import DEVICE, DEVICES, EXPERIMENT, JOBS, ONLY, PLUGIN, say
from bench.core.errors import SepbenchError
from bench.core.garbage import uncollected


@click.command(epilog=example("sepbench ls methods"))
@click.argument("kind", metavar="methods|victims|defenses|datasets|recipes|experiments")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def ls(kind: str, as_json: bool) -> None:
    """List what there is of a kind, with a line on each."""
    from bench.cli.listing import listing, render_listing

    click.echo(render_listing(listing(kind), as_json))


@click.command(epilog=example("sepbench show sep-fa-vr"))
@click.argument("name", metavar="NAME|KEY")
@PLUGIN
@click.option("--records", type=click.Path(path_type=Path), help="Look for the key in this folder of records as well.")
@click.option("--full", is_flag=True, help="Of an experiment: with every default, not as its file stands.")
def show(name: str, records: Path | None, full: bool) -> None:
    """Show a method, victim, defense, data set, recipe or experiment, or the record or artifact with a key."""
    from bench.cli.catalog import is_key
    from bench.cli.catalog import show as describe
    from bench.cli.once import Made, once, users_cache
    from bench.store.home import Home

    home = Home.find()
    if is_key(name):
        click.echo(describe(name, home, records, full))
        return
    request = ["show", name, full]  # the same in every home, and there may be none yet
    click.echo(once(users_cache(), request, [Path(name)], lambda: Made(describe(name, home, records, full))))


@click.command(epilog=example("sepbench plan cifar10-cpu --set dataset.limit=1000 --all"))
@EXPERIMENT
@changing
@ONLY
@PLUGIN
@DEVICES
@JOBS
@click.option("--all", "every_stage", is_flag=True, help="List every stage.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan(
    experiment: str,
    overrides: Sequence[str],
    profile: str | None,
    only: Sequence[str],
    devices: str,
    jobs: int,
    every_stage: bool,
    as_json: bool,
) -> None:
    """Say what would run, what is there already, and about how long it takes on this machine."""
    from bench.cli.once import Made, once
    from bench.plan.right_now import Asked
    from bench.store.home import Home

    home, asked_for = Home.find(), (experiment, list(overrides), profile, list(only))
    how: dict[str, Any] = {"devices": devices, "jobs": jobs, "every_stage": every_stage, "as_json": as_json}

    def make() -> Made:
        from bench.cli import planning

        return planning.plan(*asked_for, home=home, **how)

    with uncollected():
        answer = once(home.answers, ["plan", asked_for, how], [Path(experiment), home.store.root, home.paces], make)
    told, asked = answer["told"], Asked(**answer["asked"])
    if as_json:
        click.echo(json.dumps({**told, **asked.fields(home.root)}, indent=1))
    else:
        above, total = told
        click.echo("\n".join([*above, *asked.lines(home.root), *total]))
    for sentence in answer["said"]:
        say(sentence)


@click.command(epilog=example("sepbench doctor --check --devices cpu"))
@click.option("--check", "measure", is_flag=True, help="Craft and train on small inputs, and hold it against the CPU.")
@DEVICE
@click.option("--json", "as_json", is_flag=True, help="With --check: print JSON.")
@click.pass_context
def doctor(context: click.Context, measure: bool, devices: str, as_json: bool) -> None:
    """Say what this machine can do, and what is missing.

    With --check it also says whether the device computes what its CPU does, and how fast, in up to three minutes.
    Exit code 1 where something is in the way.
    """
    if measure:
        from bench.cli.machine_report import check_machine

        if not check_machine(devices, as_json):
            sys.exit(1)
        return
    for option, given in (("--json", as_json), ("--devices", _given(context, "devices"))):
        if given:
            raise SepbenchError(f"{option} belongs to doctor --check: give both, or leave it out")
    from bench.cli.doctor import examine, render_findings
    from bench.store.home import Home

    findings = examine(Home.find())
    click.echo(render_findings(findings))
    if any(one.mark == "✗" for one in findings):
        sys.exit(1)


def _given(context: click.Context, parameter: str) -> bool:
    return context.get_parameter_source(parameter) is not ParameterSource.DEFAULT
