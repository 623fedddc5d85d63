"""Starting from weights that were trained elsewhere, on images that nobody protected."""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.api import DEFENSES, Defense, Field, Params, SepbenchError
from victims.defenses._weight_files import Tensors, is_averaged, read_states
from victims.defenses._weight_names import Match, first_difference, matches

_LOG = logging.getLogger("sepbench")
_WEIGHT, _BIAS = "head.weight", "head.bias"
_AT_RANDOM = "the head starts at random"


class PretrainedParams(Params):
    """Parameters of the pretrained start."""

    on: str = Field(
        "unnamed", pattern=r"^[A-Za-z0-9_.]+$", description="what the weights were trained on, such as imagenet"
    )
    weights: str = Field(
        "${SEPBENCH_PRETRAINED}", description="a .safetensors file, or a file of torch.save, of the victim's network"
    )


@DEFENSES.register("pretrained")
class Pretrained(Defense[PretrainedParams]):
    """Training starts from given weights instead of random ones; a head for other classes starts afresh.

    The names of the tensors are those of the architecture here, within any wrappers (`state_dict`, `model`, `ema`) and
    with any common prefix (`module.`, `_orig_mod.`, `backbone.`), or others where order and shapes leave no doubt. Of
    several sets of weights the moving average is taken. The head is the one layer whose inputs are the features, by
    any name. A warning says whatever is not taken as it stands there.
    """

    short = "on"
    files = ("weights",)
    version = 2
    words = "training from pretrained weights"

    def network(self, network: nn.Module) -> nn.Module:
        """Load the weights; raises `SepbenchError` where they are not those of this network, or not finite."""
        path = self.path("weights")
        target = getattr(network, "classifier", network)
        own: Tensors = target.state_dict()
        body = {name: value for name, value in own.items() if name not in (_WEIGHT, _BIAS)}
        states = read_states(path)
        found = [match for where, tensors in states for match in matches(body, where, tensors)]
        if not found:
            raise SepbenchError(
                f"pretrained: {path} does not hold the weights of this network: {first_difference(body, states)}: give "
                f"a file that was trained with the same architecture"
            )
        match, notes = _chosen(found, path)
        if match.by_order:
            own_name, name = next((a, b) for a, b in match.names.items() if a != b)
            notes.append(f"tensors are taken by their order and shapes, as names differ ({name} for {own_name})")
        head, said = _head(match, own[_WEIGHT], own[_BIAS])
        weights = {name: match.tensors[there] for name, there in match.names.items()} | head
        for name, value in weights.items():
            if not bool(value.to(own[name].dtype).isfinite().all()):
                raise SepbenchError(f"pretrained: {path} holds weights that are not finite ({name}): give others")
        target.load_state_dict(own | weights)
        if notes or said:
            _LOG.warning("pretrained: %s: %s", path, "; ".join([*notes, *said]))
        return network


def _chosen(found: Sequence[Match], path: Path) -> tuple[Match, list[str]]:
    """Return the weights to start from, and a note where others were there too."""
    different = [found[0]]
    for match in found[1:]:
        if not any(_equal(match, other) for other in different):
            different.append(match)
    if len(different) == 1:
        return found[0], []
    averaged = [match for match in different if is_averaged(match.where)]
    names = [match.where or "the file itself" for match in different]
    if len(averaged) != 1:
        raise SepbenchError(
            f"pretrained: {path} holds several sets of weights of this network ({', '.join(names)}): save one alone"
        )
    others = [name for name in names if name != averaged[0].where]
    return averaged[0], [f"the moving average {averaged[0].where} is taken, and not {', '.join(others)}"]


def _equal(one: Match, other: Match) -> bool:
    return all(torch.equal(one.tensors[one.names[name]], other.tensors[other.names[name]]) for name in one.names)


def _head(match: Match, weight: Tensor, bias: Tensor) -> tuple[Tensors, list[str]]:
    """Return the tensors of the head, none where it starts at random, and notes on it and on what is left over."""
    layers = [
        name.removesuffix("weight")
        for name in match.rest
        if name.endswith(".weight")
        and match.tensors[name].dim() == 2
        and match.tensors[name].shape[1] == weight.shape[1]
    ]
    named = f"{match.prefix}head."
    layers = [named] if named in layers else layers
    left = [name for name in match.rest if not any(name.startswith(layer) for layer in layers)]
    unused = [f"{len(left)} further tensor{'s are' if len(left) > 1 else ' is'} not used ({left[0]})"] if left else []
    if not layers:
        return {}, [f"it has no layer from {weight.shape[1]} features to classes: {_AT_RANDOM}", *unused]
    if len(layers) > 1:
        names = ", ".join(layer.rstrip(".") for layer in layers)
        return {}, [f"several layers may be its head ({names}): {_AT_RANDOM}", *unused]
    name = layers[0].rstrip(".")
    there, its_bias = match.tensors[f"{name}.weight"], match.tensors.get(f"{name}.bias")
    called = "its head" if layers[0] == named else f"its head {name}"
    if len(there) != len(weight):
        return {}, [f"{called} is for {len(there)} classes and not for {len(weight)}: {_AT_RANDOM}", *unused]
    if its_bias is None or its_bias.shape != bias.shape:
        return {}, [f"{called} has no bias: {_AT_RANDOM}", *unused]
    taken = [] if layers[0] == named else [f"its {name} is taken for the head"]
    return {_WEIGHT: there, _BIAS: its_bias}, [*taken, *unused]
