"""How long commands that train nothing take to answer, each in a process of its own."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from bench.spec.experiment import Experiment

_PAUSE = 2.5  # seconds; what has changed since is not remembered yet


def command_costs(experiment: Experiment, records: Path, folder: Path) -> dict[str, Any]:
    """Return for each command the seconds of its first answer and of its third, after which nothing changed.

    Parameters
    ----------
    experiment
        Of the table.
    records
        Of the experiment.
    folder
        For what the commands write, their home included.

    """
    file = folder / f"{experiment.name}.yaml"
    written = experiment.resolved()
    file.write_text(yaml.safe_dump({field: written[field] for field in sorted(experiment.model_fields_set)}))
    requests = {
        "ls": ("ls", "methods"),
        "show": ("show", "sep"),
        "plan": ("plan", "quickstart"),
        "table": ("table", str(file), "--records", str(records)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in requests}
    for turn in range(3):
        time.sleep(_PAUSE if turn else 0.0)
        for name, request in requests.items():
            began = time.perf_counter()
            _ask(request, folder)
            seconds[name].append(round(time.perf_counter() - began, 2))
    return {name: {"first": first, "again": last} for name, (first, _, last) in seconds.items()}


def _ask(request: tuple[str, ...], folder: Path) -> None:
    environment = {**os.environ, "SEPBENCH_HOME": str(folder / "home"), "PYTHONPATH": os.pathsep.join(sys.path)}
    code = "from bench.cli import main; main()"
    subprocess.run([sys.executable, "-c", code, *request], env=environment, capture_output=True, check=True)
