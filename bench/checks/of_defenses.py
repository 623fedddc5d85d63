"""What a defense promises."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor, nn

from bench.checks.failure import about, check_description, check_parameters, require
from bench.checks.inputs import CLASSES, digits, seeded, small_params
from bench.checks.repeatable import check_chance
from bench.contracts import promises
from bench.contracts.augment import Augmentation
from bench.contracts.defense import Defense, Defenses
from bench.contracts.network import Classifier, Network

_HARD, _SOFT = "classes", "probabilities"


def made(kind: type[Defense], given: dict[str, Any] | None = None) -> Defense:
    """Return the defense with small parameters, ready for its hooks."""
    defense = kind(small_params(kind, given))
    defense.classes = CLASSES
    return defense


def describes_itself(defense: Defense) -> None:
    """Fail without a docstring, a version, described parameters."""
    kind = type(defense)
    check_description(kind)
    check_parameters(kind)


def keeps_batches_what_they_are(defense: Defense) -> None:
    """Fail where batch returns no floats in [0, 1] of the same shape with a target for each."""
    for targets in (_HARD, _SOFT):
        x, y = _batch(targets)
        with about("batch"):
            returned = defense.batch(x.clone(), y.clone(), seeded(5))
            promises.check_batch(defense.name, x, returned, CLASSES, values=True)


def keeps_training_images_bytes_and_the_release_as_it_is(defense: Defense) -> None:
    """Fail where dataset returns no bytes of the same shape, or changes what it is given in place."""
    images, labels = digits().images.clone(), digits().labels.clone()
    with about("dataset"):
        changed = defense.dataset(images, labels, seeded(5))
        same = torch.equal(images, digits().images) and torch.equal(labels, digits().labels)
        promises.check_dataset(defense.name, digits().images, changed, overwritten=not same)


def takes_chance_from_its_generator_alone(defense: Defense) -> None:
    """Fail where the same generator gives other batches, images or losses."""
    instead = "take every draw from the generator that it is given"
    x, y = _batch(_HARD)

    def batch() -> tuple[Tensor, Tensor]:
        with about("batch"):
            returned = defense.batch(x.clone(), y.clone(), seeded(5))
            return promises.check_batch(defense.name, x, returned, CLASSES, values=False)

    check_chance(batch, "the batches of this defense", instead, "batch")
    images, labels = digits().images, digits().labels
    check_chance(
        lambda: (defense.dataset(images.clone(), labels.clone(), seeded(5)),),
        "the training images of this defense",
        instead,
        "dataset",
    )
    network = _network()
    check_chance(
        lambda: (defense.loss(_cross_entropy, epoch=0)(network, x.clone(), y.clone(), seeded(5)).detach(),),
        "the losses of this defense",
        instead,
        "loss",
    )


def has_a_loss_to_learn_from(defense: Defense) -> None:
    """Fail where the loss is no finite number with gradients for every weight."""
    network = _network()
    x, y = _batch(_HARD)
    called: list[bool] = []
    network.register_forward_hook(lambda *_: called.append(True))
    value = defense.loss(_cross_entropy, epoch=0)(network, x, y, seeded(5))
    with about("loss"):
        promises.check_loss(defense.name, value, called=bool(called))
    require(bool(value.isfinite()), f"its loss is {value.item():g}: look for a division by zero", "loss")
    value.backward()
    require(
        all(parameter.grad is not None for parameter in network.parameters()),
        "its loss gives no gradient for some weights: take it from what network(x) returns",
        "loss",
    )


def returns_what_its_other_hooks_are_for(defense: Defense) -> None:
    """Fail where augmentation, network, optimizer, judged_epoch or extra_passes return something else."""
    with about("augmentation"):
        promises.check_augmentation(defense.name, defense.augmentation(Augmentation(crop_padding=4, flip=True)))
    if not defense.files:  # weights in a file are of one network
        with about("network"):
            network = promises.check_network(defense.name, defense.network(_network()))
            outputs = network.eval()(digits().images[:2].float() / 255)
            promises.check_outputs(f"the network of the defense '{defense.name}'", outputs, 2, CLASSES)
    network = _network()
    with about("optimizer"):
        optimizer = defense.optimizer(torch.optim.SGD(network.parameters(), lr=0.1))
        promises.check_optimizer(defense.name, optimizer)
    with about("judged_epoch"):
        for accuracies in ([50.0], [50.0, 70.0, 60.0]):
            promises.check_epoch(defense.name, defense.judged_epoch(accuracies), len(accuracies))
    extra = defense.extra_passes()
    number = isinstance(extra, int | float) and extra >= 0
    require(number, f"extra_passes returns {extra!r}: return a number from 0 up", "extra_passes")


def is_read_back_as_it_is_written(defense: Defense) -> None:
    """Fail where what tables call the defense means another one."""
    for one in variants(type(defense), defense):
        chain = Defenses([one])
        back = Defenses.parse(str(chain))
        require(
            _parameters(back) == _parameters(chain),
            f"'{chain}', as tables call it, is read back with other parameters: name one of them in short, or use "
            f"plain numbers and words as parameters",
        )


CHECKS: dict[str, Callable[[Defense], None]] = {
    "describes itself": describes_itself,
    "keeps batches what they are": keeps_batches_what_they_are,
    "keeps training images bytes and the release as it is": keeps_training_images_bytes_and_the_release_as_it_is,
    "takes chance from its generator alone": takes_chance_from_its_generator_alone,
    "has a loss to learn from": has_a_loss_to_learn_from,
    "returns what its other hooks are for": returns_what_its_other_hooks_are_for,
    "is read back as it is written": is_read_back_as_it_is_written,
}
"""By what a defense that passes does."""


def variants(kind: type[Defense], plain: Defense) -> Iterator[Defense]:
    """Yield a defense, and with each parameter changed by itself where another value is allowed."""
    yield plain
    for field, value in plain.params.model_dump().items():
        for other in _others(value):
            try:
                yield kind(kind.Params.model_validate({**plain.params.model_dump(), field: other}))
            except ValidationError:
                continue


def _others(value: Any) -> list[Any]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value * 2, value - 1]
    if isinstance(value, float):
        return [value / 2, value * 1.5, value / 1e6]
    return []


def _parameters(chain: Defenses) -> list[Any]:
    return [part.params.model_dump(mode="json", exclude=part.places) for part in chain.chain]


class _Flat(Classifier):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3 * 16 * 16, CLASSES)

    def features(self, x: Tensor) -> Tensor:
        return x.flatten(1)


def _network() -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Network(_Flat(), torch.zeros(3), torch.ones(3))


def _batch(targets: str) -> tuple[Tensor, Tensor]:
    x, y = digits().images.float() / 255, digits().labels.clone()
    return (x, y) if targets == _HARD else (x, F.one_hot(y, CLASSES).float() * 0.9 + 0.1 / CLASSES)


def _cross_entropy(network: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
    return F.cross_entropy(network(x), y)
