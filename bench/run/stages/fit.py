"""What surrogates and victims have in common: a network built and trained for a job."""

from collections.abc import Callable
from dataclasses import replace

import torch

from bench.contracts.defense import Defenses
from bench.contracts.network import ARCHITECTURES, build_network
from bench.contracts.promises import check_classifier
from bench.core.errors import SepbenchError
from bench.core.seeds import derive
from bench.data.images import ImageSet
from bench.engine.training import History, Labelled, train
from bench.plan.stage import SurrogateJob, VictimJob
from bench.run.stages.workbench import Workbench
from bench.store.draft import Draft


def fit(
    job: SurrogateJob | VictimJob,
    defenses: Defenses,
    data: ImageSet,
    bench: Workbench,
    draft: Draft,
    checkpoint: Callable[[int], str | None] | None = None,
    as_stored: torch.Tensor | None = None,
) -> tuple[torch.nn.Module, History]:
    """Return the network of a job, trained on `data`, and its curves; goes on from what `draft` holds.

    `checkpoint` names the weights that are kept after a 0-based epoch; None keeps none. `as_stored`, bool [N], tells
    which images are never augmented. Raises `SepbenchError` where a GPU has too little memory.
    """

    def build(images: torch.Tensor) -> torch.nn.Module:
        network = build_network(
            job.architecture,
            len(data.classes),
            images,
            normalise=job.recipe.normalise,
            constants=job.recipe.constants,
            seed=derive(job.seed, "weights"),
            device=bench.device,
        )
        if ARCHITECTURES.origin(job.architecture) is not None:
            check_classifier(job.architecture, network, len(data.classes), (images.shape[-2], images.shape[-1]))
        return network

    def on_epoch(history: History) -> None:
        bench.on_progress(len(history) / job.recipe.epochs)
        if len(history) < job.recipe.epochs:  # else there is nothing left to stop
            bench.on_safe_point()

    try:
        return train(
            build,
            replace(_on(bench.device, data), as_stored=None if as_stored is None else as_stored.to(bench.device)),
            _on(bench.device, bench.splits.test),
            job.recipe,
            defenses,
            derive(job.seed, "training"),
            draft=draft,
            checkpoint=checkpoint,
            compile=bench.compile,
            on_epoch=on_epoch,
        )
    except torch.OutOfMemoryError as error:
        # No smaller batches of its own accord: they make another recipe, with other results.
        raise SepbenchError(
            f"{bench.device} has too little memory left to train {job.architecture} on {len(data)} images of "
            f"{data.images.shape[-2]}x{data.images.shape[-1]}, {min(job.recipe.batch_size, len(data))} at a time: end "
            f"what else is on it (--jobs 1), or lower recipe.batch_size"
        ) from error


def _on(device: torch.device, data: ImageSet) -> Labelled:
    return Labelled(data.images.to(device), data.labels.to(device), len(data.classes))
