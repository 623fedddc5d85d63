"""Crafting a few images a second time: what a method promises of itself, and nothing else in a run would tell."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from bench.core.broken import told

IMAGES = 4
"""So few cost nothing worth mentioning beside a shard of hundreds."""

_ALIKE = 0.1
"""Share of the bytes which either of two perturbations moves that may differ: batches of another size round
differently, and a gradient within that error of zero changes its sign. What depends on other images, or on chance,
differs nearly everywhere."""

_ONE_PIXEL = 6
"""Bytes of an image in which a sparse perturbation differs that moves one pixel in place of another, for that error."""

SECONDS = 1.0
"""All images of a method that is not `per_sample` are crafted again only where that took less."""


def second_look(
    name: str, clean: Tensor, released: Tensor, again: Callable[[], Tensor], *, per_sample: bool, exact: bool
) -> str | None:
    """Return what is wrong with the promises of a method, as a sentence; None where nothing was found.

    Parameters
    ----------
    clean
        uint8 [n, 3, H, W], what was protected.
    released
        uint8 [n, 3, H, W], as they were crafted among all images of their call.
    again
        Crafts the same images, by themselves where they are `per_sample`, and returns their bytes.
    exact
        Whether the device gives the same bytes for the same batches, as a CPU does.

    """
    try:
        first = again()
        second = first if not per_sample or torch.equal(first, released) else again()
    except (Exception, SystemExit) as error:
        return (
            f"the method '{name}' fails where {len(released)} images are crafted by themselves ({told(error)}): set "
            f"per_sample = False, or repair it"
        )
    of_one_size = torch.equal if exact else partial(_alike, clean, each=False)
    steady = of_one_size(second, first) if per_sample else of_one_size(first, released)
    if not steady:
        return (
            f"the method '{name}' is not deterministic: the same images, crafted a second time, came out other; take "
            f"every draw from ctx.generator()"
        )
    if not per_sample or _alike(clean, first, released, each=exact):
        return None
    return (
        f"the method '{name}' says per_sample, and {len(released)} images that are crafted by themselves come out "
        f"other than among the rest: set per_sample = False, or let no image depend on others of the call"
    )


def _alike(clean: Tensor, first: Tensor, second: Tensor, *, each: bool) -> bool:
    """Tell whether two protected copies differ in no more than rounding: in each image, or on the whole."""
    moved = ((first != clean) | (second != clean)).flatten(1).sum(1)
    differing = (first != second).flatten(1).sum(1)
    allowed = (_ALIKE * moved).clamp(min=_ONE_PIXEL)
    return bool((differing <= allowed).all() if each else differing.sum() <= allowed.sum())
