"""What an architecture promises."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench.checks.failure import about, check_description, require
from bench.checks.inputs import CPU, global_chance, seeded
from bench.contracts.network import ARCHITECTURES, Classifier, build_network
from bench.contracts.promises import check_classifier


def built(name: str, classes: int = 10, side: int = 32, seed: int = 0) -> Classifier:
    """Return a network with weights from a seed, as a run builds it."""
    images = torch.zeros(1, 3, side, side, dtype=torch.uint8)
    network = build_network(name, classes, images, normalise=False, seed=seed, device=CPU)
    return network.classifier


def images(count: int, side: int) -> Tensor:
    """Return images of noise, float [count, 3, side, side] in [0, 1]."""
    return torch.rand(count, 3, side, side, generator=seeded(0))


def describes_itself(name: str) -> None:
    """Fail without a docstring."""
    check_description(ARCHITECTURES.get(name), versioned=False)


def has_logits_that_are_the_head_of_its_features(name: str) -> None:
    """Fail where features or logits are of another shape, or logits are not the linear head of the features."""
    for count, side, classes in ((2, 16, 100), (2, 32, 10), (1, 64, 10)):
        network = built(name, classes, side).eval()
        require(isinstance(getattr(network, "head", None), nn.Linear), "it has no linear layer as self.head: set one")
        with about("features"), torch.inference_mode():
            check_classifier(name, network, classes, (side, side))
            x = images(count, side)
            features, logits = network.features(x), network(x)
            fits = tuple(features.shape) == (count, network.head.in_features)
            close = fits and torch.allclose(logits, network.head(features), rtol=1e-4, atol=1e-5)
        at = f"at {side}x{side}"
        require(
            fits,
            f"features returns {list(features.shape)} {at}, and its head takes [{count}, {network.head.in_features}]: "
            f"pool to that",
            "features",
        )
        require(close, f"its outputs {at} are not its head of its features: leave forward as Classifier has it")


def judges_an_image_whatever_is_in_its_batch(name: str) -> None:
    """Fail where an image is judged otherwise beside another one in eval mode."""
    # Double precision: then nothing but a real dependence shows.
    network, x = built(name, side=16).double().eval(), images(2, 16).double()
    with torch.inference_mode():
        close = torch.allclose(network(x[1:2])[0], network(x)[1], rtol=1e-9, atol=1e-9, equal_nan=True)
    require(close, "in eval mode it judges an image otherwise beside another one: let no image depend on its batch")


def has_first_weights_from_its_seed_alone(name: str) -> None:
    """Fail where the same seed gives other weights, or another seed the same."""

    def weights(numpy_seed: int, seed: int = 0) -> list[Tensor]:
        with global_chance(numpy_seed, numpy_seed, numpy_seed):
            return [value.clone() for value in built(name, side=16, seed=seed).state_dict().values()]

    def alike(one: list[Tensor], other: list[Tensor]) -> bool:
        return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))

    first = weights(0)
    require(
        alike(first, weights(0)) and alike(first, weights(1)),
        "its first weights are other ones each time, or depend on numpy's or random's global state: draw them by torch "
        "alone, which the harness seeds",
    )
    require(
        not alike(first, weights(0, seed=1)),
        "another seed gives the same first weights: draw them by torch, and do not seed that yourself",
    )


def learns_with_every_weight(name: str) -> None:
    """Fail where a weight has no finite gradient in training."""
    network = built(name).train()
    nn.functional.cross_entropy(network(images(2, 32)), torch.tensor([0, 1])).backward()
    still = [
        weight
        for weight, parameter in network.named_parameters()
        if parameter.grad is None or not bool(parameter.grad.isfinite().all())
    ]
    require(not still, f"training gives no finite gradient to {', '.join(still[:3])}: use it in features or remove it")


def lets_images_have_gradients(name: str) -> None:
    """Fail where a frozen network in eval mode gives images no finite gradient: no method could use it."""
    network = built(name, side=16).eval().requires_grad_(False)
    x = images(2, 16).requires_grad_()
    outputs, gradient = network(x), None
    if outputs.requires_grad:
        (gradient,) = torch.autograd.grad(outputs.logsumexp(1).sum(), x, allow_unused=True)
    reaches = gradient is not None and bool(gradient.isfinite().all()) and float(gradient.abs().sum()) > 0
    require(reaches, "images get no gradient through it in eval mode: no detach(), no rounding, no no_grad()")


def survives_being_stored_and_loaded(name: str) -> None:
    """Fail where a network with the stored weights of another computes something else."""
    network, other = built(name, side=16).eval(), built(name, side=16, seed=1).eval()
    other.load_state_dict(network.state_dict())
    with torch.inference_mode():
        close = torch.allclose(other(images(2, 16)), network(images(2, 16)), rtol=1e-4, atol=1e-5, equal_nan=True)
    require(
        close,
        "with the stored weights of another it computes something else: keep all it has in parameters and buffers",
    )


CHECKS: dict[str, Callable[[str], None]] = {
    "describes itself": describes_itself,
    "has logits that are the head of its features": has_logits_that_are_the_head_of_its_features,
    "judges an image whatever is in its batch": judges_an_image_whatever_is_in_its_batch,
    "has first weights from its seed alone": has_first_weights_from_its_seed_alone,
    "learns with every weight": learns_with_every_weight,
    "lets images have gradients": lets_images_have_gradients,
    "survives being stored and loaded": survives_being_stored_and_loaded,
}
"""By what an architecture that passes does."""
