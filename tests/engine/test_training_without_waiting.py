"""Training asks a GPU for values, and sends it some, once an epoch: between two steps nobody waits for it."""

from collections import Counter

import pytest
import torch
from torch import Tensor, nn

from bench.api import CraftContext, CraftData, Learner
from bench.contracts.defense import DEFENSES, Defense, Defenses
from bench.contracts.network import ARCHITECTURES, build_network
from bench.engine.step import make_optimizer, not_finite
from bench.engine.training import Labelled, predict, train_epoch
from tests.making.images import noise
from tests.making.trainings import recipe
from tests.making.unread import UNREAD, Unread, train_unread

CLASSES, SIDE = 3, 8
BEFORE_TRAINING = {"pretrained", "purified"}  # read files, once
PLAIN = (
    {"bench/engine/training.py:train_epoch": 2},
    {
        "bench/engine/training.py:train_epoch": 1,  # the order
        "bench/core/device.py:sent": 3,  # where crops begin, and what is flipped
    },
)


@pytest.fixture(autouse=True)
def _unread(monkeypatch: pytest.MonkeyPatch) -> None:
    train_unread(monkeypatch)


def images(count: int, side: int = SIDE) -> Tensor:
    return torch.empty(count, 3, side, side, dtype=torch.uint8, device=UNREAD)


def asked(
    steps: int, defenses: Defenses, architecture: str = "resnet8", side: int = SIDE
) -> tuple[Counter[str], Counter[str]]:
    """Return where an epoch of so many steps read the device, and where it copied."""
    for part in defenses.chain:
        part.classes = CLASSES
    start = build_network(architecture, CLASSES, noise(1, side=side), normalise=False, seed=0, device=UNREAD)
    network, how = defenses.network(start), recipe(clip_gradient=1.0)
    data = Labelled(images(16 * steps, side), torch.empty(16 * steps, dtype=torch.int64, device=UNREAD), CLASSES)
    optimizer = make_optimizer(network, how)
    with Unread() as device:
        train_epoch(network, optimizer, data, how, defenses, seed=0, epoch=0)
    return device.reads, device.copies


def test_a_plain_epoch_reads_loss_and_accuracy_and_sends_order_and_draws() -> None:
    assert asked(2, Defenses.parse("plain")) == PLAIN


@pytest.mark.parametrize("name", sorted({*DEFENSES.names()} - BEFORE_TRAINING))
def test_no_step_of_a_defense_waits_for_the_device(name: str) -> None:
    reads, copies = asked(1, Defenses.parse(name))
    assert asked(2, Defenses.parse(name)) == (reads, copies)
    # The values of the first batch are held against the contract.
    assert {**reads, **PLAIN[0]} == {**PLAIN[0], **{where: n for where, n in reads.items() if "promises" in where}}


class Waiting(Defense):
    """Asks in every batch for what only the device knows."""

    name = "waiting"

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def batch(self, x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        match self.how:
            case "reads":
                x = x * (1 if float(x.mean()) < 1 else 0)
            case "branches":
                x = x if (x < 2).all() else x * 0
            case "sends":
                x = x * torch.tensor([1.0, 1.0, 1.0]).to(x.device)[:, None, None]
            case "makes":
                x = x * torch.tensor([1.0, 1.0, 1.0], device=x.device)[:, None, None]
            case "picks":
                x = x[torch.arange(len(x))]
        return x, y


@pytest.mark.parametrize("how", ["reads", "branches", "sends", "makes", "picks"])
def test_a_defense_that_waits_in_every_step_is_noticed(how: str) -> None:
    few, many = asked(1, Defenses([Waiting(how)])), asked(2, Defenses([Waiting(how)]))
    assert [sum(one.values()) for one in few] != [sum(one.values()) for one in many]


def test_a_mask_is_noticed() -> None:
    with Unread() as device, pytest.raises(AssertionError, match="as many values as index finds"):
        images(4)[torch.empty(4, dtype=torch.bool, device=UNREAD)]
    assert sum(device.reads.values()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES.names())
def test_no_network_is_waited_for(name: str) -> None:
    assert asked(2, Defenses.parse("plain"), name, side=32) == PLAIN


@pytest.mark.parametrize("count", [100, 20_000])
def test_judging_reads_once_however_many_images_there_are(count: int) -> None:
    network = build_network("resnet8", CLASSES, noise(1, side=SIDE), normalise=False, seed=0, device=UNREAD)
    with Unread() as device:
        predict(network, images(count, 32), "fp32", epoch=0)
    assert (device.reads, device.copies) == ({"bench/engine/training.py:predict": 1}, {})


@pytest.mark.parametrize(("side", "largest"), [(32, 2000), (64, 500), (224, 40)])
def test_larger_images_are_judged_fewer_at_a_time(side: int, largest: int) -> None:
    seen: list[int] = []

    class Means(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(len(x))
            return x.mean((2, 3))

    with Unread():
        predict(Means(), images(4100, side), "fp32", epoch=0)
    assert max(seen) == largest
    assert sum(seen) == 4100


def test_weights_are_looked_at_once() -> None:
    network = build_network("resnet8", CLASSES, noise(1, side=SIDE), normalise=False, seed=0, device=UNREAD)
    with Unread() as device:
        not_finite(network)
    assert sum(device.reads.values()) == 1


def test_a_learner_never_waits_for_the_device() -> None:
    ctx = CraftContext([], seed=0, device=UNREAD, architecture="resnet8")
    x, y = torch.rand(16, 3, SIDE, SIDE, device=UNREAD), torch.empty(16, dtype=torch.int64, device=UNREAD)
    data = CraftData(x, y, CLASSES, torch.arange(16))
    learner = Learner(ctx, data, recipe(normalise=False))
    with Unread() as device:
        learner.step(x, y, 0, of_epoch=1)
        learner.gradient(x, y)
        learner.logits(x)
    assert (device.reads, device.copies) == ({}, {})
