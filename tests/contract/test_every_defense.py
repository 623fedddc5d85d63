"""What every training defense has to keep, whoever wrote it."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from bench.contracts.augment import Augmentation
from bench.contracts.defense import DEFENSES, Defense, Defenses
from tests.making.crafting import digits, small_params
from tests.making.images import seeded

pytestmark = pytest.mark.usefixtures("files_of_defenses")

NAMES = DEFENSES.names()
every_defense = pytest.mark.parametrize("name", NAMES)
CLASSES = 10


def defense(name: str) -> Defense:
    kind = DEFENSES.get(name)
    made = kind(small_params(kind))
    made.classes = CLASSES
    return made


def batch() -> tuple[Tensor, Tensor]:
    return digits().images.float() / 255, digits().labels.clone()


def _cross_entropy(network: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
    return nn.functional.cross_entropy(network(x), y)


def variants(name: str) -> Iterator[Defense]:
    """Yield a defense with its defaults, and with each parameter changed by itself where another value is allowed."""
    kind = DEFENSES.get(name)
    plain = kind()
    yield plain
    for field, value in plain.params.model_dump().items():
        for other in _others(value):
            try:
                yield kind(kind.Params.model_validate({field: other}))
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


@every_defense
def test_a_defense_describes_itself(name: str) -> None:
    kind = DEFENSES.get(name)
    assert (kind.__doc__ or "").strip().splitlines()[0].strip()
    assert kind.name == name
    assert kind.version >= 1
    named = [kind.short, kind.copies, *kind.files]
    assert {one for one in named if one is not None} <= set(kind.Params.model_fields)


@every_defense
def test_a_batch_stays_images_with_a_target_each(name: str) -> None:
    x, y = batch()
    changed, targets = defense(name).batch(x.clone(), y.clone(), seeded(5))
    assert changed.shape == x.shape
    assert changed.dtype == x.dtype
    assert float(changed.amin()) >= 0
    assert float(changed.amax()) <= 1
    assert targets.shape in ((len(y),), (len(y), CLASSES))
    if targets.dim() == 2:
        assert float(targets.amin()) >= 0
        torch.testing.assert_close(targets.sum(1), torch.ones(len(y)))
    else:
        assert targets.dtype == torch.int64


@every_defense
def test_the_training_images_stay_bytes_and_the_release_is_not_overwritten(name: str) -> None:
    images, labels = digits().images.clone(), digits().labels.clone()
    changed = defense(name).dataset(images, labels, seeded(5))
    assert changed.dtype == torch.uint8
    assert changed.shape == images.shape
    assert torch.equal(images, digits().images)
    assert torch.equal(labels, digits().labels)


@every_defense
def test_the_generator_alone_decides_what_a_defense_draws(name: str) -> None:
    results = []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        x, y = batch()
        results.append(
            (*defense(name).batch(x, y, seeded(5)), defense(name).dataset(digits().images, digits().labels, seeded(5)))
        )
    assert all(torch.equal(first, second) for first, second in zip(*results, strict=True))


@every_defense
def test_the_loss_is_finite_and_can_be_learned_from(name: str) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, CLASSES))
    x, y = batch()
    loss = defense(name).loss(_cross_entropy, epoch=0)
    value = loss(network, x, y, seeded(5))
    assert value.shape == ()
    value.backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert bool(value.isfinite())


@every_defense
def test_a_written_defense_reads_back_as_the_same(name: str) -> None:
    for one in variants(name):
        chain = Defenses([one])
        assert Defenses.parse(str(chain)).identity() == chain.identity()
        mapping = {name: one.params.model_dump(mode="json")}
        assert Defenses.parse(mapping).identity() == chain.identity()


@every_defense
def test_a_written_chain_reads_back_as_the_same(name: str) -> None:
    one = DEFENSES.get(name)()
    others = [kind() for kind in map(DEFENSES.get, NAMES) if not kind.innermost and not kind.copies]
    first, middle, last = (one.copies, not one.copies and not one.innermost, not one.copies)
    chain = Defenses([*[one] * bool(first), *others, *[one] * middle, *others, *[one] * last])
    assert Defenses.parse(str(chain)).identity() == chain.identity()


def test_plain_changes_nothing() -> None:
    plain = defense("plain")
    x, y = batch()
    changed, targets = plain.batch(x, y, seeded(5))
    assert torch.equal(changed, x)
    assert torch.equal(targets, y)
    assert torch.equal(plain.dataset(digits().images, y, seeded(5)), digits().images)
    assert plain.augmentation(Augmentation(crop_padding=4, flip=True)) == Augmentation(crop_padding=4, flip=True)
    network = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    assert plain.network(network) is network
    assert plain.optimizer(optimizer) is optimizer
    loss = lambda *_: torch.zeros(())  # noqa: E731 - any function will do
    assert plain.loss(loss, epoch=0) is loss


def test_no_augmentation_switches_crop_and_flip_off() -> None:
    assert defense("no-augmentation").augmentation(Augmentation(crop_padding=4, flip=True)) == Augmentation(
        crop_padding=0, flip=False
    )


@every_defense
def test_a_defense_says_what_a_pass_costs_besides_itself(name: str) -> None:
    one = DEFENSES.get(name)()
    assert one.extra_passes() >= 0
    assert Defenses([DEFENSES.get("plain")(), one]).extra_passes() == one.extra_passes()


def test_adversarial_training_costs_a_pass_for_each_step_of_its_attack() -> None:
    assert Defenses.parse("adversarial-training:steps=3").extra_passes() == 3
