"""sepbench: craft protective perturbations, train victims on them, compare what is left.

experiment.yaml -> spec -> plan -> run -> record -> read -> tables, plots, leaderboard

spec/       what is asked for: experiments, their cells and axes, the layout of tables
plan/       what has to be done: stages (surrogate, craft, victim), their keys, what they cost
run/        doing it: what each stage does, executors, progress, stopping
record/     what a run leaves: a record for each victim, where it came from, MLflow
read/       what people read: tables, plots, statistics, the leaderboard

contracts/  what a plug-in promises: method, defense, network, data set, budget
data/       images, and the formats they come in
engine/     numerics that know no experiment: training, gradients of ensembles, release, judging
store/      artifacts under their keys, locks, the home, the files they travel in
core/       errors, keys, seeds, files, processes: what knows nothing of images
perf/       this machine against plain loops
checks/     what plug-ins promise and what this machine computes, as checks that need no checkout
flows/      what a person asks for in one call: protect, evaluate, carry to another home
cli/        the commands
api.py      what a plug-in imports, and all that it may import

A folder imports only those before it, and run and read never each other:
core < store < record < contracts < data < engine < spec < plan < { run | read } < perf < checks < flows < cli
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.core.errors import SepbenchError
    from bench.flows.on_arrays import evaluate, protect
    from bench.flows.result import Result
    from bench.flows.run import run

__version__ = "0.1.0"

__all__ = ["Result", "SepbenchError", "evaluate", "protect", "run"]

_PLACES = {
    "Result": "bench.flows.result",
    "SepbenchError": "bench.core.errors",
    "evaluate": "bench.flows.on_arrays",
    "protect": "bench.flows.on_arrays",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Run(ModuleType):
    """The folder bench/run, which takes the name `bench.run`, as the function of that name."""

    def __call__(self, *arguments: Any, **options: Any) -> "Result":
        from bench.flows.run import run

        return run(*arguments, **options)

    def __getattribute__(self, name: str) -> Any:
        # What help() and the ? of a notebook show is the function's.
        if name in ("__doc__", "__signature__"):
            import inspect

            from bench.flows.run import run

            return run.__doc__ if name == "__doc__" else inspect.signature(run)
        return super().__getattribute__(name)


importlib.import_module("bench.run").__class__ = _Run
