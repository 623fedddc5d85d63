"""Starting from weights that were trained elsewhere, on images that nobody protected."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from bench.api import DEFENSES, Defense, Field, Params, SepbenchError


class PretrainedParams(Params):
    """Parameters of the pretrained start."""

    on: str = Field(
        "unnamed", pattern=r"^[A-Za-z0-9_.]+$", description="what the weights were trained on, such as imagenet"
    )
    weights: str = Field(
        "${SEPBENCH_PRETRAINED}", description="a .safetensors file, or a .pt file of tensors, of the victim's network"
    )


@DEFENSES.register("pretrained")
class Pretrained(Defense[PretrainedParams]):
    """Training starts from given weights instead of random ones; a head for other classes starts afresh.

    The names of the tensors are those of the architecture here (`sepbench show resnet18`), with or without a common
    prefix such as `module.`.
    """

    short = "on"
    files = ("weights",)

    def network(self, network: nn.Module) -> nn.Module:
        """Load the weights; raises `SepbenchError` where they are not those of this network."""
        path = self.path("weights")
        weights = _read(path)
        target = getattr(network, "classifier", network)
        own = target.state_dict()
        head = {name for name in own if name.startswith("head.")}
        prefix = _common_prefix(weights, [name for name in own if name not in head])
        found = {name.removeprefix(prefix): value for name, value in weights.items()}
        other_classes = {name for name in head if name in found and found[name].shape != own[name].shape}
        missing = [
            name
            for name, value in own.items()
            if name not in head and (name not in found or found[name].shape != value.shape)
        ]
        if missing:
            raise SepbenchError(
                f"pretrained: {path} does not hold the weights of this network: {missing[0]} "
                f"({'x'.join(map(str, own[missing[0]].shape)) or 'a number'}) and {len(missing) - 1} more are not in "
                f"it: give a file that was trained with the same architecture"
            )
        start = head if other_classes or not head <= set(found) else set()
        target.load_state_dict({name: own[name] if name in start else found[name] for name in own})
        return network


def _common_prefix(weights: dict[str, Tensor], names: list[str]) -> str:
    """Return what stands before each of the names in a file, such as `module.`; nothing where they are not there."""
    candidates = {name.removesuffix(names[0]) for name in weights if name.endswith(names[0])}
    return next((one for one in sorted(candidates) if all(one + name in weights for name in names)), "")


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what a broken file makes of a reader is without bounds
        raise SepbenchError(f"pretrained: {path} cannot be read as weights: save a dictionary of tensors") from error
    for wrapper in ("state_dict", "model", "net"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict):
        raise SepbenchError(f"pretrained: {path} holds no dictionary of tensors: save the network's state_dict()")
    return {name: value for name, value in content.items() if isinstance(value, Tensor)}
