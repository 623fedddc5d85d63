"""What a plan comes to before it runs: stages left, passes, time, work, room on the disk."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch

from bench.core.duration import duration
from bench.plan.cost import estimate_bytes, estimate_flops, estimate_seconds
from bench.plan.plan import Plan
from bench.plan.stage import Kind, Stage
from bench.store.artifacts import Store

_GPU_RATE = 1e14
"""Operations a second that networks of this size may be expected to reach on a current data-centre GPU."""


@dataclass(frozen=True)
class PlannedStage:
    """A stage, whether its artifact is there, and its cost where it is not: seconds, operations, bytes on the disk."""

    kind: Kind
    label: str
    key: str
    done: bool
    passes: float
    seconds: float
    flops: float
    bytes: float


@dataclass(frozen=True)
class Outlook:
    """The stages of a plan with their costs; seconds are estimates for `device`."""

    experiment: str
    dataset: str
    recipe: str
    device: str
    cells: int
    stages: tuple[PlannedStage, ...]


def estimator(plan: Plan, device: torch.device) -> Callable[[Stage], float]:
    """Return how long a stage of the plan takes."""
    return lambda stage: estimate_seconds(plan, stage, device)


def outlook(plan: Plan, store: Store, device: torch.device) -> Outlook:
    """Return what is done and what is left of a plan."""
    left = {stage.key for stage in plan.missing(store.has)}
    return Outlook(
        experiment=plan.experiment.name,
        dataset=plan.experiment.dataset.name,
        recipe=plan.experiment.recipe.name,
        device=str(device),
        cells=len(plan.cells),
        stages=tuple(
            PlannedStage(
                kind=stage.kind,
                label=stage.label,
                key=stage.key,
                done=stage.key not in left,
                passes=stage.passes,
                seconds=estimate_seconds(plan, stage, device) if stage.key in left else 0.0,
                flops=estimate_flops(plan, stage) if stage.key in left else 0.0,
                bytes=estimate_bytes(plan, stage) if stage.key in left else 0.0,
            )
            for stage in plan.stages.values()
        ),
    )


def render_outlook(view: Outlook, as_json: bool) -> str:
    """Return the outlook as JSON, or as lines for a person."""
    if as_json:
        return json.dumps(asdict(view), indent=1)
    left = [stage for stage in view.stages if not stage.done]
    lines = [f"{view.experiment}: {view.cells} cells on {view.dataset}, recipe {view.recipe}, on {view.device}"]
    lines += [
        f"  {'there' if stage.done else 'to do':5}  {stage.key[:10]}  {stage.passes:>6g} passes  "
        f"{'' if stage.done else '~' + duration(stage.seconds):>12}  {stage.label}"
        for stage in view.stages
    ]
    done = len(view.stages) - len(left)
    if not left:
        return "\n".join([*lines, f"{done} stages are there, nothing is left to do"])
    seconds = sum(stage.seconds for stage in left)
    passes = sum(stage.passes for stage in left)
    flops = sum(stage.flops for stage in left)
    room = sum(stage.bytes for stage in left)
    total = f"{passes:g} passes, about {duration(seconds)} on {view.device}"
    gpu = f"{flops / 1e15:.2g} PFLOP, or {flops / _GPU_RATE / 3600:.2g} GPU-hours at {_GPU_RATE / 1e12:g} TFLOP/s"
    return "\n".join(
        [*lines, f"{done} stages are there, {len(left)} to do: {total}", f"{gpu}; about {room / 2**30:.2g} GiB of disk"]
    )
