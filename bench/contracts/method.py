"""The contract of a protection method."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from torch import Tensor

from bench.contracts import places
from bench.contracts.budget import Budget, Norm
from bench.contracts.context import CraftContext
from bench.contracts.placement import Placement, place
from bench.contracts.plugin import P_co, Plugin, breach_of
from bench.core.errors import SepbenchError
from bench.core.norms import NORMS
from bench.core.registry import Registry

Rounding = Literal["nearest", "truncate"]
"""To the nearest level, or down: what public scripts do, where a pixel can leave the budget by one level."""


@dataclass(frozen=True)
class Surrogate:
    """A training run that a method needs before it can craft.

    Attributes
    ----------
    checkpoints
        How many of its checkpoints are used.
    placement
        Which ones, see `bench.contracts.placement.place`.
    at
        0-based epochs instead of `checkpoints` and `placement`.
    network
        Architecture; None is the experiment's `surrogate`.
    seed
        From 0: several seeds are several independent runs. Each of the experiment's surrogate seeds has others.
    recipe
        Fields of the experiment's recipe that are others for this run, such as `{"epochs": 40, "nesterov": True}`.
    defense
        What it is trained with, as experiments write defenses: `adversarial-training:radius=2`. None that wraps the
        network, or that reads files.

    """

    checkpoints: int = 1
    placement: Placement = "equidistant"
    at: tuple[int, ...] | None = None
    network: str | None = None
    seed: int = 0
    recipe: Mapping[str, Any] = field(default_factory=dict, hash=False)
    defense: str = "plain"

    def epochs(self, trained: int, test_acc: Sequence[float] | None = None) -> tuple[int, ...] | None:
        """Return the 0-based epochs whose checkpoints are used, of a run of `trained` epochs.

        None where that depends on the test accuracies and they are not given. Raises `SepbenchError` for more
        checkpoints or later epochs than the run has.
        """
        if self.at is not None:
            late = [epoch for epoch in self.at if epoch >= trained]
            if late:
                raise SepbenchError(
                    f"the checkpoint of epoch {late[0]} was asked of a surrogate that is trained for {trained} epochs, "
                    f"counted from 0: the last is {trained - 1}"
                )
            return self.at
        if self.placement == "improving" and test_acc is None:
            place(self.checkpoints, "equidistant", trained)  # as many must there be at least
            return None
        return place(self.checkpoints, self.placement, trained, test_acc)


@dataclass(frozen=True)
class CraftData:
    """Clean training images that are to be protected, all of them or one shard.

    Attributes
    ----------
    x
        float32 [N, 3, H, W] in [0, 1], on the device.
    y
        int64 [N], true labels.
    classes
        Number of classes that are protected, the first of the training set; all of them where nothing else is asked.
    index
        int64 [N], positions in the training set.

    """

    x: Tensor
    y: Tensor
    classes: int
    index: Tensor


@dataclass(frozen=True)
class Brought:
    """Images that somebody brought, made elsewhere.

    Attributes
    ----------
    called
        What records and tables call their method.
    sha256
        Digest of the training set with these images, as `ImageSet.sha256`.
    spent
        What the files differ by from the clean ones at the size that they have, by the audit's fields `linf_levels`,
        `l2` and `l0`; empty where the bytes themselves tell.

    """

    called: str
    sha256: str
    spent: Mapping[str, float] = field(default_factory=dict)


class Method(Plugin[P_co]):
    """A protection method: from clean images to protected ones.

    Set `per_sample` where the perturbation of an image depends on no other image of the call: the harness then
    crafts in shards, each of which is kept when the run is killed. `norms` are the budgets a method can keep:
    `unbounded` is that of a method whose images may be anything, such as filtered ones; they are empty for one that
    adds nothing, which is given the unbounded one, so that `craft` has a budget in any case.

    Set `trains` where it trains networks while it crafts: they are `Learner`s of the experiment's `surrogate`, or
    `Trained` ones of its own, and `ctx.rounds` keeps them, so that a method that is killed goes on where it was. It is
    not `per_sample`.
    """

    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2")
    per_sample: ClassVar[bool] = False
    trains: ClassVar[bool] = False

    @property
    def revision(self) -> int:
        """A `version` of the parameters that are set: bumped where the output changes for some of them alone."""
        return 1

    @property
    def brought(self) -> Brought | None:
        """The images that somebody brought, which are released as they are; None for those that the method makes."""
        return None

    @property
    def rounding(self) -> Rounding:
        """How the harness turns the crafted images into bytes."""
        return "nearest"

    def needs(self) -> list[Surrogate]:
        """Return the surrogates to be trained first."""
        return []

    def passes(self) -> float:
        """Return how many forward+backward passes over the training set crafting costs, at most where it may stop."""
        return 0

    def image_passes(self) -> float:
        """Return how many passes of single images it costs besides, whatever their number: steps times batch size."""
        return 0

    def forward_passes(self) -> float:
        """Return how many forward passes over the training set it takes at most without gradients, in `prepare`."""
        return 0

    def reach(self, budget: Budget) -> float | None:
        """Return how far all steps together can move an image, as a share of the budget; None where nothing tells.

        Less than 1 leaves some of the budget unused, whatever the images are: steps are too few or too short.
        """
        return None

    def prepare(self, data: Callable[[], Iterator[CraftData]], ctx: CraftContext) -> None:
        """Do once what all shards share; `data()` iterates over all clean images that are to be protected.

        What takes longer than moments tells how far it is through `ctx.progress` and `ctx.part`, where a run that is to
        stop does so; what would be a pity to lose then loops over `ctx.rounds`.
        """

    def craft(self, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
        """Return protected images, float [N, 3, H, W] in [0, 1], within the budget; rounding is the harness's."""
        raise NotImplementedError


def _breach(kind: type[Method]) -> str | None:
    breach = breach_of(kind, Method)
    if breach is not None:
        return breach
    if kind.craft is Method.craft:
        return "it does not define craft"
    if kind.trains and kind.per_sample:
        return "it sets trains and per_sample: the perturbation of an image depends on all that its networks learn from"
    if not isinstance(kind.norms, tuple | list) or not set(kind.norms) <= NORMS.keys():
        return f"its norms are {kind.norms!r}, not a tuple of {', '.join(NORMS)}"
    return None


def total_passes(method: Method, protected: int, images: int) -> float:
    """Return the passes over a training set of so many `images` that crafting costs, `protected` of them."""
    return (method.passes() * protected + method.image_passes()) / images


METHODS: Registry[type[Method]] = Registry.at(places.METHODS, _breach)
