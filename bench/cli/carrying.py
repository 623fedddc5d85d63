"""Carrying a run to another home: what `export --state` writes, and `import`."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.help_example import example
from bench.cli.options import DEVICE, PLUGIN, say
from bench.core.errors import SepbenchError
from bench.core.sizes import size_text

if TYPE_CHECKING:
    from bench.plan.plan import Plan
    from bench.store.home import Home


def write_state(
    plan: "Plan", home: "Home", out: Path, devices: str, bf16: bool, leave_out: Sequence[str], file_size: str | None
) -> None:
    """Write the state of an experiment, and print the files and what is in them."""
    from bench.core.device import choose_device
    from bench.flows.export_state import export_state

    limit = None if file_size is None else _bytes(file_size)
    device = choose_device(devices)
    found = export_state(plan, home, out, device, bf16=bf16, leave_out=leave_out, limit=limit)
    with_files = [one for one in found.work if one.bytes]
    for one in with_files:
        click.echo(f"  {size_text(one.packed):>9} of {size_text(one.bytes):>9}  {one.label}")
    if victims := len(found.work) - len(with_files):
        click.echo(f"  {victims} finished victim{'s' * (victims > 1)}")
    for path in found.files:
        click.echo(f"{path}  {size_text(path.stat().st_size)}")
    for remark in found.remarks:
        say(remark)


@click.command("import", epilog=example("sepbench import carried --devices cpu"))
@click.argument("files", metavar="FILE|FOLDER...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--set",
    "places",
    multiple=True,
    metavar="dataset.FIELD=PATH",
    help="Where the data set lies here, such as dataset.root=data.",
)
@PLUGIN
@DEVICE
def import_(files: Sequence[Path], places: Sequence[str], devices: str) -> None:
    """Take in what export --state wrote in another home, so that the run goes on from there.

    Everything is checked before anything is taken in, and what is here already stays as it is. A draft, of which a
    machine has only begun the work, goes on where torch and device are those that it was begun with.
    """
    from bench.core.device import choose_device
    from bench.flows.import_state import Incoming
    from bench.store.home import Home
    from bench.store.state_files import state_files

    home, device = Home.find(), choose_device(devices)
    for one in state_files(files):
        with one:
            incoming = Incoming(one, home, device, places)
            victims: Counter[str] = Counter()
            for brought in incoming.brought():
                if brought.kind == "victim":
                    victims[brought.what] += 1
                else:
                    click.echo(f"{brought.label} {brought.what}")
            for what, count in victims.items():
                click.echo(f"{count} victim{'s' * (count > 1)}: {what}")
            click.echo(f"to go on from here: {incoming.command()}")


def _bytes(text: str) -> int:
    match = re.fullmatch(r"(\d+)([MG])", text)
    if match is None:
        raise SepbenchError(f"--file-size {text}: write a size such as 16M or 2G")
    return int(match[1]) << {"M": 20, "G": 30}[match[2]]
