"""What this machine can do for sepbench, and what it lacks."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from bench import __version__
from bench.core.broken import told
from bench.core.disk import make_folder, write_atomically, writing
from bench.core.errors import SepbenchError
from bench.record.tracking import count_waiting, default_uri, reachable
from bench.store.home import Home

_PACKAGES = ("torch", "torchvision", "mlflow", "pandas", "pydantic", "safetensors")

Mark = Literal["✓", "·", "✗"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at: fine (✓), worth knowing (·) or in the way (✗), with what to do."""

    mark: Mark
    what: str


def examine(home: Home) -> list[Finding]:
    """Return what was found, the machine first."""
    parts = (_software, _devices, _plugins, partial(_home, home), partial(_mlflow, home), _data)
    return [finding for part in parts for finding in _found(part)]


def _found(part: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Yield the findings of a part, its own breakdown among them: that one has to be seen, too."""
    try:
        yield from part()
    except Exception as error:
        yield Finding("✗", f"this could not be looked at further ({told(error)}): repair what it names")


def render_findings(findings: list[Finding]) -> str:
    """Return the findings, one a line."""
    return "\n".join(f"{one.mark} {one.what}" for one in findings)


def _software() -> Iterator[Finding]:
    yield Finding("✓", f"sepbench {__version__}, Python {sys.version.split()[0]}, {os.cpu_count()} cores")
    for package in _PACKAGES:
        try:
            yield Finding("✓", f"{package} {version(package)}")
        except PackageNotFoundError:
            mark: Mark = "·" if package == "mlflow" else "✗"  # experiments run without MLflow
            yield Finding(mark, f"{package} is not installed: pip install sepbench installs it")


def _devices() -> Iterator[Finding]:
    import torch

    from bench.core.device import precision

    yield Finding("✓", f"cpu: {torch.get_num_threads()} threads, {precision(torch.device('cpu'))}")
    if not torch.cuda.is_available():
        yield Finding("·", "no GPU that torch can use: experiments run on the CPU")
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        memory = properties.total_memory / 2**30
        yield Finding(
            "✓", f"cuda:{index}: {properties.name}, {memory:.0f} GiB, {precision(torch.device('cuda', index))}"
        )


def _plugins() -> Iterator[Finding]:
    from bench.contracts.registries import REGISTRIES

    counts = ", ".join(f"{len(registry.names())} {kind}" for kind, registry in REGISTRIES.items())
    yield Finding("✓", f"plug-ins: {counts}")
    broken = [str(one) for registry in REGISTRIES.values() for one in registry.broken()]
    yield from (Finding("✗", sentence) for sentence in dict.fromkeys(broken))


def _home(home: Home) -> Iterator[Finding]:
    try:
        with writing(home.root):
            make_folder(home.root)
            probe = home.root / ".doctor"
            write_atomically(probe, b"?")  # a full disk still takes an empty file
            probe.unlink()
    except SepbenchError as error:
        yield Finding("✗", str(error))
        return
    free = shutil.disk_usage(home.root).free / 2**30
    source = "SEPBENCH_HOME" if os.environ.get("SEPBENCH_HOME") else "the default, SEPBENCH_HOME changes it"
    yield Finding("✓" if free >= 1 else "·", f"home {home.root} ({source}): {free:.0f} GiB free")


def _mlflow(home: Home) -> Iterator[Finding]:
    uri = default_uri(home.root)
    trouble = reachable(uri)
    if trouble is None:
        yield Finding("✓", f"MLflow: {uri}")
    else:
        yield Finding("·", f"MLflow at {uri} does not answer ({trouble}): runs go on, sepbench sync sends them later")
    waiting = count_waiting(home.outbox)
    if waiting:
        reports = "1 report waits" if waiting == 1 else f"{waiting} reports wait"
        yield Finding("·", f"{reports} for MLflow: sepbench sync sends what waits")


def _data() -> Iterator[Finding]:
    folder = os.environ.get("SEPBENCH_DATA")
    if folder is None:
        yield Finding("·", "SEPBENCH_DATA is not set: experiments on real images read their files from there")
    elif not os.path.isdir(folder):  # noqa: PTH112 - a test of a text, not a path to work with
        yield Finding("✗", f"SEPBENCH_DATA is {folder}, which is no folder")
    else:
        yield Finding("✓", f"SEPBENCH_DATA {folder}")
