"""Gradients of images: what an ensemble makes of them, against a plain loop in double precision on the CPU."""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.checks.machine.alikeness import alike
from bench.checks.machine.machine import CPU, Machine
from bench.checks.machine.measured import Measured, held
from bench.contracts.method import CraftData
from bench.contracts.network import Network
from bench.engine.ensemble import Ensemble, FeatureAlignment, class_means, cross_entropy
from bench.engine.frozen import Frozen

LIMITS = {"fp32": (0.995, 0.995), "bf16": (0.9, 0.97)}
"""Cosine and share of equal signs. bf16 has 8 significant bits, and a CPU comes to 0.97 and 0.99 with them; in fp32,
with which GPUs convolve in TF32 and its 11 bits, the error is an eighth of that at most."""

PlainLoss = Callable[[int, Network, Tensor], Tensor]
"""index of the network, network, images -> the sum of their losses."""


def gradients(machine: Machine) -> Iterator[Measured]:
    """Yield how the gradients of SEP and SEP-FA on the thin network, and of SEP on the wide one, agree."""
    data, here = machine.crafting_data(CPU), machine.crafting_data(machine.device)
    networks, on_cpu = machine.checkpoints(machine.device), _doubled(machine.checkpoints(CPU))
    target = target_of(data)
    means = [_plain_means(network, data) for network in on_cpu]

    def towards_class(index: int, network: Network, x: Tensor) -> Tensor:
        return F.cross_entropy(network(x), target[: len(x)], reduction="sum")

    def towards_means(index: int, network: Network, x: Tensor) -> Tensor:
        return (network.features(x) - means[index][target]).square().mean(1).sum()

    wanted = {
        "sep": _plain_gradient(on_cpu, data.x, towards_class),
        "sep-fa": _plain_gradient(on_cpu, data.x, towards_means),
    }
    aligned = FeatureAlignment([class_means(Frozen(network), [here]) for network in networks])
    for name, loss in (("sep", cross_entropy), ("sep-fa", aligned)):
        for number_format in machine.formats:
            ensemble = Ensemble(networks, loss, precision=number_format, backend=None)  # type: ignore[arg-type]
            found = ensemble.mean_gradient(here.x, target_of(here))
            yield from _held(f"gradients of {name}", number_format, found, wanted[name])
    count = machine.sizes.wide_images
    wide = machine.seen(machine.sizes.wide, machine.splits.train.images)
    plain = _plain_gradient(_doubled([wide]), data.x[:count], towards_class)
    there = [deepcopy(wide).to(machine.device)]
    for number_format in machine.formats:
        ensemble = Ensemble(there, precision=number_format, backend=None)  # type: ignore[arg-type]
        found = ensemble.mean_gradient(here.x[:count], target_of(here)[:count])
        yield from _held(f"gradients of sep on {machine.sizes.wide}", number_format, found, plain)


def target_of(data: CraftData) -> Tensor:
    """Return the classes that SEP moves images to."""
    return (data.y + data.classes // 2) % data.classes


def advice_on(number_format: str) -> str:
    """Return what to do where numbers in a format are wrong."""
    if number_format == "bf16":
        return "set precision to fp32 in methods and in the recipe, and see whether another version of torch helps"
    return "what is computed here is wrong: update torch and the driver, and use another device until this is fine"


def _held(what: str, number_format: str, found: Tensor, wanted: Tensor) -> Iterator[Measured]:
    advice = advice_on(number_format)
    (cosine, signs), (least_cosine, least_signs) = alike(found, wanted), LIMITS[number_format]
    name = f"{what}, {number_format}"
    yield held(name, cosine, "cosine", "at least", least_cosine, advice)
    yield held(f"{name}, signs", signs, "share that is equal", "at least", least_signs, advice)


def _doubled(networks: Sequence[Network]) -> list[Network]:
    return [deepcopy(network).double() for network in networks]


def _plain_gradient(networks: Sequence[Network], x: Tensor, loss: PlainLoss) -> Tensor:
    images = x.double().requires_grad_()
    total = torch.stack([loss(index, network, images) for index, network in enumerate(networks)]).sum()
    return torch.autograd.grad(total / len(networks), images)[0]


def _plain_means(network: Network, data: CraftData) -> Tensor:
    with torch.no_grad():
        features = network.features(data.x.double())
    return torch.stack([features[data.y == label].mean(0) for label in range(data.classes)])
