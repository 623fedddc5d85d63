"""A network made cheap to differentiate with respect to its input, and nothing else."""

import logging
from collections.abc import Callable
from copy import deepcopy

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import fuse_conv_bn_eval

from bench.contracts.network import Network

_LOG = logging.getLogger("sepbench")


class Frozen(nn.Module):
    """A network in eval mode without parameter gradients: batch norm folded where exact, channels-last.

    It computes what the network computes in eval mode, up to rounding, and can be differentiated with respect to the
    images. Dropout and statistics are off, so that nothing is drawn and nothing changes.

    Parameters
    ----------
    network
        Left as it is: this is a copy, on the same device.
    dtype
        Of the weights and of the matrix products; inputs are converted, outputs keep it. None leaves the network's.

    Attributes
    ----------
    body
        From normalised images to features.
    extractor
        What computes the same faster where gradients are taken, if anything does.

    Examples
    --------
    >>> frozen = Frozen(networks[0])
    >>> torch.allclose(frozen(x), networks[0](x), atol=1e-4)
    True
    >>> frozen.features(x).shape == (len(x), frozen.head.in_features)
    True

    """

    def __init__(self, network: Network, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        copy = deepcopy(network).eval().requires_grad_(False)
        self.body = _folded(copy.classifier).to(memory_format=torch.channels_last)
        self.head = copy.classifier.head
        self.mean, self.std = copy.mean, copy.std  # no buffers: they keep the format of the images
        self.extractor: Callable[[Tensor], Tensor] | None = None
        if dtype is not None:
            self.to(dtype)

    def features(self, x: Tensor) -> Tensor:
        """Return the penultimate features, [B, D], of images [B, 3, H, W] in [0, 1]."""
        # Normalised before the conversion: bfloat16 has 8 significant bits, no more than the image.
        normalised = ((x - self.mean) / self.std).to(self.head.weight.dtype)
        # Compiled for gradients: without them it would be another graph, and the calls are too few to pay for it.
        fast = self.extractor if torch.is_grad_enabled() else None
        features: Tensor = (fast or self.body)(normalised)
        return features

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, [B, classes], of images [B, 3, H, W] in [0, 1]."""
        logits: Tensor = self.head(self.features(x))
        return logits


class _Features(nn.Module):
    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.classifier.features(x)  # type: ignore[operator]
        return features


def _folded(classifier: nn.Module) -> nn.Module:
    """Return the feature extractor with each batch norm that directly follows its convolution folded into it."""
    extractor = _Features(classifier)
    try:
        graph = fx.symbolic_trace(extractor)
    except Exception as error:  # what a network may do in Python is without bounds
        _LOG.info("%s cannot be traced (%s): its batch norm is not folded", type(classifier).__name__, error)
        return extractor
    modules = dict(graph.named_modules())
    for node in list(graph.graph.nodes):
        if node.op != "call_module" or not isinstance(modules[node.target], nn.BatchNorm2d):
            continue
        before = node.args[0]
        # Folding is exact only where nothing else reads the convolution.
        if before.op == "call_module" and type(modules[before.target]) is nn.Conv2d and len(before.users) == 1:
            fused = fuse_conv_bn_eval(modules[before.target], modules[node.target])
            graph.add_submodule(before.target, fused)
            modules[before.target] = fused
            node.replace_all_uses_with(before)
            graph.graph.erase_node(node)
    graph.delete_all_unused_submodules()
    graph.recompile()
    return graph
