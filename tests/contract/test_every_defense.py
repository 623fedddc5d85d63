"""What every training defense has to keep, whoever wrote it."""

import pytest
import torch
from torch import Tensor, nn

from bench.checks import of_defenses
from bench.contracts.augment import Augmentation
from bench.contracts.defense import DEFENSES, Defense, Defenses
from tests.making.crafting import digits
from tests.making.images import seeded

pytestmark = pytest.mark.usefixtures("files_of_defenses")

NAMES = DEFENSES.names()
every_defense = pytest.mark.parametrize("name", NAMES)


def defense(name: str) -> Defense:
    return of_defenses.made(DEFENSES.get(name))


def batch() -> tuple[Tensor, Tensor]:
    return digits().images.float() / 255, digits().labels.clone()


@every_defense
@pytest.mark.parametrize("promise", of_defenses.CHECKS)
def test_a_defense_keeps_the_promises_that_sepbench_check_looks_at(promise: str, name: str) -> None:
    of_defenses.CHECKS[promise](defense(name))


@every_defense
def test_a_defense_is_known_by_its_name(name: str) -> None:
    assert DEFENSES.get(name).name == name


@every_defense
def test_a_defense_of_ours_says_what_it_is_to_who_has_never_heard_its_name(name: str) -> None:
    for one in of_defenses.variants(DEFENSES.get(name), DEFENSES.get(name)()):
        said = one.described()
        assert said
        assert not {"{", "}"} & set(said)
        short = one.short
        if short is not None and name not in ("pretrained", "ueraser"):  # a label or a variant, not a number
            assert str(getattr(one.params, short)) in said


def test_the_words_of_a_chain_follow_its_order() -> None:
    assert Defenses.parse("cutout-8+jpeg-10").described() == (
        "blacking out squares of 8 pixels, then JPEG compression at quality 10"
    )


@every_defense
def test_a_written_defense_reads_back_as_the_same(name: str) -> None:
    for one in of_defenses.variants(DEFENSES.get(name), DEFENSES.get(name)()):
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
