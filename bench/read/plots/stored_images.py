"""Figures of what the store keeps of surrogates and protected sets, together with the data set."""

from collections.abc import Sequence

import torch
from matplotlib.figure import Figure

from bench.diagnostics import diagnose
from bench.errors import SepbenchError
from bench.plan import CraftJob, Stage
from bench.plots.examples import examples
from bench.plots.similarity import similarity_heatmaps
from bench.plots.sources import Sources
from bench.workbench import Workbench

_CHECKPOINTS = 12
_GRADIENT_IMAGES = 64
_EXAMPLES = 4


def similarity_of(sources: Sources) -> Figure:
    """Draw how alike the input gradients of the trained surrogates are."""
    has = sources.home.store.has
    if not any(stage.kind == "surrogate" and has("surrogate", stage.key) for stage in sources.plan.stages.values()):
        raise SepbenchError(_lacking(sources, "similarity needs a trained surrogate"))
    bench = Workbench(sources.splits, sources.home.store, torch.device("cpu"))
    found = diagnose(sources.plan, bench, _CHECKPOINTS, _GRADIENT_IMAGES)
    footnote = (
        f"Gradients of the cross-entropy towards the target class at the input, of checkpoints in the order of "
        f"training: mean cosine over {found.images} training images of {found.dataset}."
    )
    return similarity_heatmaps(found.similarities, sources.title, footnote)


def examples_of(sources: Sources) -> Figure:
    """Draw images of different classes under every method, at one budget."""
    store = sources.home.store
    crafted = [
        stage
        for stage in sources.plan.stages.values()
        if isinstance(stage.job, CraftJob) and stage.job.budget is not None and store.has("craft", stage.key)
    ]
    if not crafted:
        raise SepbenchError(_lacking(sources, "examples need protected sets"))
    budget, chosen = _comparable(crafted)
    clean, protected = sources.splits.train, sources.splits.to_protect
    labels = clean.labels[protected]
    positions = [int(protected[labels == label][0]) for label in labels.unique()[:_EXAMPLES]]
    released = {
        stage.label.removeprefix("craft ").removesuffix(f" {budget}"): store.tensors("craft", stage.key, "protected")[
            "images"
        ][positions]
        for stage in chosen
    }
    names = [clean.classes[int(clean.labels[position])] for position in positions]
    footnote = f"Training images of {sources.experiment.dataset.name}, budget {budget}."
    if sum(stage.label.endswith(f" {budget}") for stage in crafted) > len(chosen):
        footnote += " Of each method the last setting in the experiment."
    return examples(clean.images[positions], names, released, sources.title, footnote)


def _comparable(crafted: Sequence[Stage]) -> tuple[str, list[Stage]]:
    """Return the budget that most methods have, of several the last, and each method's last setting under it."""
    by_budget: dict[str, dict[str, Stage]] = {}
    for stage in crafted:
        assert isinstance(stage.job, CraftJob)
        by_budget.setdefault(str(stage.job.budget), {})[stage.job.method.name] = stage
    most = max(len(methods) for methods in by_budget.values())
    budget = [budget for budget, methods in by_budget.items() if len(methods) == most][-1]
    return budget, list(by_budget[budget].values())


def _lacking(sources: Sources, what: str) -> str:
    return (
        f"{what} of {sources.experiment.name}, and the store in {sources.home.root} has none: run the experiment here "
        f"first"
    )
