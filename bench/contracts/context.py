"""What the harness gives a method besides the data."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from bench.contracts.network import Network
from bench.core.errors import Stopped
from bench.core.seeds import derive

T = TypeVar("T")


class Keeper(Protocol):
    """Where the state of a method is kept until it is done: `Draft` on a disk."""

    def put(self, name: str, tensors: Mapping[str, Tensor], info: Mapping[str, Any]) -> None:
        """Keep tensors under a name, with some JSON beside them, in place of earlier ones."""

    def names(self) -> list[str]:
        """Return the names that can be read back."""

    def tensors(self, name: str) -> dict[str, Tensor]:
        """Return the tensors of a name, on the CPU."""

    def info(self, name: str) -> dict[str, Any]:
        """Return the JSON of a name."""

    def due(self) -> bool:
        """Return whether it is time to keep again."""


class Stateful(Protocol):
    """What changes from round to round, and is kept: a `Learner`, or another `Trained` network."""

    def state(self) -> dict[str, Tensor]:
        """Return all of it."""

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Become what `state` returned it from."""


@dataclass
class CraftContext:
    """What the harness gives a method besides the data.

    Attributes
    ----------
    surrogates
        For each of `Method.needs()`, in that order, its checkpoints in the order of their epochs; in eval mode,
        on the device.
    seed
        The craft seed.
    device
        Where data and networks live.
    images
        How many images the whole training set has.
    brought
        The images that `Method.brought` names, uint8 [images, 3, H, W]; None where it names none.
    on_step
        Called with how far crafting is, from 0 to 1: by `progress` and `rounds`.
    architecture
        What a method trains that sets `trains`: the experiment's `surrogate`.
    spent
        Forward+backward passes of single images so far, as `Learner`s count them and methods add; of a method that
        sets `trains` these are what it is said to have cost.
    keeper
        What `rounds` keeps state in; without one nothing is kept.
    on_round
        Called after each round; may raise `Stopped`.

    """

    surrogates: Sequence[Sequence[Network]]
    seed: int
    device: torch.device
    images: int = 0
    brought: Tensor | None = None
    on_step: Callable[[float], None] = field(default=lambda fraction: None)
    architecture: str = ""
    spent: float = 0
    keeper: Keeper | None = None
    on_round: Callable[[], None] = field(default=lambda: None)
    _span: tuple[float, float] = field(default=(0.0, 1.0), init=False)

    @property
    def networks(self) -> list[Network]:
        """The checkpoints of all surrogates in one list, as an `Ensemble` takes them."""
        return [network for checkpoints in self.surrogates for network in checkpoints]

    def generator(self, *purpose: str | int) -> torch.Generator:
        """Return a CPU generator for one purpose, from the craft seed: the same draws in every shard."""
        return torch.Generator().manual_seed(derive(self.seed, *purpose) if purpose else self.seed)

    def progress(self, steps: Iterable[T]) -> Iterator[T]:
        """Yield the steps and report how far along they are, all of it or the round that they are in."""
        items = list(steps)
        for done, item in enumerate(items):
            yield item
            self._report((done + 1) / len(items))

    def rounds(
        self,
        count: int,
        name: str = "rounds",
        share: tuple[float, float] = (0.0, 1.0),
        **parts: Tensor | Stateful,
    ) -> Iterator[int]:
        """Yield the 0-based rounds of `prepare`, or of a method that is not `per_sample`; keep what it has in between.

        Where an earlier process was stopped or killed, `parts` become what they were after the last round that was
        kept, and the rounds after it are yielded. What else the method needs follows from the number of the round:
        draws from `ctx.generator(purpose, round)`.

        Parameters
        ----------
        count
            How many rounds there are. A method that leaves the loop early has to find out at the start of a round, from
            `parts` alone, so that one that goes on finds the same.
        name
            Of this loop, where a method has several; letters, digits and `-`.
        share
            From which part of all the work to which this loop goes, for the progress.
        parts
            What changes from round to round, by names: tensors, which are changed in place, and `Trained` networks, as
            `Learner`s are.

        Raises
        ------
        Stopped
            The run is to end; everything is kept.

        """
        first = self._restored(name, parts)
        for done in range(first, count):
            with self._within(share[0] + (share[1] - share[0]) * done / count, (share[1] - share[0]) / count):
                yield done
            kept = self.keeper is not None and (done + 1 == count or self.keeper.due())
            if kept:
                self._keep(name, parts, done + 1)
            try:
                self.on_round()
            except Stopped:
                if not kept:
                    self._keep(name, parts, done + 1)
                raise

    @contextmanager
    def part(self, index: int, count: int) -> Iterator[None]:
        """Let the block be one of `count` equal parts of the work at hand, for the progress that is reported in it."""
        with self._within(index / count, 1 / count):
            yield

    @contextmanager
    def _within(self, start: float, length: float) -> Iterator[None]:
        outer = self._span
        width = outer[1] - outer[0]
        self._span = (outer[0] + width * start, outer[0] + width * (start + length))
        try:
            yield
            self._report(1.0)
        finally:
            self._span = outer

    def _report(self, fraction: float) -> None:
        self.on_step(self._span[0] + (self._span[1] - self._span[0]) * fraction)

    def _keep(self, name: str, parts: Mapping[str, Tensor | Stateful], done: int) -> None:
        if self.keeper is None:
            return
        tensors: dict[str, Tensor] = {}
        for part, value in parts.items():
            inner = {"": value} if isinstance(value, Tensor) else value.state()
            tensors |= {f"{part}/{key}": tensor for key, tensor in inner.items()}
        self.keeper.put(f"state-{name}", tensors, {"done": done, "spent": self.spent})

    def _restored(self, name: str, parts: Mapping[str, Tensor | Stateful]) -> int:
        """Let the parts become what was kept; return how many rounds are done."""
        if self.keeper is None or f"state-{name}" not in self.keeper.names():
            return 0
        tensors, info = self.keeper.tensors(f"state-{name}"), self.keeper.info(f"state-{name}")
        for part, value in parts.items():
            prefix = f"{part}/"
            inner = {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}
            if isinstance(value, Tensor):
                value.copy_(inner[""])
            else:
                value.restore(inner)
        self.spent = info["spent"]
        return int(info["done"])
