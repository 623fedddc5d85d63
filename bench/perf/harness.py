"""What the harness itself costs: planning, running again, tables, the page, memory, commands; nothing is trained."""

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from bench.contracts.method import total_passes
from bench.core.garbage import uncollected
from bench.data.loading import DataCard
from bench.engine.memory import peak_memory_mb
from bench.perf.commands import command_costs
from bench.plan.make import make_plan
from bench.plan.outlook import outlook, render_outlook
from bench.plan.plan import Plan
from bench.plan.stage import CraftJob, Stage, VictimJob
from bench.read.leaderboard import write_leaderboard
from bench.read.tables import render
from bench.read.tabulation import compile_table, table_of
from bench.record.provenance import provenance
from bench.run.executors.executor import Workplace
from bench.run.invocation import Invocation, run_plan
from bench.run.progress import Silence
from bench.run.recording import record
from bench.run.stopping import Stop
from bench.spec.experiment import Experiment
from bench.store.home import Home
from bench.store.sealed import seal

PLANNED, FINISHED, RECORDS = 10_000, 1_000, 5_000
"""Cells that are planned, cells that have all run, records of a table and of the page."""
_CELLS_A_SEED = 100
_SMALLEST = 10 * _CELLS_A_SEED
_DEFENSES = (
    *("plain", "cutout", "mixup", "cutmix", "grayscale"),
    *("jpeg-10", "bit-depth-2", "gaussian-blur", "mean-filter", "median-filter"),
)
_CPU = torch.device("cpu")
_CLASSES = tuple(f"class {number}" for number in range(10))
_CARD = DataCard(
    train_sha256="a" * 64,
    test_sha256="b" * 64,
    classes=_CLASSES,
    n_train=50_000,
    n_protected=50_000,
    n_test=10_000,
    train_per_class=(5_000,) * 10,
    test_per_class=(1_000,) * 10,
    height=32,
    width=32,
)


