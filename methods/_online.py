"""What methods share that train a network and the noise in turns: batches in an order, and a search over all images."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor

from bench.api import Budget, Cosine, CraftContext, CraftData, Ensemble, Learner, Method, Recipe, Steps, sent
from methods._pgd import PGD

_BLOCK_PIXELS = 1024 * 32 * 32
_OF_SGD = ("batch_size", "lr", "momentum", "weight_decay", "precision")


def recipe_of(method: Method, schedule: Steps | Cosine, epochs: int = 1, **fields: Any) -> Recipe:
    """Return what the network of a method is trained by: SGD with the method's parameters, and further fields."""
    told = type(method.params).model_fields
    own = {field: getattr(method.params, field) for field in _OF_SGD if field in told}
    source = method.cite or method.name
    return Recipe(name=method.name, source=source, epochs=epochs, schedule=schedule, **own, **fields)


@dataclass(frozen=True)
class Batches:
    """The batches that a network learns from, counted on through the epochs.

    Attributes
    ----------
    count, size
        Images, and how many are a batch: all of them where there are fewer.
    shuffled
        Whether each epoch has an order of its own; images that do not fill a batch then wait for the next epoch, as a
        batch of another size would be. Otherwise all take part, in their order, but for a single one that is left.
    purpose
        What the order is drawn for.

    """

    count: int
    size: int
    shuffled: bool
    purpose: str = "order"
    _kept: dict[tuple[int, int, torch.device], Tensor] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __len__(self) -> int:
        """Return how many there are in an epoch."""
        whole, rest = divmod(self.count, self.size)
        # A single image is none: batch norm learns nothing from it.
        return max(whole, 1) if self.shuffled else whole + (rest > 1 or self.count == rest)

    def __call__(self, step: int, ctx: CraftContext, device: torch.device) -> Tensor:
        """Return the positions, int64 [B], of the batch of a 0-based step."""
        epoch, batch = divmod(step, len(self))
        part = slice(batch * self.size, (batch + 1) * self.size)
        if not self.shuffled:
            return torch.arange(self.count, device=device)[part]
        wanted = ctx.seed, epoch, device
        if wanted not in self._kept:  # as large as the training set, and steps are many
            self._kept.clear()
            self._kept[wanted] = sent(torch.randperm(self.count, generator=ctx.generator(self.purpose, epoch)), device)
        return self._kept[wanted][part]


def learn(
    learner: Learner,
    steps: range,
    order: Batches,
    images: Tensor,
    labels: Tensor,
    ctx: CraftContext,
    show: Callable[[Tensor, int], Tensor] = lambda batch, step: batch,
) -> None:
    """Let the network take some 0-based steps of all, each on the next batch of images, [N, 3, H, W].

    `show` returns what it sees of a batch at a step.
    """
    for step in steps:
        chosen = order(step, ctx, images.device)
        learner.step(show(images[chosen], step), labels[chosen], step, len(order))
    learner.check(f"step {steps.stop}")


def search(
    learner: Learner,
    pgd: PGD,
    data: CraftData,
    protected: Tensor,
    budget: Budget,
    ctx: CraftContext,
    precision: Literal["auto", "fp32", "bf16"],
) -> None:
    """Move all protected images from where they are to where the loss of the network as it is now is low."""
    ensemble = Ensemble([learner.network], precision=precision, backend=None)
    parts = blocks(data)
    for index, part in enumerate(parts):
        with ctx.part(index, len(parts)):
            images = part_of(data, part)
            protected[part] = pgd(images, images.y, ensemble, budget, ctx, begin=protected[part])
    ctx.spent += ensemble.passes


def blocks(data: CraftData, size: int | None = None) -> list[slice]:
    """Return parts of the images, of a size, or such as an `Ensemble` and what is added to images hold in memory."""
    size = size or max(_BLOCK_PIXELS // (data.x.shape[-2] * data.x.shape[-1]), 1)
    return [slice(start, start + size) for start in range(0, len(data.x), size)]


def part_of(data: CraftData, part: slice | Tensor) -> CraftData:
    """Return some of the images."""
    index = data.index[part.to(data.index.device) if isinstance(part, Tensor) else part]
    return replace(data, x=data.x[part], y=data.y[part], index=index)


def error(learner: Learner, images: Tensor, labels: Tensor) -> float:
    """Return the share of images, [N, 3, H, W], that the network takes for another class, in [0, 1]."""

    def parts() -> Iterator[tuple[Tensor, Tensor]]:
        size = max(_BLOCK_PIXELS // (4 * images.shape[-2] * images.shape[-1]), 1)
        yield from zip(images.split(size), labels.split(size), strict=True)

    return learner.error(parts())
