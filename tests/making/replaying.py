"""CUDA graphs as they behave, without a GPU: what they leave is overwritten by the next replay."""

from typing import Any

import torch
from torch import Tensor, nn


class Replaying:
    """Stands for `torch.cuda.make_graphed_callables`: tensors of fixed places go in and out, and what fills them is the
    network's own forward and backward pass, run again.

    Attributes
    ----------
    captures, replays
        How many networks were captured, and how many forward passes replayed.

    """

    def __init__(self) -> None:
        self.captures, self.replays = 0, 0

    def __call__(self, network: nn.Module, sample: tuple[Tensor], allow_unused_input: bool) -> None:
        assert not torch.is_autocast_cache_enabled(), "torch refuses that, too"
        self.captures += 1
        (images,), eager, training = sample, network.forward, network.training
        parameters = tuple(network.parameters())
        for _ in range(3):  # as it warms up
            outputs = network(images)
            gradients = torch.autograd.grad(outputs.sum(), parameters, allow_unused=allow_unused_input)
        logits = outputs.detach().clone()
        places = [None if one is None else one.clone() for one in gradients]
        latest: list[Tensor] = []
        mixed = torch.is_autocast_enabled("cpu")

        class Graphed(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: Tensor, *weights: Tensor) -> Tensor:
                images.copy_(x)
                as_captured = torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed, cache_enabled=False)
                with torch.enable_grad(), as_captured:
                    latest[:] = [eager(images)]
                logits.copy_(latest[0].detach())
                found: Tensor = logits.detach()
                return found

            @staticmethod
            def backward(ctx: Any, gradient: Tensor) -> Any:
                fresh = torch.autograd.grad(latest[0], parameters, gradient, allow_unused=True)
                for place, one in zip(places, fresh, strict=True):
                    if place is not None and one is not None:
                        place.copy_(one)
                return (None, *(None if place is None else place.detach() for place in places))

        def replayed(x: Tensor) -> Any:
            if network.training != training:
                return eager(x)
            self.replays += 1
            return Graphed.apply(x, *parameters)

        network.forward = replayed
