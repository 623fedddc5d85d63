"""What the paper of SEP argues from: how alike checkpoints' gradients are, and what checkpoints recognise.

Chen et al., "Self-Ensemble Protection: Training Checkpoints Are Good Data Protectors", ICLR 2023.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.contracts.method import Surrogate
from bench.contracts.network import Network
from bench.contracts.placement import place
from bench.core.errors import SepbenchError
from bench.data.images import Splits
from bench.engine.ensemble import Ensemble
from bench.plan.checkpoints import Checkpoints, checkpoint_name, load_checkpoints
from bench.plan.plan import Plan
from bench.plan.stage import CraftJob, Stage, SurrogateJob
from bench.spec.method_row import changed_parameters
from bench.spec.names import NOTHING, parameters_text
from bench.store.artifacts import Store

_BATCH = 256


@dataclass(frozen=True)
class Similarity:
    """Input gradients of some networks on the same clean images, cross-entropy towards the target class.

    Attributes
    ----------
    networks
        What each row is: an epoch of a surrogate, or an architecture.
    cosine
        Mean over images of the cosine between the gradients of two networks, [n][n]: over those images of which both
        gradients have a direction, None where there are none. A gradient of zero has none.
    norms
        Mean over images of the gradient's l2 norm: who dominates the mean gradient.

    """

    what: str
    networks: list[str]
    cosine: Sequence[Sequence[float | None]]
    norms: list[float]


@dataclass(frozen=True)
class Recognition:
    """Share of (image, checkpoint) pairs, in percent, taken for the true class y and for the target class g(y)."""

    images: str
    surrogate: str
    as_true: float
    as_target: float


@dataclass(frozen=True)
class Diagnosis:
    """Everything that was measured on one experiment, on the first `images` of the images that are protected."""

    experiment: str
    dataset: str
    images: int
    similarities: list[Similarity]
    recognitions: list[Recognition]


def diagnose(
    plan: Plan, splits: Splits, store: Store, device: torch.device, checkpoints: int, images: int
) -> Diagnosis:
    """Measure the finished surrogates of a plan, and its finished protected sets against them.

    Parameters
    ----------
    splits
        The clean data set.
    checkpoints
        How many equidistant ones of each surrogate, of those that were kept.
    images
        How many of the training images that are protected, from the start of the set.

    Raises
    ------
    SepbenchError
        No surrogate of the plan is finished, or a gradient is not finite.

    """
    surrogates = [
        stage for stage in plan.stages.values() if stage.kind == "surrogate" and store.has("surrogate", stage.key)
    ]
    check_that_surrogates_are_needed(plan)
    if not surrogates:
        advice = plan.advice("surrogate", store.has)
        raise SepbenchError(f"no surrogate of {plan.experiment.name} is trained yet: {advice}")
    clean, classes, chosen = splits.train, splits.judged_classes, splits.to_protect[:images]
    x, y = clean.images[chosen], clean.labels[chosen].to(device)
    target = (y + classes // 2) % classes
    similarities, recognitions, last = [], [], {}
    for stage in surrogates:
        part = _checkpoints(stage, checkpoints, store)
        if part is None:
            continue
        networks = list(load_checkpoints(part, splits.train, store, device))
        epochs = part.need.epochs(part.trained) or ()
        names = [f"epoch {epoch + 1}" for epoch in epochs]
        similarities.append(_similarity(stage.label, names, networks, x, target, device))
        last[stage.name] = networks[-1]
        for shown, released in _sets(plan, stage, x, store, chosen):
            recognitions.append(_recognition(shown, stage.label, networks, released, y, target, device))
    if not last:
        advice = plan.advice("surrogate", lambda kind, key: True)
        raise SepbenchError(f"no checkpoint of {plan.experiment.name} was kept: {advice}")
    if len(last) > 1:
        similarities.append(_similarity("last checkpoints", list(last), list(last.values()), x, target, device))
    return Diagnosis(plan.experiment.name, plan.experiment.dataset.name, len(x), similarities, recognitions)


def check_that_surrogates_are_needed(plan: Plan) -> None:
    """Raise `SepbenchError` where no method of a plan needs one, so that no run trains any."""
    if not any(stage.kind == "surrogate" for stage in plan.stages.values()):
        raise SepbenchError(f"no method of {plan.experiment.name} needs a surrogate: add one that does, such as sep")


def _checkpoints(stage: Stage, count: int, store: Store) -> Checkpoints | None:
    assert isinstance(stage.job, SurrogateJob)
    trained = stage.job.recipe.epochs
    names = set(store.names("surrogate", stage.key))
    kept = [epoch for epoch in range(trained) if checkpoint_name(epoch) in names]
    if not kept:
        return None
    need = Surrogate(at=tuple(kept[one] for one in place(min(count, len(kept)), "equidistant", len(kept))))
    return Checkpoints(stage.key, stage.job.architecture, need, trained)


def _similarity(
    what: str, names: list[str], networks: Sequence[Network], x: Tensor, target: Tensor, device: torch.device
) -> Similarity:
    images, ensemble = x.to(device).float() / 255, Ensemble(networks, backend=None)  # too few calls to compile for
    gradients = [ensemble.gradient(index, images, target).flatten(1).cpu() for index in range(len(ensemble))]
    found = torch.stack(gradients).double()  # a sure network's are so small that float32 loses their squares
    if not bool(found.isfinite().all()):
        raise SepbenchError(f"{what}: an input gradient is not finite: there is nothing to compare")
    unit, pointing = F.normalize(found, dim=2, eps=1e-300), found.ne(0).any(2).double()
    cosine = torch.einsum("ind,jnd->ij", unit, unit) / torch.einsum("in,jn->ij", pointing, pointing)
    return Similarity(what, names, _rounded(cosine), _rounded(found.norm(dim=2).mean(dim=1)))


def _recognition(
    shown: str,
    surrogate: str,
    networks: Sequence[Network],
    images: Tensor,
    y: Tensor,
    target: Tensor,
    device: torch.device,
) -> Recognition:
    with torch.inference_mode():
        predicted = [
            torch.cat([network(part.to(device).float() / 255).argmax(1) for part in images.split(_BATCH)])
            for network in networks
        ]
    pairs = torch.stack(predicted)
    return Recognition(
        shown,
        surrogate,
        as_true=100 * float((pairs == y).double().mean()),
        as_target=100 * float((pairs == target).double().mean()),
    )


def _sets(plan: Plan, surrogate: Stage, clean: Tensor, store: Store, chosen: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Yield the clean images, then those of every finished protected set that was crafted from the surrogate."""
    yield "clean", clean
    for stage in plan.stages.values():
        if isinstance(stage.job, CraftJob) and surrogate.key in stage.inputs and store.has("craft", stage.key):
            released = store.tensors("craft", stage.key, "protected")["images"]
            method = stage.job.method
            params = parameters_text(changed_parameters(method.name, method.params_json(), method.defaults_json()))
            yield f"{stage.name} ({params})" if params else stage.name, released[chosen]


