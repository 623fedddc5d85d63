"""The command that runs a record's cell again."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.help_example import example
from bench.cli.options import DEVICES, PLUGIN, say
from bench.core.errors import Stopped

if TYPE_CHECKING:
    from bench.flows.verify import Verification


@click.command(epilog=example("sepbench verify 4d0b1c22f0 --records results/records"))
@click.argument("key", metavar="KEY")
@click.option("--records", type=click.Path(path_type=Path), help="Read the records in this folder, not in the home.")
@click.option(
    "--experiment", "file", metavar="FILE.yaml", help="The record's experiment, where it did not come with sepbench."
)
@click.option("--set", "places", multiple=True, metavar="dataset.FIELD=PATH", help="Where the data set lies here.")
@PLUGIN
@click.option("--from-scratch", is_flag=True, help="Craft anew, also where the home has the protected set.")
@click.option(
    "--home",
    "folder",
    type=click.Path(path_type=Path),
    help="Work here and keep it: stopped, the same command goes on.",
)
@DEVICES
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(
    key: str,
    records: Path | None,
    file: str | None,
    places: Sequence[str],
    from_scratch: bool,
    folder: Path | None,
    devices: str,
    as_json: bool,
) -> None:
    """Run the one cell of a record again, and say what came out other, and why that may be.

    The victim is trained anew, on the protected set of the home where that has the recorded digest. Exit code 1 where
    an outcome, the audit or a digest differs. What is made stays out of the home.
    """
    from bench.core.device import choose_device
    from bench.flows.carry_out import Means
    from bench.flows.verify import home_for, plan_again, record_named
    from bench.flows.verify import verify as run_again
    from bench.record.record import read_records
    from bench.record.tracking.rebuilt import kept_records
    from bench.store.home import Home

    source, device = Home.find(), choose_device(devices)
    known = read_records(records) if records else [one for kept in kept_records(source).values() for one in kept]
    record = record_named(key, known)
    with home_for(folder, source) as home:
        plan = plan_again(record, home, file, places)
        try:
            found = run_again(record, plan, source, Means(home, device, tell=say), from_scratch=from_scratch)
        except Stopped as stop:
            again = "the same command goes on" if folder else "nothing is kept; with --home FOLDER it would go on"
            raise Stopped(f"{stop}: {again}") from stop
    click.echo(json.dumps(_plain(found), indent=1) if as_json else "\n".join(_lines(found)))
    if found.differing:
        sys.exit(1)


def _plain(found: "Verification") -> dict[str, Any]:
    return {
        "key": found.record.key,
        "same": not found.differing,
        "protected_set": _origin(found),
        "differing": {name: list(pair) for name, pair in found.differing.items()},
        "reasons": found.reasons if found.differing else [],
    }


def _origin(found: "Verification") -> str:
    return "of the home" if found.reused else "made anew"


def _lines(found: "Verification") -> list[str]:
    from bench.flows.verify import COMPARED

    record = found.record
    what = f"{record.key[:12]}, {record.method} {record.victim} {record.defense} seed {record.seed}"
    head = f"{what}, of {record.experiment}, was run again; its protected set was {_origin(found)}."
    if not found.differing:
        accuracy = "" if record.test_acc is None else f", {record.test_acc} % test accuracy among them"
        return [head, f"Same: all {len(COMPARED)} numbers and digests are equal{accuracy}."]
    differing = [
        f"  {name}: {_shown(then)} recorded, {_shown(now)} now" for name, (then, now) in found.differing.items()
    ]
    return [
        head,
        "Different:",
        *differing,
        "Which may be, by what the two records say:",
        *(f"  {one}" for one in found.reasons),
    ]


def _shown(value: Any) -> str:
    return f"{value[:12]}…" if isinstance(value, str) and len(value) == 64 else str(value)
