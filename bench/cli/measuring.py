"""`perf`: what this machine manages, against plain loops, and what the harness costs."""

import json
from collections.abc import Callable
from typing import Any

import click

from bench.cli.help_example import example
from bench.cli.options import DEVICE

NETWORK = click.option("--network", default="resnet18", show_default=True, metavar="NAME", help="Architecture.")
PRECISION = click.option(
    "--precision", default="fp32,bf16", show_default=True, metavar="NAME,NAME", help="Formats of our loop."
)
SIZE = click.option(
    "--size", default=32, show_default=True, type=click.IntRange(8), metavar="PIXELS", help="Side of the images."
)


def batch(default: int | None, shown: bool | str = True) -> Callable[[Any], Any]:
    """Return the option for the images of a step; `shown` says in words what its default is."""
    return click.option(
        "--batch", default=default, show_default=shown, type=click.IntRange(1), metavar="N", help="Images of a step."
    )


@click.group(epilog=example("sepbench perf train --network resnet8 --images 64 --batch 16"))
def perf() -> None:
    """Measure throughput against a plain loop in the same run, or what the harness costs, and print JSON."""


@perf.command(epilog=example("sepbench perf craft --network resnet8 --checkpoints 2 --batch 16"))
@NETWORK
@click.option("--checkpoints", default="5", show_default=True, metavar="N,N", help="Numbers of checkpoints.")
@PRECISION
@SIZE
@batch(None, "64; on a GPU, as many as a run crafts at a time")
@DEVICE
def craft(network: str, checkpoints: str, precision: str, size: int, batch: int | None, devices: str) -> None:
    """Measure SEP's steps over the checkpoints of a network."""
    from bench.core.device import choose_device
    from bench.perf import craft_throughput, read_list

    formats = read_list("--precision", precision, ("fp32", "bf16").__contains__)
    counts = [int(one) for one in read_list("--checkpoints", checkpoints, str.isdecimal)]
    measured = craft_throughput(network, counts, formats, size, batch, choose_device(devices))
    click.echo(json.dumps(measured, indent=1))


@perf.command(epilog=example("sepbench perf train --network resnet8 --images 64 --batch 16"))
@NETWORK
@click.option("--images", default=512, show_default=True, type=click.IntRange(1), metavar="N", help="Of an epoch.")
@PRECISION
@click.option("--compile", is_flag=True, help="Also with torch.compile.")
@SIZE
@batch(128)
@DEVICE
def train(network: str, images: int, precision: str, compile: bool, size: int, batch: int, devices: str) -> None:
    """Measure epochs of training."""
    from bench.core.device import choose_device
    from bench.perf import read_list, train_throughput

    formats = read_list("--precision", precision, ("fp32", "bf16").__contains__)
    measured = train_throughput(network, formats, size, batch, images, choose_device(devices), compile=compile)
    click.echo(json.dumps(measured, indent=1))


@perf.command(epilog=example("sepbench perf victims --network resnet8 --images 64 --batch 16"))
@NETWORK
@click.option("--victims", default="1,2,4", show_default=True, metavar="N,N", help="How many train at the same time.")
@click.option("--images", default=512, show_default=True, type=click.IntRange(1), metavar="N", help="Of an epoch.")
@SIZE
@batch(128)
@DEVICE
def victims(network: str, victims: str, images: int, size: int, batch: int, devices: str) -> None:
    """Measure victims that share the device, as with --jobs."""
    from bench.core.device import choose_device
    from bench.perf import read_list, victims_throughput

    counts = [int(one) for one in read_list("--victims", victims, str.isdecimal)]
    click.echo(json.dumps(victims_throughput(network, counts, size, batch, images, choose_device(devices)), indent=1))


@perf.command(epilog=example("sepbench perf harness --scale 0.1"))
@click.option(
    "--scale",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="Of 10,000 planned cells, 1,000 finished ones, 5,000 records; no fewer than a thousand of each.",
)
def harness(scale: float) -> None:
    """Measure planning, running again, tables, the page and memory, on what is made up for it; nothing is trained."""
    from bench.perf import harness_costs

    click.echo(json.dumps(harness_costs(scale), indent=1))
