"""Self-Ensemble Protection: the checkpoints of one training run as an ensemble.

Chen et al., "Self-Ensemble Protection: Training Checkpoints Are Good Data Protectors", ICLR 2023.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from pydantic import SerializerFunctionWrapHandler, model_serializer, model_validator
from torch import Tensor

from bench.api import METHODS, CraftContext, CraftData, Field, Placement, Surrogate
from methods._targeted import TargetedMethod, TargetedParams


class SEPParams(TargetedParams):
    """Parameters of SEP."""

    checkpoints: int = Field(30, ge=1, description="how many checkpoints of the one run")
    placement: Placement = Field(
        "equidistant", description="which: equidistant, first, last; improving is as released and sees test images"
    )
    epochs: tuple[int, ...] | None = Field(
        None, min_length=1, strict=False, description="0-based epochs, instead of checkpoints and placement"
    )
    network: str | None = Field(None, description="architecture of the surrogate; the experiment's if unset")
    checkpoints_per_step: int | None = Field(
        None, ge=1, description="draw as many checkpoints anew for each step, for fewer passes; all if unset"
    )

    @property
    def count(self) -> int:
        """How many checkpoints are used."""
        return len(self.epochs) if self.epochs else self.checkpoints

    @model_validator(mode="after")
    def _draws_no_more_than_there_are(self) -> "SEPParams":
        if self.checkpoints_per_step is not None and self.checkpoints_per_step > self.count:
            raise ValueError(
                f"checkpoints_per_step is {self.checkpoints_per_step}, of {self.count} checkpoints: "
                f"a step draws each at most once"
            )
        return self

    @model_serializer(mode="wrap")
    def _named_where_it_is_set(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # It came later than the first results, whose keys hold every parameter.
        fields: dict[str, Any] = handler(self)
        if self.checkpoints_per_step is None:
            fields.pop("checkpoints_per_step", None)
        return fields


@METHODS.register("sep")
class SEP(TargetedMethod):
    """Self-Ensemble Protection: signed steps along the mean gradient of a run's checkpoints.

    Every image is moved towards the class half the number of classes ahead, by targeted PGD on the raw gradients of
    cross-entropy averaged over the checkpoints, or over a part of them that each step draws for all images.
    """

    cite = "chen2023selfensemble"
    version = 2
    Params = SEPParams

    def needs(self) -> list[Surrogate]:
        """Return one run with the checkpoints that are asked for."""
        params = self.params
        return [
            Surrogate(
                checkpoints=params.checkpoints, placement=params.placement, at=params.epochs, network=params.network
            )
        ]

    @property
    def checkpoints(self) -> int:
        """How many checkpoints are used."""
        return int(self.params.count)

    def passes(self) -> float:
        """Return the checkpoints of a step times steps."""
        return float((self.params.checkpoints_per_step or self.checkpoints) * self.params.steps)

    def prepare(self, data: Callable[[], Iterator[CraftData]], ctx: CraftContext) -> None:
        """Freeze the checkpoints and draw those of each step, the same for all images."""
        super().prepare(data, ctx)
        ranks = torch.rand(self.params.steps, self.checkpoints, generator=ctx.generator("checkpoints-per-step"))
        drawn = ranks.argsort(dim=1)[:, : self.params.checkpoints_per_step]
        self.drawn: list[list[int]] = drawn.sort(dim=1).values.tolist()

    def gradient(self, step: int, x: Tensor, target: Tensor) -> Tensor:
        """Return the mean gradient of the checkpoints of the 0-based step."""
        return self.ensemble.mean_gradient(x, target, self.drawn[step])