def _rounded(values: Tensor) -> Any:
    if values.dim() > 1:
        return [_rounded(row) for row in values]
    return [None if value.isnan() else round(float(value), 6) for value in values]


def render_diagnosis(found: Diagnosis, form: str) -> str:
    """Return the diagnosis as `json`, or as `md` tables for a person."""
    if form == "json":
        return json.dumps(_plain(found), indent=1)
    if form != "md":
        raise SepbenchError(f"unknown format '{form}': known: json, md")
    lines = [f"**{found.experiment}: {found.images} training images of {found.dataset}**"]
    for one in found.similarities:
        off = [value for i, row in enumerate(one.cosine) for j, value in enumerate(row) if i != j]
        known = [value for value in off if value is not None]
        mean = f"mean cosine of two: {fmean(known):.3f}" if known else "no two to compare" if off else "one network"
        lines += [
            "",
            f"{one.what}: gradients ({mean})",
            "",
            "| network | mean norm | cosine with the others |",
            "| --- | ---: | --- |",
        ]
        lines += [
            f"| {name} | {norm:.4g} | {' '.join(map(_shown, row))} |"
            for name, norm, row in zip(one.networks, one.norms, one.cosine, strict=True)
        ]
    lines += [
        "",
        "Pairs of image and checkpoint",
        "",
        "| images | surrogate | taken for y (%) | taken for g(y) (%) |",
        "| --- | --- | ---: | ---: |",
    ]
    lines += [
        f"| {one.images} | {one.surrogate.removeprefix('surrogate ')} | {one.as_true:.1f} | {one.as_target:.1f} |"
        for one in found.recognitions
    ]
    return "\n".join(lines)


def _shown(cosine: float | None) -> str:
    return f"{NOTHING:>5}" if cosine is None else f"{cosine:5.2f}"


def _plain(found: Diagnosis) -> dict[str, Any]:
    return {
        **{name: getattr(found, name) for name in ("experiment", "dataset", "images")},
        "similarities": [vars(one) for one in found.similarities],
        "recognitions": [vars(one) for one in found.recognitions],
    }
