"""What a victim trains on: a release, or part of it among clean images."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from bench.core.keys import key
from bench.core.seeds import derive
from bench.data.images import ImageSet, Splits
from bench.plan.stage import VictimJob


def training_set_key(protected: str, fraction: float, seed: int, clean_images: str | None) -> str:
    """Return what tells the training set of a victim from every other: the key of the release where it is just that.

    Parameters
    ----------
    protected
        Key of the release.
    fraction, seed
        Which of its images are protected, as in `seen_by_victim`.
    clean_images
        Digest of the further clean images; None without.

    """
    mixed: dict[str, Any] = {"protected_fraction": fraction, "seed": seed} if fraction < 1 else {}
    if clean_images is not None:
        mixed |= {"clean_images": clean_images}
    return key({"stage": "training-set", "data": protected, **mixed}) if mixed else protected


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
    left_clean = _left_clean(job, splits)
    images = protected.clone()
    images[left_clean] = clean.images[left_clean]
    if not job.clean_images:
        return replace(clean, images=images)
    extra = splits.extra[job.clean_images]
    return replace(clean, images=torch.cat([images, extra.images]), labels=torch.cat([clean.labels, extra.labels]))


def protected_of_victim(job: VictimJob, splits: Splits) -> Tensor:
    """Tell which images of `seen_by_victim` are protected, bool [N]."""
    found = torch.zeros(len(splits.train) + job.clean_images, dtype=torch.bool)
    found[splits.to_protect] = True
    found[_left_clean(job, splits)] = False
    return found


def _left_clean(job: VictimJob, splits: Splits) -> Tensor:
    candidates = splits.to_protect
    order = torch.randperm(len(candidates), generator=torch.Generator().manual_seed(derive(job.seed, "protected")))
    return candidates[order[round(job.protected_fraction * len(candidates)) :]]
