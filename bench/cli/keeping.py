"""Commands that look after a home: how much room its work takes, and removing what nobody needs."""

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from bench.cli.help_example import example
from bench.cli.naming import changing
from bench.cli.options import ONLY, PLUGIN, planned, say
from bench.core.sizes import size_text

if TYPE_CHECKING:
    from bench.flows.cleaning import Cleaning


@click.command(epilog=example("sepbench du --json"))
@click.option("--json", "as_json", is_flag=True, help="Print JSON, sizes in bytes.")
def du(as_json: bool) -> None:
    """Say how much room the work of each experiment takes in the home, and what several of them share."""
    from bench.cli.usage_table import render_usage
    from bench.flows.usage import usage
    from bench.store.home import Home

    found = usage(Home.find())
    click.echo(json.dumps(found.as_json(), indent=1) if as_json else render_usage(found))


@click.command(epilog=example("sepbench clean --keep cifar10-cpu --checkpoints"))
@click.option(
    "--keep",
    "experiments",
    multiple=True,
    metavar="EXPERIMENT",
    help="Keep all that this experiment needs, also where it has no record yet.",
)
@changing
@ONLY
@PLUGIN
@click.option(
    "--checkpoints",
    is_flag=True,
    help="Also of surrogates that stay: checkpoints that nothing left to craft takes, in what --keep names.",
)
@click.option("--bf16", is_flag=True, help="Also round checkpoints that stay to bfloat16, half the size.")
@click.option("--yes", is_flag=True, help="Remove it; else it is shown, and a terminal is asked.")
def clean(
    experiments: Sequence[str],
    overrides: Sequence[str],
    profile: str | None,
    only: Sequence[str],
    checkpoints: bool,
    bf16: bool,
    yes: bool,
) -> None:
    """Show what of the home nobody needs any more, then remove it.

    What a record rests on stays, and what a running process may need. Everything else can be made again, from seeds:
    on a CPU with the same bytes. Records of what is crafted from rounded checkpoints say so.
    """
    from bench.core.errors import SepbenchError
    from bench.flows.cleaning import cleaning, remove
    from bench.store.home import Home

    if (overrides or profile or only) and not experiments:
        raise SepbenchError("--set, --profile and --only say what of --keep is meant: add --keep EXPERIMENT")
    home = Home.find()
    plans = [planned(one, overrides, profile, only) for one in experiments]
    found = cleaning(home, plans, checkpoints=checkpoints, bf16=bf16)
    if found.at_work:
        say(
            f"{' and '.join(found.at_work)} at work in {home.root}: what it may need stays, wait until it has ended to "
            f"remove more"
        )
    if not found.removals:
        click.echo(f"nothing in {home.root} can go")
        return
    click.echo(_table(found))
    if not yes and not (sys.stdin.isatty() and click.confirm("Remove it?")):
        say("nothing was removed: --yes removes it, --keep EXPERIMENT keeps what an experiment needs")
        return
    click.echo(f"removed {size_text(remove(found, home))}")


def _table(found: "Cleaning") -> str:
    """Return a line for each kind of what can go: how many, and their size."""
    rows = []
    for title in dict.fromkeys(one.title for one in found.removals):
        several = [one for one in found.removals if one.title == title]
        rows.append((str(len(several)), size_text(sum(one.bytes for one in several)), title))
    rows.append(("", size_text(found.bytes), "in all"))
    counts, sizes = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(f"  {count:>{counts}}  {size:>{sizes}}  {title}" for count, size, title in rows)
