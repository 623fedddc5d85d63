"""What a victim trains on: a release, or part of it among clean images."""

from dataclasses import replace

import torch
from torch import Tensor

from bench.core.seeds import derive
from bench.data.images import ImageSet, Splits
from bench.plan.stage import VictimJob


def seen_by_victim(job: VictimJob, splits: Splits, protected: Tensor) -> ImageSet:
    """Return the training set of a victim.

    Parameters
    ----------
    job
        Its `protected_fraction` of the protected images, which ones its seed decides, stay so; the others are clean.
        A smaller fraction is part of a larger one. Its `clean_images` further ones follow behind.
    splits
        The clean data.
    protected
        The release, uint8 [N, 3, H, W], in the order of the clean training images; left as it is.

    """
    clean = splits.train
    candidates = splits.to_protect
    order = torch.randperm(len(candidates), generator=torch.Generator().manual_seed(derive(job.seed, "protected")))
    left_clean = candidates[order[round(job.protected_fraction * len(candidates)) :]]
    images = protected.clone()
    images[left_clean] = clean.images[left_clean]
    if not job.clean_images:
        return replace(clean, images=images)
    extra = splits.extra[job.clean_images]
    return replace(clean, images=torch.cat([images, extra.images]), labels=torch.cat([clean.labels, extra.labels]))
