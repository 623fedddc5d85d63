"""A network and the optimizer that trains it: what a method keeps between rounds."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from bench.engine.step import Diverged, kept, not_finite, restore


class Trained:
    """A network with its optimizer, of a method that trains one of its own; of classifiers, `Learner` is one.

    Given to `ctx.rounds`, both are kept.

    Parameters
    ----------
    network
        On the device.
    optimizer
        Of torch, of all parameters of the network in their order.

    Examples
    --------
    Two steps of Adam towards a mean of one half:

    >>> ctx = CraftContext([], seed=0, device=torch.device("cpu"))
    >>> blur = torch.nn.Conv2d(3, 3, 5, padding=2).to(x.dtype)
    >>> trained = Trained(blur, torch.optim.Adam(blur.parameters(), lr=1e-3))
    >>> for round_ in ctx.rounds(2, blur=trained):
    ...     loss = (blur(x).mean() - 0.5).square()
    ...     trained.descend(torch.autograd.grad(loss, [*blur.parameters()]))

    """

    def __init__(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.network, self.optimizer = network, optimizer

    def descend(self, gradient: Iterable[Tensor]) -> None:
        """Let the optimizer take a step along a gradient, a tensor for each parameter of the network in their order."""
        for parameter, one in zip(self.network.parameters(), gradient, strict=True):
            parameter.grad = one
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def check(self, after: str) -> None:
        """Raise `Diverged` where a weight or a statistic is not finite; `after` says when this was, in words."""
        if name := not_finite(self.network):
            raise Diverged(
                f"{name} of the network that the method trains holds values that are not finite after {after}",
                "lower its learning rate",
            )

    def state(self) -> dict[str, Tensor]:
        """Return the weights, the statistics and the optimizer."""
        return kept(self.network, self.optimizer)

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Load what `state` returned."""
        restore(self.network, self.optimizer, state)
