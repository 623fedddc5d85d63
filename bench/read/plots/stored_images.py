"""Figures of what the store keeps of surrogates and protected sets, together with the data set."""

from collections.abc import Mapping

import torch
from matplotlib.figure import Figure

from bench.core.errors import SepbenchError
from bench.plan.stage import CraftJob, Kind
from bench.read.diagnostics import check_that_surrogates_are_needed, diagnose
from bench.read.plots.examples import examples
from bench.read.plots.material import Sources
from bench.read.plots.similarity import similarity_heatmaps

_CHECKPOINTS = 12
_GRADIENT_IMAGES = 64
_EXAMPLES = 4


def similarity_of(sources: Sources) -> Figure:
    """Draw how alike the input gradients of the trained surrogates are."""
    plan, store = sources.plan, sources.home.store
    check_that_surrogates_are_needed(plan)
    if not any(stage.kind == "surrogate" and store.has("surrogate", stage.key) for stage in plan.stages.values()):
        raise SepbenchError(_lacking(sources, "similarity needs a trained surrogate", "surrogate"))
    found = diagnose(plan, sources.splits, store, torch.device("cpu"), _CHECKPOINTS, _GRADIENT_IMAGES)
    footnote = (
        f"Gradients of the cross-entropy towards the target class at the input, of checkpoints in the order of "
        f"training: mean cosine over {found.images} training images of {found.dataset}."
    )
    return similarity_heatmaps(found.similarities, sources.title, footnote, sources.sheet)


def examples_of(sources: Sources) -> Figure:
    """Draw images of different classes under every method, at one budget."""
    store, plan = sources.home.store, sources.plan
    within_budgets = {
        key: stage.job
        for key, stage in plan.stages.items()
        if isinstance(stage.job, CraftJob) and stage.job.budget is not None
    }
    if not within_budgets:
        raise SepbenchError(f"examples need a method with a budget, and {plan.experiment.name} has none: add one")
    crafted = {key: job for key, job in within_budgets.items() if store.has("craft", key)}
    if not crafted:
        raise SepbenchError(_lacking(sources, "examples need protected sets", "craft"))
    budget, chosen = _comparable(crafted)
    clean, protected = sources.splits.train, sources.splits.to_protect
    labels = clean.labels[protected]
    positions = [int(protected[labels == label][0]) for label in labels.unique()[:_EXAMPLES]]
    released = {
        job.method_label: store.tensors("craft", key, "protected")["images"][positions] for key, job in chosen.items()
    }
    names = [clean.classes[int(clean.labels[position])] for position in positions]
    footnote = f"Training images of {sources.experiment.dataset.name}, budget {budget}."
    if sum(str(job.budget) == budget for job in crafted.values()) > len(chosen):
        footnote += " Of each method the last setting in the experiment."
    return examples(clean.images[positions], names, released, sources.title, footnote, sources.sheet)


def _comparable(crafted: Mapping[str, CraftJob]) -> tuple[str, dict[str, CraftJob]]:
    """Return the budget that most methods have, of several the last, and each method's last setting under it."""
    by_budget: dict[str, dict[str, str]] = {}
    for key, job in crafted.items():
        by_budget.setdefault(str(job.budget), {})[job.method.known_as] = key
    most = max(len(methods) for methods in by_budget.values())
    budget = [budget for budget, methods in by_budget.items() if len(methods) == most][-1]
    return budget, {key: crafted[key] for key in by_budget[budget].values()}


def _lacking(sources: Sources, what: str, kind: Kind) -> str:
    advice = sources.plan.advice(kind, sources.home.store.has)
    return f"{what} of {sources.experiment.name}, and the store in {sources.home.root} has none: {advice}"
