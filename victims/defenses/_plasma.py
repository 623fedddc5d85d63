"""Plasma, the fractal noise of the diamond-square algorithm: smooth where it is not rough, different in every place."""

import torch
from torch import Tensor
from torch.nn import functional as F


def plasma(count: int, height: int, width: int, roughness: Tensor, generator: torch.Generator) -> Tensor:
    """Draw fractal maps, float [count, height, width] in [0, 1].

    Each starts as 3x3 uniform draws on [0, 1] and is refined until it covers the size, then cut. A point that the n-th
    refinement adds is the mean of its neighbours moved by the share roughness**n towards a fresh uniform draw.

    Parameters
    ----------
    roughness
        float [count] in [0, 1]: near 0 the maps are smooth, at 1 they are white noise.

    """
    maps = torch.rand(count, 3, 3, generator=generator, device=roughness.device)
    share = torch.ones_like(roughness)[:, None, None]
    while maps.shape[-1] < max(height, width):
        share = share * roughness[:, None, None]
        maps = _refined(maps, share, generator)
    return maps[:, :height, :width]


def _refined(coarse: Tensor, share: Tensor, generator: torch.Generator) -> Tensor:
    """Halve the spacing of maps, [N, S, S] to [N, 2S - 1, 2S - 1]."""
    count, side = len(coarse), 2 * coarse.shape[-1] - 1
    fine = torch.rand(count, side, side, generator=generator, device=coarse.device)
    fine[:, ::2, ::2] = coarse
    columns = coarse[:, :, :-1] + coarse[:, :, 1:]
    rows = coarse[:, :-1] + coarse[:, 1:]
    centres = torch.lerp((columns[:, :-1] + columns[:, 1:]) / 4, fine[:, 1::2, 1::2], share)
    fine[:, 1::2, 1::2] = centres
    # On the rim the one centre that a point lies next to counts twice.
    above_and_below = F.pad(centres, (0, 0, 1, 1), mode="replicate")
    left_and_right = F.pad(centres, (1, 1, 0, 0), mode="replicate")
    fine[:, ::2, 1::2] = torch.lerp(
        (columns + above_and_below[:, :-1] + above_and_below[:, 1:]) / 4, fine[:, ::2, 1::2], share
    )
    fine[:, 1::2, ::2] = torch.lerp(
        (rows + left_and_right[:, :, :-1] + left_and_right[:, :, 1:]) / 4, fine[:, 1::2, ::2], share
    )
    return fine
