"""A data set without test images holds a part of its training images out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.contracts.dataset import DATASETS, Source
from bench.core.errors import NotHere, SepbenchError
from bench.data.holdout import held_out
from bench.data.loading import card, load, published_card, training_positions
from bench.data.spec import DatasetSpec
from tests.making.data_files import WRITERS
from tests.making.tiny_data import complaint, encoded, pixels


def source(labels: list[int]) -> Source:
    names = tuple(f"class {label}" for label in range(max(labels, default=0) + 1))
    return Source(np.array(labels, np.int64), names, lambda positions: iter(()))


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=60).map(lambda labels: labels + labels),
    st.floats(0.01, 0.99),
)
def test_each_class_gives_its_share_and_keeps_an_image(labels: list[int], share: float) -> None:
    kept, held = held_out(source(labels), share, "x")
    assert sorted([*kept, *held]) == list(range(len(labels)))
    assert np.array_equal(kept, np.sort(kept))
    assert np.array_equal(held, np.sort(held))
    for label in set(labels):
        count = labels.count(label)
        given_away = sum(labels[position] == label for position in held)
        assert 1 <= given_away <= count - 1
        assert abs(given_away - share * count) <= 0.5 or given_away in (1, count - 1)


def test_what_is_held_out_is_drawn_and_always_the_same() -> None:
    labels = [0] * 10 + [1] * 10
    _, held = held_out(source(labels), 0.3, "x")
    # Draws of numpy.random.RandomState(0): the three smallest of the first class are 0.383 (9), 0.424 (4) and 0.438
    # (6), of the second 0.020 (16), 0.071 (14) and 0.087 (15).
    assert held.tolist() == [4, 6, 9, 14, 15, 16]


def test_a_class_with_one_image_cannot_give_any_away() -> None:
    with pytest.raises(SepbenchError) as error:
        held_out(source([0, 0, 1, 2]), 0.2, "birds")
    assert str(error.value) == (
        "'birds' has a single image with label 1 (image 2), and so have 1 more: dataset.holdout needs two of each "
        "class, one to train on and one to judge; add images, remove the class, or give test images"
    )


def without_test_images(name: str, folder: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return a tiny data set of that format, of which only the training images are named."""
    return {key: value for key, value in WRITERS[name](folder, patch).items() if key != "test"}


@pytest.mark.parametrize("name", ["imagefolder", "npz", "parquet"])
def test_held_out_images_are_judged_and_not_trained_on(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_ = without_test_images(name, tmp_path / "data", monkeypatch)
    spec = DatasetSpec.parse({**given_, "holdout": 0.4})
    kind = DATASETS.get(spec.format)
    whole, none = kind(kind.Params.model_validate(spec.params)).open()
    assert none is None
    images = np.stack([np.asarray(image.convert("RGB")) for image in whole.read(np.arange(len(whole.labels)))])
    splits = load(spec)
    kept = training_positions(whole, spec)
    held = np.setdiff1d(np.arange(len(images)), kept)
    assert len(held) >= 2
    assert np.array_equal(splits.train.images.numpy(), images[kept].transpose(0, 3, 1, 2))
    assert np.array_equal(splits.test.images.numpy(), images[held].transpose(0, 3, 1, 2))
    assert np.array_equal(splits.test.labels.numpy(), whole.labels[held])
    made = card(spec, tmp_path / "cards")
    assert made.n_test_in_train == 0
    assert made.remarks == ("40 % of the training images are held out as the test set",)


def test_training_positions_leave_out_what_the_limit_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given_ = without_test_images("npz", tmp_path / "data", monkeypatch)
    spec = DatasetSpec.parse({**given_, "holdout": 0.4, "limit": 2})
    kind = DATASETS.get("npz")
    whole, _ = kind(kind.Params.model_validate(spec.params)).open()
    chosen = training_positions(whole, spec)
    assert np.array_equal(load(spec).train.labels.numpy(), whole.labels[chosen])
    assert len(chosen) == 2


@pytest.mark.parametrize("name", ["imagefolder", "npz", "parquet"])
def test_no_test_images_and_nothing_held_out_is_one_sentence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = DatasetSpec.parse(without_test_images(name, tmp_path / "data", monkeypatch))
    assert complaint(load, spec) == (
        f"'{spec.name}' has no test images: say where they are as dataset.test, or hold a part of the training images "
        f"out, as with dataset.holdout=0.2"
    )


def test_two_test_sets_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = DatasetSpec.parse({**WRITERS["npz"](tmp_path / "data", monkeypatch), "holdout": 0.2})
    assert complaint(load, spec).startswith("dataset.holdout makes a test set of training images, and 'npz' has test")


def test_a_copy_of_a_training_image_among_those_held_out_is_counted(tmp_path: Path) -> None:
    for number, pixel in enumerate([*pixels(9), pixels(1)[0]]):
        folder = tmp_path / "pictures" / ("cat" if number in (0, 9) else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.png").write_bytes(encoded(pixel))
    spec = DatasetSpec.parse({"name": "x", "format": "imagefolder", "train": f"{tmp_path}/pictures", "holdout": 0.3})
    # Both cats are one picture, and one of them is held out.
    assert card(spec, tmp_path / "cards").n_test_in_train == 1


def test_no_published_size_is_taken_for_that_of_a_part() -> None:
    spec = DatasetSpec.parse({"name": "cifar10", "format": "npz", "train": "gone", "holdout": 0.2})
    with pytest.raises(NotHere):
        published_card(spec, NotHere("gone"))


def test_where_nothing_is_held_out_all_images_are_trained_on_and_none_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_ = {**WRITERS["npz"](tmp_path / "data", monkeypatch), "test": None}
    splits = load(DatasetSpec.parse({**given_, "holdout": 0.0}))
    assert (len(splits.train), len(splits.test)) == (8, 0)
    assert splits.test.images.shape == (0, 3, 4, 4)
    assert splits.test.classes == splits.train.classes


def test_a_class_of_one_image_matters_only_where_something_is_held_out() -> None:
    positions, held = held_out(source([0, 1, 0]), 0, "birds")
    assert (positions.tolist(), held.tolist()) == ([0, 1, 2], [])
