"""A training that was stopped and goes on ends with the bits of one that nobody disturbed."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.contracts.defense import Defense
from bench.core.errors import Stopped
from bench.engine import training
from bench.engine.training import History
from tests.making.trainings import STATE, draft, recipe, same_bits, same_curves, trained


class Noise(Defense):
    """Draws from the stream it is given, and from the global one that a network's dropout draws from."""

    name = "noise"

    def batch(self, x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return (x + 0.1 * torch.rand(x.shape, generator=generator)).clamp(0, 1), y

    def network(self, network: nn.Module) -> nn.Module:
        return nn.Sequential(network, nn.Dropout(0.2))


class Chosen(Defense):
    """Has the network of one epoch judged."""

    name = "chosen"

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.epoch = epoch

    def judged_epoch(self, test_acc: Sequence[float]) -> int:
        return min(self.epoch, len(test_acc) - 1)


def stopping_after(epochs: int) -> Callable[[History], None]:
    def stop(history: History) -> None:
        if len(history) == epochs:
            raise Stopped

    return stop


def interrupted(folder: Path, *epochs: int, **options: Any) -> tuple[nn.Module, History]:
    """Train with an interruption after each of these numbers of epochs, each time from a fresh network."""
    for count in epochs:
        with pytest.raises(Stopped):
            trained(folder, on_epoch=stopping_after(count), **options)
    torch.manual_seed(len(epochs))
    return trained(folder, **options)


@pytest.mark.parametrize("after", [(1,), (2,), (3,), (4,), (1, 2, 3)], ids=str)
@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_a_stopped_training_goes_on_to_the_same_bits(after: tuple[int, ...], momentum: float, tmp_path: Path) -> None:
    how = recipe(epochs=4, momentum=momentum)
    undisturbed, curves = trained(tmp_path / "a", how)
    network, resumed_curves = interrupted(tmp_path / "b", *after, how=how)
    assert same_bits(network, undisturbed)
    assert same_curves(resumed_curves, curves)
    assert len(resumed_curves) == len(resumed_curves.seconds) == 4


def test_what_a_defense_and_a_network_draw_goes_on_as_well(tmp_path: Path) -> None:
    undisturbed, curves = trained(tmp_path / "a", defense=Noise())
    network, resumed_curves = interrupted(tmp_path / "b", 1, 2, defense=Noise())
    assert same_bits(network, undisturbed)
    assert same_curves(resumed_curves, curves)


def test_a_resumed_training_keeps_every_checkpoint(tmp_path: Path) -> None:
    trained(tmp_path / "a")
    interrupted(tmp_path / "b", 1, 2)
    for epoch in range(3):
        first, second = (draft(tmp_path / folder).tensors(f"epoch-{epoch:03d}") for folder in ("a", "b"))
        assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_a_resumed_training_does_not_repeat_finished_epochs(tmp_path: Path) -> None:
    seen: list[int] = []
    with pytest.raises(Stopped):
        trained(tmp_path, on_epoch=stopping_after(2))
    trained(tmp_path, on_epoch=lambda history: seen.append(len(history)))
    assert seen == [3]


def test_a_training_that_was_killed_goes_on_from_its_last_saved_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed, curves = trained(tmp_path / "a", recipe(epochs=4))

    def die(history: History) -> None:
        if len(history) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as impatient:
        impatient.setattr(training, "_SAVE_EVERY_SECONDS", -1.0)
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path / "b", recipe(epochs=4), on_epoch=die)
    network, resumed_curves = trained(tmp_path / "b", recipe(epochs=4))
    assert same_bits(network, undisturbed)
    assert same_curves(resumed_curves, curves)


def test_momentum_is_part_of_the_state_and_losing_it_would_be_noticed(tmp_path: Path) -> None:
    undisturbed, _ = trained(tmp_path / "a")
    with pytest.raises(Stopped):
        trained(tmp_path / "b", on_epoch=stopping_after(2))
    saved = draft(tmp_path / "b")
    tensors, info = saved.tensors(STATE), deepcopy(saved.info(STATE))
    momentum = [name for name in tensors if name.endswith("momentum_buffer")]
    assert len(momentum) == len(list(undisturbed.parameters()))
    assert all(float(tensors[name].abs().max()) > 0 for name in momentum)
    saved.put(STATE, {name: value for name, value in tensors.items() if name not in momentum}, info)
    forgetful, _ = trained(tmp_path / "b")
    assert not same_bits(forgetful, undisturbed)


@pytest.mark.parametrize("epoch", [0, 1, 2])
@pytest.mark.parametrize("stops", [(), (1,), (2,), (3,)], ids=str)
def test_the_network_of_the_judged_epoch_is_returned_even_by_a_resumed_training(
    epoch: int, stops: tuple[int, ...], tmp_path: Path
) -> None:
    network, _ = interrupted(tmp_path / "b", *stops, defense=Chosen(epoch))
    wanted = draft(tmp_path / "b").tensors(f"epoch-{epoch:03d}")
    assert all(torch.equal(value, wanted[name]) for name, value in network.state_dict().items())
