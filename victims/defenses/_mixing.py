"""What mixup and cutmix share: the proportion they draw, and targets that can be mixed."""

import torch
import torch.nn.functional as F
from torch import Tensor


def beta(alpha: float, generator: torch.Generator) -> Tensor:
    """Draw one number from Beta(alpha, alpha): float32 scalar on the generator's device.

    Two gamma variates a and b give a / (a + b). Each is the variate of shape alpha + 1 times u^(1 / alpha) with u
    uniform (Marsaglia and Tsang, ACM Transactions on Mathematical Software 2000), taken in logarithms.
    """
    device = generator.device
    # No public call draws gamma variates from a given generator.
    gamma = torch._standard_gamma(torch.full((2,), alpha + 1, device=device), generator=generator)
    uniform = 1 - torch.rand(2, generator=generator, device=device)  # never 0
    # In logarithms, as a small alpha's variates underflow to 0 / 0.
    first, second = (gamma.log() + uniform.log() / alpha).unbind()
    return torch.sigmoid(first - second)


def probabilities(y: Tensor, classes: int) -> Tensor:
    """Return targets, [B] classes or [B, C] probabilities, as float32 [B, C]."""
    return F.one_hot(y, classes).float() if y.dim() == 1 else y
