"""Stages: surrogate, craft, victim; what each has to do, and how it ended."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from bench.contracts.budget import Budget
from bench.contracts.defense import Defenses
from bench.contracts.method import Surrogate
from bench.engine.recipe import Recipe
from bench.plan.checkpoints import Checkpoints
from bench.spec.method_row import MethodRow

Kind = Literal["surrogate", "craft", "victim"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""In the order in which they need each other."""


@dataclass(frozen=True)
class SurrogateJob:
    """Train a network on the clean set and keep its checkpoints.

    `asked` is what all methods of the experiment take of them; part of no key, as it changes no weights.
    """

    kind: ClassVar[Kind] = "surrogate"

    architecture: str
    recipe: Recipe
    defenses: Defenses
    seed: int
    asked: tuple[Surrogate, ...] = ()


@dataclass(frozen=True)
class CraftJob:
    """Craft a protected set; `method_label` is what the experiment calls the method.

    `architecture` is what the method trains while it crafts, None where it trains nothing.
    """

    kind: ClassVar[Kind] = "craft"

    method: MethodRow
    budget: Budget | None
    seed: int
    checkpoints: tuple[Checkpoints, ...]
    method_label: str = ""
    architecture: str | None = None

    @property
    def networks(self) -> tuple[str, ...]:
        """The architectures that images pass through."""
        used = tuple(part.architecture for part in self.checkpoints)
        return used if self.architecture is None else (*used, self.architecture)


@dataclass(frozen=True)
class VictimJob:
    """Train a network on the protected set of stage `protected`, and judge it.

    It may have only a fraction of the images protected, and further clean images; `training_set` is the key of what
    comes of that.
    """

    kind: ClassVar[Kind] = "victim"

    architecture: str
    recipe: Recipe
    defenses: Defenses
    seed: int
    protected: str
    protected_fraction: float = 1.0
    clean_images: int = 0
    training_set: str = ""


Job = SurrogateJob | CraftJob | VictimJob


@dataclass(frozen=True)
class Stage:
    """One unit of work with one artifact.

    Attributes
    ----------
    name
        What it is called among those of its kind, such as `sep linf-8`.
    inputs
        Keys of the stages whose artifacts it reads.
    passes
        Forward+backward passes over the training set.
    forward_passes
        Forward passes over it that come before them.

    """

    key: str
    name: str
    job: Job
    inputs: tuple[str, ...]
    passes: float
    forward_passes: float = 0.0

    @property
    def kind(self) -> Kind:
        """Which of the three kinds of work it is."""
        return self.job.kind

    @property
    def label(self) -> str:
        """What it is called among all stages."""
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class StageResult:
    """A stage that ended; `meta` is its artifact's, `reason` says why it failed. Times are Unix seconds.

    `elsewhere` is set where another process made the artifact while this one waited or did other work, `cause` names
    the stage that failed where this one was not begun for that.
    """

    stage: Stage
    status: Literal["done", "failed"]
    started: float
    ended: float
    meta: dict[str, Any] | None = None
    reason: str | None = None
    elsewhere: bool = False
    cause: str | None = None
