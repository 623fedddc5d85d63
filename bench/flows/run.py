"""`bench.run`: an experiment from Python."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.core.device import choose_devices
from bench.core.errors import SepbenchError
from bench.flows.arguments import as_texts, as_whole, given_text
from bench.flows.carry_out import Means, carry_out, shown, silent
from bench.flows.from_python import DEVICES, doubted, interrupted, named_in_errors, seconds_of
from bench.flows.homes import check_kept, home_at
from bench.flows.result import Result
from bench.plan.make import plan_experiment
from bench.run.redo import check_stage_kinds
from bench.run.stopping import Stop
from bench.spec.experiment import Experiment
from bench.spec.file import load_experiment
from bench.spec.names import as_text
from bench.spec.only import selector
from bench.spec.yaml_file import as_yaml

Changes = Mapping[str, Any] | Iterable[str]
"""Fields to values, `{"recipe.epochs": 5}`, or what the command line takes, `["recipe.epochs=5"]`."""


def run(
    experiment: str | Path | Mapping[str, Any] | Experiment,
    *,
    set: Changes = (),
    profile: str | None = None,
    only: Changes = (),
    devices: str = "auto",
    jobs: int = 1,
    compile: bool = False,
    time_limit: str | None = None,
    stage_limit: str | None = None,
    force: str | Sequence[str] = (),
    home: str | Path | None = None,
    progress: bool = True,
    mlflow: bool = False,
) -> Result:
    """Run an experiment and return what was measured, as `sepbench run` does at a terminal.

    Parameters
    ----------
    experiment
        The name of a shipped one, such as `quickstart`, the path of a YAML file, the fields of one as a mapping, or an
        `Experiment`.
    set
        Changed fields: `{"recipe.epochs": 5, "seeds": [0]}`.
    profile
        A named set of changes that the experiment carries.
    only
        Cells to run: `{"method": "sep", "seed": [0, 1]}`.
    devices
        `cpu`, `cuda`, `cuda:1`; several, such as `cuda:0,cuda:1`, or `all` GPUs, share the work, each by a process of
        its own; `auto` is one GPU where there is one.
    jobs
        Processes that share each device.
    compile
        Whether networks train with torch.compile.
    time_limit
        When to stop and return what there is: `90s`, `9m`, `1h30m`.
    stage_limit
        How long a stage may take: one that takes longer has failed, and the others go on. In a thread other than the
        main one nothing is limited.
    force
        Kinds of stages to run again: `surrogate`, `craft`, `victim`.
    home
        Folder to keep the work in, so that the same call again, or the command, goes on from there. Without it
        `$SEPBENCH_HOME`, and where that is not set nothing is kept beyond the result.
    progress
        Whether to show how it goes: bars on a terminal and in a notebook with ipywidgets, lines elsewhere.
    mlflow
        Whether MLflow is told.

    Returns
    -------
    Result
        Cells that failed are among its records, with a reason.

    Raises
    ------
    SepbenchError
        The request is wrong, or the data is not here: one sentence says what to do.
    KeyboardInterrupt
        Ctrl-C, or the notebook's stop: the next safe point was reached.

    """
    with ExitStack() as stack:
        stack.enter_context(named_in_errors())
        kinds = as_texts("force", force, "kinds of stages, such as ['craft']")
        check_stage_kinds(kinds)
        stop = Stop(seconds_of(time_limit), seconds_of(stage_limit, "stage_limit"))
        named = choose_devices(given_text("devices", devices, DEVICES))
        device, *further = named * as_whole("jobs", jobs, 1, "one or more processes")
        check_kept(home, mlflow)
        spec = _experiment(experiment, _overrides(set), profile)
        chosen = selector(spec, _pairs(only))
        place = stack.enter_context(home_at(home))
        means = Means(
            place,
            device,
            stop,
            further=tuple(further),
            compile=compile,
            mlflow=mlflow,
            display=shown if progress else silent,
            tell=doubted,
            anew='force=["{kind}"]',
        )
        plan = plan_experiment(spec, place.cards, chosen)
        summary = carry_out(plan, means, kinds)
        interrupted(summary)
        for sentence in summary.doubts:
            doubted(sentence)
        return Result(plan, tuple(summary.records))


def _experiment(
    given: str | Path | Mapping[str, Any] | Experiment, overrides: Sequence[str], profile: str | None
) -> Experiment:
    if not isinstance(given, Experiment):
        return load_experiment(
            given if isinstance(given, Mapping) else str(given), profile=profile, overrides=overrides
        )
    if profile is not None:
        raise SepbenchError(f"profile={profile}: an Experiment carries no profiles; give its file or its fields")
    if not overrides:
        return given
    fields = {name: value for name, value in given.resolved().items() if name not in ("profile", "overrides")}
    changed = load_experiment(fields, overrides=[*given.overrides, *overrides])
    return changed.model_copy(update={"profile": given.profile})


def _overrides(changes: Changes) -> list[str]:
    """Return changes as the command line takes them, so that records say the same of both."""
    if not isinstance(changes, Mapping):
        return [*as_texts("set", changes, "fields with their values, such as {'recipe.epochs': 5}")]
    return [f"{field}={as_yaml(str(field), value)}" for field, value in changes.items()]


def _pairs(chosen: Changes) -> list[tuple[str, str]]:
    if isinstance(chosen, Mapping):
        values = {field: value if isinstance(value, list | tuple) else [value] for field, value in chosen.items()}
        return [(str(field), as_text(one)) for field, several in values.items() for one in several]
    pairs = [one.partition("=") for one in as_texts("only", chosen, "fields with their values, such as {'seed': 0}")]
    for field, equals, value in pairs:
        if not (field and equals and value):
            raise SepbenchError(f"only={field}{equals}{value}: write FIELD=VALUE, such as method=sep")
    return [(field, value) for field, _, value in pairs]
