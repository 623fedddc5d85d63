"""Adversarial training: every batch is replaced by its worst neighbours before the network learns from it.

Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR 2018.
"""

import torch
from torch import Tensor, nn

from bench.api import DEFENSES, Defense, Field, Loss, Params
from victims.defenses._side_passes import eval_passes


class AdversarialTrainingParams(Params):
    """Parameters of adversarial training."""

    radius: int = Field(8, ge=1, le=255, description="l_inf radius of the attack, in levels of 1/255")
    step_size: float = Field(2.0, gt=0, description="length of a signed step, in levels of 1/255")
    steps: int = Field(10, ge=1, description="steps of the attack on each batch: what training costs")


@DEFENSES.register("adversarial-training")
class AdversarialTraining(Defense[AdversarialTrainingParams]):
    """Train on the batch moved by untargeted PGD, from a random start within an l_inf radius.

    `adversarial-training-4` changes the radius alone, not the step. An epoch costs `steps` more passes than a plain
    one. The attack sees the network in eval mode, normalised by its running statistics and without dropout, as in the
    suites whose numbers are published (Huang et al. 2021; Liu et al. 2023; Qin et al. 2023, APBench); it leaves the
    statistics and the draws of dropout to the training pass.
    """

    version = 2
    short = "radius"
    cite = "madry2018towards"
    words = "adversarial training of radius {radius}/255"

    def loss(self, loss: Loss, epoch: int) -> Loss:
        """Return the loss on the attacked batch, of the epoch's loss."""

        def worst(network: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
            # An attack of a defense further left wants the gradient of the images that it made.
            attacked = x if x.requires_grad else self._attack(loss, network, x, y, generator)
            return loss(network, attacked, y, generator)

        return worst

    def extra_passes(self) -> float:
        """Return the steps of the attack."""
        return float(self.params.steps)

    def _attack(self, loss: Loss, network: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        radius, step_size = self.params.radius / 255, self.params.step_size / 255
        lowest, highest = (x - radius).clamp_min(0), (x + radius).clamp_max(1)
        start = 2 * torch.rand(x.shape, generator=generator, device=x.device, dtype=x.dtype) - 1
        attacked = torch.clamp(x + radius * start, lowest, highest)
        with eval_passes(network, x.device):
            for _ in range(self.params.steps):
                attacked.requires_grad_()
                (gradient,) = torch.autograd.grad(loss(network, attacked, y, generator), attacked)
                attacked = torch.clamp(attacked.detach() + step_size * gradient.sign(), lowest, highest)
        return attacked
