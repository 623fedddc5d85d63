"""The batches of an epoch: every image once, and never one alone where another batch would take it."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.contracts.defense import Defense, Defenses
from bench.contracts.method import CraftData
from bench.contracts.network import build_network
from bench.core.errors import SepbenchError
from bench.engine.batches import batches, joins
from bench.engine.ensemble import class_means
from bench.engine.training import Labelled, batch_shape, train
from bench.store.artifacts import Store
from tests.making.images import noise
from tests.making.networks import CPU
from tests.making.trainings import Recorder, recipe, trained

WITHOUT_ROOM = ["vgg16", "vgg7"]
"""Networks whose last maps are a single position at 8 or 16 pixels."""


def learned(architecture: str, images: int, batch: int, folder: Path, *defenses: Defense, side: int = 16) -> Recorder:
    """Train for an epoch and return what was shown."""
    recorder = Recorder()
    data = Labelled(noise(images, side=side), torch.arange(images) % 3, classes=3)
    train(
        lambda x: build_network(architecture, 3, x, normalise=True, seed=0, device=CPU),
        data,
        data,
        recipe(epochs=1, batch_size=batch),
        Defenses([*defenses, recorder]),
        0,
        draft=Store(folder).draft("victim", "a" * 64),
    )
    return recorder


@settings(derandomize=True, deadline=None)
@given(count=st.integers(1, 70), size=st.integers(1, 40))
def test_every_image_is_in_one_batch_and_none_is_alone_that_need_not_be(count: int, size: int) -> None:
    parts = batches(count, size)
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(count))
    sizes = [part.stop - part.start for part in parts]
    assert all(a == b for a, b in pairwise(sizes[:-1]))
    if size > 1 and count > 1:
        assert min(sizes) > 1
    usual = [size] * (count // size) + ([count % size] if count % size else [])
    assert (sizes == usual) is not joins(count, size)
    assert max(sizes) <= size + joins(count, size)


def test_the_last_image_joins_the_batch_before(tmp_path: Path) -> None:
    recorder = Recorder()
    trained(tmp_path, recipe(batch_size=7), defense=recorder)
    assert [len(y) for _, y in recorder.batches] == [7, 7, 7, 7, 7, 7, 8] * 3
    assert recorder.rates == [recipe(batch_size=7).rate(step, 7) for step in range(21)]


@pytest.mark.parametrize("architecture", WITHOUT_ROOM)
def test_a_network_without_room_learns_from_one_image_more_than_whole_batches(
    architecture: str, tmp_path: Path
) -> None:
    shown = learned(architecture, 9, 4, tmp_path, side=16 if architecture == "vgg16" else 8)
    assert [len(y) for _, y in shown.batches] == [4, 5]


@pytest.mark.parametrize(("images", "batch"), [(3, 1), (1, 4)])
def test_batches_of_one_image_that_a_network_cannot_learn_from_are_refused(
    images: int, batch: int, tmp_path: Path
) -> None:
    with pytest.raises(SepbenchError) as caught:
        learned("vgg16", images, batch, tmp_path)
    assert str(caught.value) == (
        "a batch of one image leaves a batch norm of this network a single value, which has no variance: train on more "
        "images, in batches of two or more (recipe.batch_size)"
    )


@pytest.mark.parametrize("defense", ["adversarial-training:steps=1", "ueraser-max", "coin", "cutmix"])
def test_the_passes_of_defenses_are_of_the_same_batches(defense: str, tmp_path: Path) -> None:
    with pytest.raises(SepbenchError, match="a batch of one image"):
        learned("vgg16", 3, 1, tmp_path / "single", *Defenses.parse(defense).chain)
    shown = learned("vgg16", 5, 2, tmp_path / "joined", *Defenses.parse(defense).chain)
    assert [len(y) for _, y in shown.batches] == [2, 3]


def test_networks_with_room_learn_from_single_images(tmp_path: Path) -> None:
    assert len(learned("resnet8", 3, 1, tmp_path).batches) == 3


def test_another_mistake_in_a_loss_is_not_taken_for_a_batch_of_one(tmp_path: Path) -> None:
    class Wrong(Defense):
        name = "wrong"

        def loss(self, loss: object, epoch: int) -> object:  # type: ignore[override]
            raise ValueError("the classes are three")

    with pytest.raises(ValueError, match="the classes are three"):
        learned("resnet8", 4, 2, tmp_path, Wrong())


def test_what_is_compiled_for_is_the_first_batch() -> None:
    data = Labelled(noise(9, side=8), torch.zeros(9, dtype=torch.int64), classes=3)
    assert batch_shape(data, recipe(batch_size=4)) == (4, 3, 8, 8)
    assert batch_shape(data, recipe(batch_size=8)) == (9, 3, 8, 8)
    assert batch_shape(data, recipe(batch_size=20)) == (9, 3, 8, 8)


def test_means_in_train_mode_of_a_single_image_are_refused_where_it_cannot_be_normalised() -> None:
    network = build_network("vgg16", 3, noise(1, side=16), normalise=True, seed=0, device=CPU).train()
    part = CraftData(noise(1, side=16).float() / 255, torch.zeros(1, dtype=torch.int64), 3, torch.zeros(1).long())
    with pytest.raises(SepbenchError, match="take the means in eval mode, or of another number of images"):
        class_means(network, [part])
