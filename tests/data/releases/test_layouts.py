"""Every layout of a protected set gives the same bytes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bench.data.releases import bring
from bench.data.spec import DatasetSpec
from tests.making.brought_sets import (
    CLASSES,
    COUNT,
    LABELS,
    LAYOUTS,
    SIDE,
    clean_npz,
    noise,
    pixels,
    protected,
    write_folder,
)
from tests.making.tiny_data import as_stored, encoded, write_parquet

EVERYTHING = np.arange(COUNT)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_the_same_set(layout: str, tmp_path: Path) -> None:
    found = bring(LAYOUTS[layout](tmp_path), clean_npz(tmp_path))
    assert np.array_equal(as_stored(found.training_set(EVERYTHING)), protected())
    assert found.training_set(EVERYTHING).labels.tolist() == LABELS.tolist()
    assert found.training_set(EVERYTHING).classes == CLASSES
    assert sorted(found.pairing.clean.tolist()) == EVERYTHING.tolist()


def test_the_digest_of_a_set_is_that_of_its_content_in_whatever_file_it_comes(tmp_path: Path) -> None:
    clean = clean_npz(tmp_path)
    some = ("npy int64", "npz images and labels", "pt half", "parquet", "folder")
    digests = {bring(LAYOUTS[layout](tmp_path), clean).training_set(EVERYTHING).sha256 for layout in some}
    assert len(digests) == 1


@pytest.mark.parametrize("scale", [1, 255])
def test_noise_of_each_class_is_added_to_all_of_its_images(scale: int, tmp_path: Path) -> None:
    by_class = noise(count=3)
    np.save(tmp_path / "brought.npy", (by_class / scale).transpose(0, 3, 1, 2))
    found = bring(tmp_path / "brought.npy", clean_npz(tmp_path))
    expected = np.stack([pixels()[row] + by_class[LABELS[row]] for row in range(COUNT)])
    assert np.array_equal(as_stored(found.training_set(EVERYTHING)), expected)
    assert found.release.told[0] == "read as one perturbation for each class, 3x8x8, from brought.npy"


def test_a_grey_perturbation_is_added_to_all_channels(tmp_path: Path) -> None:
    grey = noise()[..., 0]
    np.save(tmp_path / "brought.npy", grey.astype(np.int8))
    found = bring(tmp_path / "brought.npy", clean_npz(tmp_path))
    assert np.array_equal(as_stored(found.training_set(EVERYTHING)), pixels() + grey[..., None])


def test_a_part_of_the_training_set_has_the_protected_copies_of_these_images(tmp_path: Path) -> None:
    found = bring(LAYOUTS["pt half"](tmp_path), clean_npz(tmp_path))
    part = np.array([1, 4, 7, 11])
    assert np.array_equal(as_stored(found.training_set(part)), protected()[part])
    assert found.training_set(part).labels.tolist() == LABELS[part].tolist()


def test_images_that_nobody_protected_stay_clean_and_the_fraction_is_known(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "brought", protected())
    for row in (0, 5):
        (folder / CLASSES[LABELS[row]] / f"{row:02}.png").unlink()
    found = bring(folder, clean_npz(tmp_path))
    expected = protected()
    expected[[0, 5]] = pixels()[[0, 5]]
    assert np.array_equal(as_stored(found.training_set(EVERYTHING)), expected)
    assert found.spent.changed == COUNT - 2


def test_values_are_rounded_to_the_nearest_level_and_clipped(tmp_path: Path) -> None:
    clean = np.full((COUNT, SIDE, SIDE, 3), 100, np.uint8)
    clean[:, 0, 0] = 254
    added = np.full(clean.shape, -0.6)
    added[:, 0, 0] = 2.4
    np.save(tmp_path / "brought.npy", (added / 255).astype(np.float64))
    found = bring(tmp_path / "brought.npy", clean_npz(tmp_path, clean))
    released = as_stored(found.training_set(EVERYTHING))
    assert np.unique(released[:, 0, 0]).tolist() == [255]
    assert np.unique(released[:, 1:]).tolist() == [99]
    assert found.spent.most_off == pytest.approx(0.4)
    assert found.spent.off == pytest.approx(0.4)
    assert found.spent.clipped == COUNT * 3, "256.4 is beyond white"


def test_bytes_are_taken_as_they_are_stored(tmp_path: Path) -> None:
    assert not bring(LAYOUTS["npy uint8"](tmp_path), clean_npz(tmp_path)).spent.floats
    assert bring(LAYOUTS["npy float32 with white at 1"](tmp_path), clean_npz(tmp_path)).spent.most_off < 1e-4


def test_pictures_of_their_own_sizes_are_resized_as_the_clean_ones_are(tmp_path: Path) -> None:
    large = np.random.default_rng(2).integers(8, 248, (COUNT, 20, 20, 3), dtype=np.uint8)
    changed = large + np.uint8(5)
    clean = clean_npz(tmp_path, large, resize=8)
    found = bring(write_folder(tmp_path / "brought", changed), clean)
    assert found.spent.most()["linf_levels"] == 5, "as the files have it, whatever resizing makes of it"
    assert found.training_set(EVERYTHING).images.shape == (COUNT, 3, 8, 8)
    assert not found.resized


def test_a_set_at_the_size_that_networks_see_is_compared_at_that_size(tmp_path: Path) -> None:
    large = np.random.default_rng(2).integers(8, 248, (COUNT, 20, 20, 3), dtype=np.uint8)
    clean = clean_npz(tmp_path, large, resize=8)
    np.save(tmp_path / "brought.npy", noise(size=3).astype(np.int8))
    found = bring(tmp_path / "brought.npy", clean)
    assert found.resized
    assert found.spent.most()["linf_levels"] == 3
    assert found.training_set(EVERYTHING).images.shape == (COUNT, 3, 8, 8)


def test_pictures_of_which_only_some_have_the_size_that_networks_see_are_compared_as_they_are(tmp_path: Path) -> None:
    for place, added in (("clean", 0), ("brought", 5)):
        random = np.random.default_rng(4)
        for number in range(40):  # in each class one of 40 is of another size, which is not the first
            for name in ("a", "b"):
                size = (8, 12) if number == 17 else (8, 8)
                image = random.integers(8, 248, (*size, 3), dtype=np.uint8) + np.uint8(added)
                (tmp_path / place / name).mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(tmp_path / place / name / f"{number:02}.png")
    spec = {"name": "mine", "format": "imagefolder", "train": str(tmp_path / "clean"), "holdout": 0.2, "resize": 8}
    found = bring(tmp_path / "brought", DatasetSpec.parse({**spec, "fit": "squeeze"}))
    assert not found.resized
    assert found.spent.linf.tolist() == [5] * 80
    for path in (tmp_path / "brought").glob("*/17.png"):
        with Image.open(path) as wide:
            small = wide.resize((8, 8), Image.Resampling.BICUBIC)
        small.save(path)
    assert bring(tmp_path / "brought", DatasetSpec.parse({**spec, "fit": "squeeze"})).resized


def test_a_tensor_that_repeats_one_perturbation_takes_no_memory_of_its_own(tmp_path: Path) -> None:
    one = torch.from_numpy(noise(count=1)).to(torch.int8)
    torch.save({"noise": one.expand(COUNT, -1, -1, -1)}, tmp_path / "brought.pt")
    found = bring(tmp_path / "brought.pt", clean_npz(tmp_path))
    assert np.array_equal(as_stored(found.training_set(EVERYTHING)), pixels() + noise(count=1))


def test_a_folder_without_classes_is_paired_by_its_numbers(tmp_path: Path) -> None:
    (tmp_path / "brought").mkdir()
    for row, image in enumerate(protected()):
        Image.fromarray(image).save(tmp_path / "brought" / f"{row}.png")
    found = bring(tmp_path / "brought", clean_npz(tmp_path))
    assert found.pairing.how == "in the same order", "2 stands before 10"
    assert found.on_labels == "none in the file: those of the clean images"
    assert np.array_equal(as_stored(found.training_set(EVERYTHING)), protected())


def test_of_parquet_with_several_splits_the_training_part_is_meant(tmp_path: Path) -> None:
    (tmp_path / "brought" / "data").mkdir(parents=True)
    for split, images in (("train", protected()), ("test", pixels())):
        encoded_images = [encoded(one) for one in images]
        write_parquet(
            tmp_path / "brought" / "data" / f"{split}-00000-of-00001.parquet", encoded_images, LABELS.tolist()
        )
    found = bring(tmp_path / "brought", clean_npz(tmp_path))
    assert len(found.release) == COUNT
    assert np.array_equal(as_stored(found.training_set(EVERYTHING)), protected())


def with_noise_of_each_class(rows: np.ndarray) -> np.ndarray:
    return np.stack([pixels()[row] + rows[LABELS[row]] for row in range(COUNT)])


@pytest.mark.parametrize(
    "told",
    [
        {"labels": np.array([2, 0, 1])},
        {"labels": np.array(["frog", "cat", "dog"])},
        {"classes": np.array(["frog", "cat", "dog"])},
        {"labels": np.array([0, 1, 2]), "classes": np.array(["frog", "cat", "dog"])},
    ],
)
def test_noise_of_each_class_is_that_with_its_label(told: dict[str, np.ndarray], tmp_path: Path) -> None:
    by_class = noise(count=3)
    np.savez(tmp_path / "brought.npz", allow_pickle=False, noise=by_class[[2, 0, 1]].astype(np.int8), **told)
    found = bring(tmp_path / "brought.npz", clean_npz(tmp_path))
    assert np.array_equal(as_stored(found.training_set(EVERYTHING)), with_noise_of_each_class(by_class))
    assert found.on_labels == "those of the clean images: each has the perturbation with its label"


@pytest.mark.parametrize("shape", [(1, 8, 8, 3), (8, 8, 3)])
def test_one_perturbation_is_added_to_all_images(shape: tuple[int, ...], tmp_path: Path) -> None:
    one = noise(count=1)
    np.save(tmp_path / "brought.npy", one.reshape(shape).astype(np.int8))
    found = bring(tmp_path / "brought.npy", clean_npz(tmp_path))
    assert np.array_equal(as_stored(found.training_set(EVERYTHING)), pixels() + one)
    assert found.release.told[0] == "read as one perturbation for all images, 8x8x3, from brought.npy"


@pytest.mark.parametrize(
    "labels",
    [
        LABELS.astype(np.float32),
        np.eye(3)[LABELS],
        np.eye(3, dtype=bool)[LABELS].astype(np.uint8),
        np.array([name.encode() for name in CLASSES])[LABELS],
        LABELS[:, None],
    ],
)
def test_labels_are_read_as_people_write_them(labels: np.ndarray, tmp_path: Path) -> None:
    np.savez(tmp_path / "brought.npz", images=protected(), labels=labels)
    assert bring(tmp_path / "brought.npz", clean_npz(tmp_path)).on_labels == "unchanged"
    wrong = labels.copy()
    wrong[:2] = wrong[1::-1]
    np.savez(tmp_path / "brought.npz", images=protected(), labels=wrong)
    assert bring(tmp_path / "brought.npz", clean_npz(tmp_path)).on_labels.startswith("2 of 12 differ")


def test_class_names_may_be_bytes(tmp_path: Path) -> None:
    other = np.array([b"frog", b"cat", b"dog"])
    labels = np.array([1, 2, 0])[LABELS]
    np.savez(tmp_path / "brought.npz", images=protected(), labels=labels, classes=other)
    assert bring(tmp_path / "brought.npz", clean_npz(tmp_path)).on_labels == "unchanged"


@pytest.mark.parametrize(
    "labels", [LABELS + 0.5, np.full((COUNT, 3), 1 / 3), np.array(["cat"] * COUNT, dtype=object), LABELS[:5]]
)
def test_labels_that_cannot_be_read_are_not_said_to_be_missing(labels: np.ndarray, tmp_path: Path) -> None:
    np.savez(tmp_path / "brought.npz", images=protected(), labels=labels)
    assert bring(tmp_path / "brought.npz", clean_npz(tmp_path)).on_labels == (
        "those of the clean images, as 'labels' is not a whole number or a name for each entry"
    )


@pytest.mark.parametrize(
    "content",
    [
        {"epsilon": torch.tensor(8 / 255), "noise": torch.from_numpy(noise() / 255)},
        {"seed": [2**70, 1], "noise": torch.from_numpy(noise() / 255)},
        {"noise": torch.from_numpy(noise(size=8)).to(torch.float8_e4m3fn)},
        {"noise": torch.from_numpy(noise()), "mask": torch.zeros(3, 3).to_sparse()},
    ],
)
def test_what_else_lies_beside_a_tensor_and_its_own_type_do_no_harm(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "brought.pt")
    found = bring(tmp_path / "brought.pt", clean_npz(tmp_path))
    assert np.array_equal(as_stored(found.training_set(EVERYTHING)), protected())
