"""What methods share whose noise a network makes of each image, trained together with a classifier."""

from collections.abc import Callable, Iterable
from typing import Literal

import torch
from torch import Tensor, nn

from bench.api import (
    Budget,
    CraftContext,
    CraftData,
    Field,
    Params,
    Trained,
    precision,
)
from methods._online import blocks
from methods._unet import UNet

MakeOptimizer = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


class GeneratorParams(Params):
    """Parameters that both share."""

    batch_size: int = Field(256, ge=2, description="images that generator and classifier learn from at a time")
    lr: float = Field(0.01, gt=0, description="of the classifier, by SGD without momentum")
    width: int = Field(64, ge=1, description="channels of the U-Net's uppermost level; each below has twice as many")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of the networks; auto is bf16 on GPUs that have it"
    )


class Generator(Trained):
    """A freshly initialised U-Net whose values, times the radius of the budget, are what is added to an image.

    Parameters
    ----------
    ctx
        Of the method.
    budget
        Under linf.
    params
        Width and number format.
    optimizer
        From the parameters to what trains them.

    """

    def __init__(self, ctx: CraftContext, budget: Budget, params: GeneratorParams, optimizer: MakeOptimizer) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(ctx.generator("generator").initial_seed())
            network = UNet(params.width)
        network = network.to(ctx.device).to(memory_format=torch.channels_last)
        super().__init__(network, optimizer(network.parameters()))
        self._budget = budget
        self._half = precision(ctx.device, params.precision) == "bf16"

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Those of the network, in their order."""
        return list(self.network.parameters())

    def images(self, x: Tensor) -> Tensor:
        """Return images with what the network makes of them, [B, 3, H, W], clipped to [0, 1]; with a graph."""
        with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=self._half):
            values: Tensor = self.network(x.contiguous(memory_format=torch.channels_last))
        return (x + self._budget.radius * values.to(x.dtype)).clamp(0, 1)

    def become(self, other: "Generator") -> None:
        """Take the weights and the statistics of another one."""
        self.network.load_state_dict(other.network.state_dict())

    def all_images(self, data: CraftData, ctx: CraftContext, begin: float) -> Tensor:
        """Return all images, protected by the network in eval mode.

        `begin` is the share of the work that is done by then.
        """
        protected, parts = data.x.clone(), blocks(data)
        self.network.eval()
        for index in ctx.rounds(len(parts), "images", (begin, 1.0), protected=protected):
            with torch.no_grad():
                protected[parts[index]] = self.images(data.x[parts[index]])
        return self._budget.project(data.x, protected)