def harness_costs(scale: float = 1.0) -> dict[str, Any]:
    """Measure what does not train, on experiments and records that are made up for it in a folder that goes again.

    Parameters
    ----------
    scale
        Of the numbers of cells and records, of which there are a thousand at least.

    Returns
    -------
    JSON: for each part its numbers, seconds on the clock and of the processor, and how these grow with ten times as
    many; the highest resident memory of processes that plan and run again from a hundredth to all of the cells; and the
    seconds that commands take to answer, first and again.

    """
    planned, finished, records = (max(_SMALLEST, round(scale * count)) for count in (PLANNED, FINISHED, RECORDS))
    with tempfile.TemporaryDirectory(prefix="sepbench-") as folder:
        return {
            "what": "harness",
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "planning": _planning(planned, Path(folder)),
            "running_again": _running_again(finished, Path(folder)),
            "table": _table(records, Path(folder)),
            "page": _page(records, Path(folder)),
            "memory": _memory(sorted({max(_CELLS_A_SEED, planned // 100), planned // 10, planned}), Path(folder)),
            "commands": _commands(Path(folder)),
        }


def made_up(cells: int) -> Plan:
    """Return the plan of an experiment with so many cells, in hundreds: ten methods by ten defenses by seeds."""
    return make_plan(_experiment(seeds=cells // _CELLS_A_SEED), _CARD)


def varied(cells: int) -> Experiment:
    """Return an experiment with about so many cells, five seeds each: nine methods by ten defenses by budgets."""
    return _experiment(seeds=5, budgets=max(1, round((cells - 50) / 450)))


def fill(plan: Plan, home: Home) -> None:
    """Leave in a home what a run of all cells of a plan leaves, but for tensors."""
    origin = _origin()
    for stage in plan.stages.values():
        folder = home.store.folder(stage.kind, stage.key)
        folder.mkdir(parents=True)
        (folder / "meta.json").write_bytes(seal({"files": {}, "meta": _meta(plan, stage, origin)}))
    write_records(plan, home.records(plan.experiment.name, plan.experiment.variant), origin)


def write_records(plan: Plan, folder: Path, origin: Mapping[str, Any]) -> Path:
    """Write the records of all cells of a plan to a folder."""
    folder.mkdir(parents=True)
    for planned in plan.cells:
        made = record(plan, planned, _meta(plan, plan.stages[planned.victim], origin))
        (folder / f"{made.key}.json").write_text(made.to_json(), encoding="utf-8")
    return folder


def _planning(cells: int, folder: Path) -> dict[str, Any]:
    home = Home(folder / "planning")
    outlook(made_up(_CELLS_A_SEED), home, _CPU)  # times batches of networks and counts their work, which it keeps

    def plan(cells: int) -> str:
        with uncollected():  # as the command does
            return render_outlook(outlook(made_up(cells), home, _CPU), home)

    return {"cells": cells, **_grown(cells, plan)}


def _running_again(cells: int, folder: Path) -> dict[str, Any]:
    homes = {}
    for count in (cells // 10, cells):
        homes[count] = Home(folder / f"finished-{count}")
        fill(made_up(count), homes[count])
    return {"cells": cells, **_grown(cells, lambda count: _run_again(count, homes[count]))}


def _run_again(cells: int, home: Home) -> str:
    plan = made_up(cells)
    summary = run_plan(plan, Invocation(Workplace(home, _CPU, Silence(), Stop())))
    if len(summary.records) != len(plan.cells):
        raise RuntimeError(f"{len(plan.cells) - len(summary.records)} of {len(plan.cells)} cells were to be finished")
    return render(table_of(plan, summary.records), "md")


def _table(records: int, folder: Path) -> dict[str, Any]:
    folders = _folders_of(records, folder / "table")

    def table(count: int) -> str:
        return render(compile_table([varied(count)], Home(folder / "none"), folders[count], {}), "md")

    return {"records": len(list(folders[records].iterdir())), **_grown(records, table)}


def _page(records: int, folder: Path) -> dict[str, Any]:
    folders = _folders_of(records, folder / "page")
    page = folder / "index.html"
    costs = _grown(records, lambda count: write_leaderboard(folders[count], page))
    text = page.read_text(encoding="utf-8")
    return {
        "records": len(list(folders[records].iterdir())),
        **costs,
        "mebibytes": round(len(text.encode()) / 2**20, 2),
        "first_matrix_at_share": round(text.find("<tbody") / len(text), 4),
        "rows_that_are_html": text.count("<tr"),
    }


def _folders_of(records: int, folder: Path) -> dict[int, Path]:
    counts, origin = (records // 10, records), _origin()
    return {count: write_records(make_plan(varied(count), _CARD), folder / str(count), origin) for count in counts}


def _memory(counts: list[int], folder: Path) -> dict[str, Any]:
    """Return the highest resident memory of a process of its own for each number of cells, in MiB."""
    peaks = []
    for cells in (0, *counts):
        home = Home(folder / f"memory-{cells}")
        if cells:
            fill(made_up(cells), home)
        peaks.append(_in_a_process(cells, home))
    idle, *used = peaks
    return {
        "cells": counts,
        "idle_mb": round(idle, 1),
        "peak_mb": [round(peak, 1) for peak in used],
        "ratio": round(used[-1] / used[0], 2),
        "kibibytes_a_cell": round((used[-1] - used[0]) * 2**10 / (counts[-1] - counts[0]), 1),
    }


def _in_a_process(cells: int, home: Home) -> float:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_tell_peak, args=(cells, home, theirs))
    process.start()
    theirs.close()
    peak: float = ours.recv()
    process.join()
    return peak


def _commands(folder: Path) -> dict[str, Any]:
    records = write_records(make_plan(varied(_SMALLEST), _CARD), folder / "records", _origin())
    return {"records": len(list(records.iterdir())), **command_costs(varied(_SMALLEST), records, folder)}


def _tell_peak(cells: int, home: Home, answer: Any) -> None:
    if cells:
        _run_again(cells, home)
    answer.send(_peak_memory_mb())


def _peak_memory_mb() -> float:
    """Return the most memory that this process has held; where there is no /proc, or a parent at the fork."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("VmHWM:"))) / 2**10
    return peak_memory_mb()


def _grown(count: int, work: Callable[[int], object]) -> dict[str, Any]:
    """Return what some work costs, and how many times what a tenth of it costs: ten where it grows as its input."""
    work(count // 10)  # what is imported, or worked out once, is not asked about
    with _timed() as small:
        work(count // 10)
    with _timed() as whole:
        work(count)
    return {
        "seconds": round(whole["seconds"], 2),
        "cpu_seconds": round(whole["cpu"], 2),
        "times_a_tenth": round(whole["cpu"] / max(small["cpu"], 1e-9), 1),
    }


@contextmanager
def _timed() -> Iterator[dict[str, float]]:
    spent: dict[str, float] = {}
    began, used = time.perf_counter(), time.process_time()
    yield spent
    spent |= {"seconds": time.perf_counter() - began, "cpu": time.process_time() - used}


def _experiment(*, seeds: int, budgets: int = 1) -> Experiment:
    sep = [{"sep": {"checkpoints": count}} for count in (1, 2, 3, 5, 10, 15, 20, 30)]
    return Experiment.model_validate(
        {
            "name": "made-up",
            "recipe": "sep-2023",
            "dataset": "cifar10",
            "surrogate": "resnet8",
            "budgets": [f"linf-{size}" for size in range(1, 1 + budgets)],
            "methods": ["none", "random-noise", *sep],
            "victims": ["resnet8"],
            "defenses": _DEFENSES,
            "seeds": list(range(seeds)),
            "table": {"rows": "method", "columns": ["budget", "defense"], "value": "test_acc"},
        }
    )


def _origin() -> dict[str, Any]:
    return provenance(_CPU) | {"git_sha": "0" * 40, "dirty": False}


def _meta(plan: Plan, stage: Stage, origin: Mapping[str, Any]) -> dict[str, Any]:
    """Return meta data such as that of a stage's artifact; the accuracy of a victim follows from its key."""
    job = stage.job
    protected = {
        "sha256": "c" * 64,
        "audit": {"linf_levels": 1, "l2": 0.2, "l0": 1024, "psnr": 48.0, "ssim": 0.99},
        "passes": 900.0,
        "seconds": 900.0,
        "upstream_seconds": 9000.0,
    }
    if isinstance(job, VictimJob) and plan.cell_of[stage.key].cell.budget is None:
        protected["audit"] = {"linf_levels": 0, "l2": 0.0, "l0": 0, "psnr": None, "ssim": 1.0}
    told = {"seconds": 1000.0, "provenance": origin, "sources": {}, "peak_memory_mb": 1000.0, "label": "made up"}
    if isinstance(job, CraftJob):
        return {**told, **protected, "passes": total_passes(job.method.build(), 50_000, 50_000)}
    curve = [50.0] * job.recipe.epochs
    history = {"train_loss": curve, "train_acc": curve, "test_acc": curve, "seconds": curve, "compiled": False}
    outcome = {
        "test_acc": 10.0 + int(stage.key[:4], 16) % 80,
        "relabelled_acc": 50.0,
        "test_acc_per_class": [50.0] * 10,
        "n_test": 10_000,
        "peak_acc": 60.0,
        "train_acc": 99.0,
        "epochs": job.recipe.epochs,
    }
    return {**told, "history": history, "outcome": outcome, "protected": protected, "confusion": [[1] * 10] * 10}
