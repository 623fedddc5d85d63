"""Noise in which every pixel is a fixed linear function of the pixels before it, another function for each class.

Sandoval-Segura et al., "Autoregressive Perturbations for Data Poisoning", NeurIPS 2022.
"""

from collections.abc import Callable, Iterator
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.api import METHODS, Budget, CraftContext, CraftData, Field, Method, Params, SepbenchError

_SIDE, _SHORT = 32, 8
"""Of the signals that processes are tried with, whatever the size of the images."""

_BURN_IN = 4
"""Rows and columns that a signal begins with and that are cut off."""

_LARGEST_NORM = 50.0
_TRIALS = 3
_CANDIDATES = 2048


class ARParams(Params):
    """Parameters of the search for processes."""

    response: float | None = Field(
        None, gt=0, description="least answer of a class's filter to another's signal; unset: 10, 3 beyond 10 classes"
    )
    candidates: int = Field(1_000_000, ge=1, description="processes that are drawn at most")


@METHODS.register("ar")
class AR(Method[ARParams]):
    """Autoregressive noise, of a stable process drawn for each class and channel, scaled to exactly the budget.

    In a 3x3 window the last value is the weighted sum of the other eight, whose weights sum to 1; each image starts
    from normal noise of its own. Processes are drawn from the craft seed until there is one for each class: kept are
    those whose signals stay bounded and to whose signals the filters of all classes before answer, a filter being that
    which gives zero on its own process. The paper's own coefficients are not used. Published with l2-1.

    That signals stay bounded is tried on 32x32 pixels, the size of the paper's images but for one data set. On larger
    ones those of some processes grow, and the noise of such a class gathers in the last rows and columns.
    """

    norms = ("l2",)
    per_sample = True
    cite = "sandoval2022autoregressive"

    def prepare(self, data: Callable[[], Iterator[CraftData]], ctx: CraftContext) -> None:
        """Find the processes, [classes, 3, 3, 3]."""
        classes = next(iter(data())).classes
        least = self.params.response or (10.0 if classes <= 10 else 3.0)
        self.processes = find_processes(classes, least, self.params.candidates, ctx.seed)

    def craft(self, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
        """Add to each image a signal of its class's process."""
        height, width = data.x.shape[-2:]
        shape = 3, height + _BURN_IN, width + _BURN_IN
        # Each from the image's own draws: what it gets does not depend on the shard it is in.
        starts = torch.stack([torch.randn(shape, generator=ctx.generator("start", one)) for one in data.index.tolist()])
        noise = signals(self.processes[data.y.cpu()], starts).to(data.x.device)
        return budget.project(data.x, data.x + budget.radius * budget.direction(noise))


@cache
def find_processes(classes: int, least: float, candidates: int, seed: int) -> Tensor:
    """Return processes that are stable and differ, float32 [classes, 3, 3, 3].

    Parameters
    ----------
    least
        What the filter of each process kept so far has to answer, at least, to a signal of the next one of norm 1.
    candidates
        How many are drawn at most.
    seed
        Decides all draws of the search.

    Raises
    ------
    SepbenchError
        So many candidates give too few processes.

    """
    generator = torch.Generator().manual_seed(seed)
    kept: list[Tensor] = []
    for drawn in range(0, candidates, _CANDIDATES):
        count = min(_CANDIDATES, candidates - drawn)
        processes = torch.randn(count, 3, 3, 3, generator=generator)
        processes[..., 2, 2] = 0
        processes /= processes.sum((-1, -2), keepdim=True)
        processes = processes[_bounded(_tried(processes, _SHORT, generator))]  # a short signal tells of most
        tried = torch.stack([_tried(processes, _SIDE, generator) for _ in range(_TRIALS)], 1)
        bounded = _bounded(tried)
        for process, signal in zip(processes[bounded], tried[bounded, 0], strict=True):
            if all(response(signal / signal.norm(), other) >= least for other in kept):
                kept.append(process)
                if len(kept) == classes:
                    return torch.stack(kept)
    raise SepbenchError(
        f"ar: {candidates:,} candidates gave {len(kept)} of {classes} processes that differ by a response of "
        f"{least:g}: raise candidates or lower response"
    )


def _tried(processes: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Return one signal of each process, [N, 3, side, side]."""
    return signals(processes, torch.randn(len(processes), 3, side + _BURN_IN, side + _BURN_IN, generator=generator))


def _bounded(tried: Tensor) -> Tensor:
    """Return whether signals, [N, ..., 3, H, W], are all of bounded norm, bool [N]."""
    within: Tensor = tried.flatten(-3).norm(dim=-1) <= _LARGEST_NORM  # NaN is not
    return within.view(len(within), -1).all(1)


def signals(processes: Tensor, starts: Tensor) -> Tensor:
    """Return the signals of processes, [N, 3, 3, 3], without the first rows and columns: [N, 3, H, W].

    Parameters
    ----------
    processes
        For each signal and channel a window of weights, 0 in the last place.
    starts
        [N, 3, H + 4, W + 4], of which the first two rows and columns stay.

    """
    # Rows of pixels, then pixels, so that what one step touches lies together.
    signal = starts.permute(2, 3, 0, 1).contiguous()
    weights = processes.permute(2, 3, 0, 1).contiguous()
    for row in range(2, signal.shape[0]):
        for column in range(2, signal.shape[1]):
            window = signal[row - 2 : row + 1, column - 2 : column + 1]
            signal[row, column] = (window * weights).sum((0, 1))
    return signal[_BURN_IN:, _BURN_IN:].permute(2, 3, 0, 1).contiguous()


def response(signal: Tensor, process: Tensor) -> float:
    """Return what the filter of a process answers to a signal, [3, H, W]: 0 to one of its own but for rounding."""
    matched = process.clone()
    matched[:, 2, 2] = -1
    return float(F.conv2d(signal[None], matched[None]).relu().sum())
