"""Dual-branch unlearnable examples: SEP's perturbation, and one colour added to all images of a class.

Wang et al., "Dual-branch Robust Unlearnable Examples", ICML 2026.
"""

from collections.abc import Callable, Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.api import METHODS, Budget, CraftContext, CraftData, Ensemble, Field, Method, Params, Surrogate
from methods._targeted import shifted, targets

_AT_ONCE = 256  # images
_WINDOW = 11  # of SSIM, pixels

Data = Callable[[], Iterator[CraftData]]


class DUNEParams(Params):
    """Parameters of both branches; the defaults are those of the released code."""

    checkpoints: int = Field(5, ge=1, description="how many checkpoints of the one run")
    radius: int = Field(8, ge=0, le=255, description="of the perturbation without the colour, linf, levels of 1/255")
    steps: int = Field(30, ge=1, description="gradient steps of that perturbation")
    step_size: float = Field(0.5, gt=0, description="of these, levels of 1/255")
    shift: int = Field(3, ge=1, description="target class y + shift")
    particles: int = Field(10, ge=1, description="colours of a class that are searched from")
    iterations: int = Field(10, ge=1, description="how often each of them moves")
    images: int = Field(1_000, ge=1, description="images of a class, the first, that colours are tried on")
    spread: float = Field(0.1, ge=0, description="how far from zero colours start at most, a channel, [0, 1] scale")
    speed: float = Field(0.01, ge=0, description="how far they move at first, at most")
    inertia: float = Field(0.5, ge=0, description="what they keep of a move")
    attraction: float = Field(0.3, ge=0, description="of their own best colour and of the best of all")
    psnr_floor: float = Field(20.0, ge=0, description="dB; what a coloured image has less is a penalty")
    ssim_floor: float = Field(0.8, ge=-1, le=1, description="what a coloured image has less is a penalty")
    moving_best: bool = Field(
        False, description="as released: the best colour moves on with the particle that found it, and is its last one"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of the networks; auto is bf16 on GPUs that have it"
    )


@METHODS.register("dune")
class DUNE(Method[DUNEParams]):
    """Moves images towards another class as SEP does, then adds a colour that takes their class there as well.

    The perturbation is SEP's, of few checkpoints and within a radius of its own. The colour of a class is found by a
    particle swarm on its clean images: it is to lower the checkpoints' mean cross-entropy to the target class, with a
    penalty for each image of little PSNR or SSIM. The published penalty for LPIPS beyond 0.03 is left out, as it takes
    the weights of a pretrained network; images below 11 pixels have no SSIM and no penalty for it. Colours are bounded
    by no budget.
    """

    norms = ("unbounded",)
    per_sample = True
    cite = "wang2026dualbranch"

    def needs(self) -> list[Surrogate]:
        """Return one run with the checkpoints that are asked for."""
        return [Surrogate(checkpoints=self.params.checkpoints)]

    def passes(self) -> float:
        """Return checkpoints times steps."""
        return self.params.checkpoints * self.params.steps

    def forward_passes(self) -> float:
        """Return particles times iterations times checkpoints, where colours are tried on all images."""
        return self.params.particles * self.params.iterations * self.params.checkpoints

    def prepare(self, data: Data, ctx: CraftContext) -> None:
        """Freeze the checkpoints and find the colours, [classes, 3]."""
        self.ensemble = Ensemble(ctx.networks, precision=self.params.precision)
        with torch.no_grad():
            self.colours = self._search(data, ctx)

    def craft(self, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
        """Step along the mean gradient of the checkpoints within the radius, then add the colour of the class."""
        target, inner = targets(data, self.params.shift), Budget(norm="linf", size=float(self.params.radius))
        x = data.x
        for _ in ctx.progress(range(self.params.steps)):
            direction = inner.direction(self.ensemble.mean_gradient(x, target))
            x = inner.project(data.x, x - self.params.step_size / 255 * direction)
        return budget.project(data.x, x + self.colours.to(x)[data.y, :, None, None])

    def _search(self, data: Data, ctx: CraftContext) -> Tensor:
        """Return the best colour of each class, all classes searched at once."""
        classes, generator = next(data()).classes, ctx.generator("colours")
        drawn = 2 * torch.rand(2, classes, self.params.particles, 3, generator=generator) - 1
        place, velocity = (drawn * torch.tensor([self.params.spread, self.params.speed]).view(2, 1, 1, 1)).to(
            ctx.device
        )
        own, lowest = place.clone(), torch.full_like(place[..., 0], torch.inf).double()
        best: Tensor = place if self.params.moving_best else own
        each = torch.arange(classes, device=ctx.device)
        swarm = {"place": place, "velocity": velocity, "own": own, "lowest": lowest}
        for _ in ctx.rounds(self.params.iterations, "colours", **swarm):
            cost = torch.stack([self._costs(data, colours) for colours in ctx.progress(place.unbind(1))], 1)
            better = cost < lowest
            own[better], lowest[better] = place[better], cost[better]
            pull = own + best[each, lowest.argmin(1)][:, None] - 2 * place
            velocity.mul_(self.params.inertia).add_(self.params.attraction * pull)
            place += velocity
        return best[each, lowest.argmin(1)]

    def _costs(self, data: Data, colours: Tensor) -> Tensor:
        """Return the mean cost, float64 [classes], of colours, [classes, 3], on images of their class."""
        total = torch.zeros(len(colours), dtype=torch.float64, device=colours.device)
        tried = torch.zeros_like(total)
        for part in data():
            for x, y in zip(part.x.split(_AT_ONCE), part.y.split(_AT_ONCE), strict=True):
                member = F.one_hot(y, part.classes).to(total)
                among_first = (tried + member.cumsum(0)).gather(1, y[:, None])[:, 0] <= self.params.images
                if bool(among_first.any()):
                    member = member[among_first]
                    total += member.T @ self._losses(x[among_first], y[among_first], colours, part.classes)
                    tried += member.sum(0)
        return total / tried.clamp_min(1)

    def _losses(self, x: Tensor, y: Tensor, colours: Tensor, classes: int) -> Tensor:
        """Return what the colour of its class costs on each image, float64 [B]."""
        target = shifted(y, self.params.shift, classes)
        shown = (x + colours.to(x)[y, :, None, None]).clamp(0, 1)
        logits = torch.stack([network(shown).double() for network in self.ensemble.networks])
        error = -logits.log_softmax(2)[:, torch.arange(len(y), device=y.device), target].mean(0)
        return error + self._penalty(x, shown)

    def _penalty(self, clean: Tensor, shown: Tensor) -> Tensor:
        psnr = -10 * (shown - clean).double().square().flatten(1).mean(1).log10()
        return (self.params.psnr_floor - psnr).clamp_min(0) + (self.params.ssim_floor - _ssim(clean, shown)).clamp_min(
            0
        )


def _ssim(clean: Tensor, shown: Tensor) -> Tensor:
    """Return the structural similarity of each image, over the windows within it; 1 where none fits."""
    from torchmetrics.functional.image import structural_similarity_index_measure

    if min(clean.shape[-2:]) < _WINDOW:
        return clean.new_ones(len(clean))
    _, full = structural_similarity_index_measure(
        shown, clean, data_range=1.0, reduction="none", return_full_image=True
    )
    return full[..., _WINDOW // 2 : -(_WINDOW // 2), _WINDOW // 2 : -(_WINDOW // 2)].double().mean((1, 2, 3))
