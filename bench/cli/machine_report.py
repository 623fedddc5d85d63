"""`doctor --check`: what the checks of this machine have measured, in lines or as JSON."""

import json
import sys
import time
from typing import Any

import click
import torch

from bench import __version__
from bench.checks.machine.examination import CHECKS, examine_machine
from bench.checks.machine.measured import Measured
from bench.cli.options import say
from bench.cli.streams import for_machines
from bench.core.device import choose_device, precision
from bench.record.provenance import machine_name


def check_machine(devices: str, as_json: bool) -> bool:
    """Check a device and print what was measured; return whether nothing is in the way."""
    device = choose_device(devices)
    began, begun, found = time.perf_counter(), 0, list[Measured]()

    def begin(title: str) -> None:
        nonlocal begun
        begun += 1
        say(f"{begun} of {len(CHECKS)}: {title}")

    machine = _machine(device)
    if not as_json:
        versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
        click.echo(f"{device}: {machine['model']}, {machine['threads']} threads, {machine['precision']}; {versions}")
    for one in examine_machine(device, begin=begin):
        found.append(one)
        if not as_json:
            click.echo(str(one))
    seconds = time.perf_counter() - began
    if as_json:
        report = {**machine, "checks": [one.to_dict() for one in found], "seconds": round(seconds, 1)}
        click.echo(for_machines(json.dumps(report, indent=1, ensure_ascii=False), "json"))
    else:
        fine, known, wrong = (sum(one.verdict == mark for one in found) for mark in "✓·✗")
        click.echo(f"{fine} fine, {known} worth knowing, {wrong} in the way, in {seconds:.0f} s")
    return not any(one.verdict == "✗" for one in found)


def _machine(device: torch.device) -> dict[str, Any]:
    return {
        "device": str(device),
        "model": machine_name(device),
        "threads": torch.get_num_threads(),
        "precision": precision(device),
        "versions": {
            "sepbench": __version__,
            "python": sys.version.split()[0],
            "torch": torch.__version__,
            "cuda": torch.version.cuda if device.type == "cuda" else None,
        },
    }
