"""Arguments and options that several commands share, and what is read from them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.core.errors import SepbenchError
from bench.core.outside import printable

if TYPE_CHECKING:
    from bench.plan.plan import Plan

EXPERIMENT = click.argument("experiment")
ONLY = click.option(
    "--only", multiple=True, metavar="FIELD=VALUE", help="Cells with this method, budget, victim, defense or seed."
)
WHERE = click.option("--where", multiple=True, metavar="FIELD=VALUE", help="Only records with this value of a field.")
JOBS = click.option(
    "--jobs",
    default=1,
    show_default=True,
    type=click.IntRange(1),
    metavar="N",
    help="Processes that share each device.",
)
DEVICE = click.option(
    "--devices",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="cpu, cuda or cuda:1; auto is a GPU where there is one.",
)
DEVICES = click.option(
    "--devices",
    default="auto",
    show_default=True,
    metavar="NAMES",
    help="cpu, cuda, cuda:0,cuda:1, or all GPUs; auto is one GPU where there is one.",
)
FORMAT = click.option(
    "--format", "form", default="md", show_default=True, metavar="FORMAT", help="md, csv, latex, html or json."
)


def _attach(context: click.Context, option: click.Parameter, files: tuple[Path, ...]) -> tuple[Path, ...]:
    if files:
        from bench.contracts.plugin_files import attach

        attach(files)
    return files


PLUGIN = click.option(
    "--plugin",
    "plugins",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE.py",
    expose_value=False,
    is_eager=True,
    callback=_attach,
    help="Know the methods, defenses, networks and data sets of this file as well.",
)
"""Attaches the files before the command looks at anything else; a command takes no argument for it."""


def planned(
    name: str, overrides: Sequence[str], profile: str | None, only: Sequence[str], *, without_data: bool = False
) -> "Plan":
    """Return the plan of the experiment that a command names, with the cells that `--only` leaves.

    `without_data` plans with published sizes where the data set is not here.
    """
    from bench.plan.make import plan_experiment
    from bench.read.standins import led_to_plugins
    from bench.spec.file import load_experiment
    from bench.spec.only import selector
    from bench.store.home import Home

    home = Home.find()
    with led_to_plugins(home):
        spec = load_experiment(name, profile=profile, overrides=overrides)
        chosen = selector(spec, [pair("--only", one) for one in only])
        return plan_experiment(spec, home.cards, chosen, without_data=without_data)


def pair(option: str, text: str) -> tuple[str, str]:
    """Return field and value of `FIELD=VALUE`; raises `SepbenchError` for anything else."""
    field, equals, value = text.partition("=")
    if not equals or not field or not value:
        raise SepbenchError(f"{option} {text}: write {option} FIELD=VALUE, such as {option} method=sep")
    return field, value


def say(sentence: Any) -> None:
    """Print a sentence for the person on standard error."""
    click.echo(f"sepbench: {printable(str(sentence))}", err=True)
