"""Which clean image a protected one belongs to, against looking at every pair."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.data.releases import Brought, bring, pairing
from bench.data.releases.opening import clean_images, open_release
from bench.data.spec import DatasetSpec
from tests.making.brought_sets import CLASSES, COUNT, LABELS, clean_npz, noise, pixels, protected, write_folder
from tests.making.tiny_data import as_stored, complaint

ORDER = np.random.default_rng(5).permutation(COUNT)


def photos(count: int, seed: int = 0) -> np.ndarray:
    """Return images that are alike within a group, uint8 [count, 16, 16, 3]."""
    random = np.random.default_rng(seed)
    group = random.integers(40, 215, (4, 16, 16, 3))
    return (group[np.arange(count) % 4] + random.integers(-30, 31, (count, 16, 16, 3))).astype(np.uint8)


def data(folder: Path, images: np.ndarray, labels: np.ndarray) -> DatasetSpec:
    np.savez(folder / "clean.npz", images=images, labels=labels)
    return DatasetSpec.parse({"name": "pets", "format": "npz", "train": str(folder / "clean.npz")})


def brought(folder: Path, clean: DatasetSpec, **arrays: np.ndarray) -> Brought:
    np.savez(folder / "brought.npz", allow_pickle=False, **arrays)
    return bring(folder / "brought.npz", clean)


def by_brute_force(protected: np.ndarray, clean: np.ndarray) -> list[int]:
    """Return the nearest clean image of each protected one, by the mean square difference of all pixels."""
    return [
        min(range(len(clean)), key=lambda row: float(((clean[row].astype(float) - one) ** 2).mean()))
        for one in protected.astype(float)
    ]


def test_the_same_order_is_found_and_said(tmp_path: Path) -> None:
    assert brought(tmp_path, clean_npz(tmp_path), images=protected()).pairing.how == "in the same order"


@pytest.mark.parametrize("with_labels", [False, True])
def test_a_shuffled_set_is_paired_as_looking_at_every_pair_pairs_it(with_labels: bool, tmp_path: Path) -> None:
    clean = photos(80)
    labels, order = np.arange(80) % 5, np.random.default_rng(1).permutation(80)
    changed = (clean + np.random.default_rng(2).integers(-8, 9, clean.shape))[order].astype(np.uint8)
    own = {"labels": labels[order]} if with_labels else {}
    found = brought(tmp_path, data(tmp_path, clean, labels), images=changed, **own)
    assert found.pairing.clean.tolist() == order.tolist() == by_brute_force(changed, clean)
    assert found.pairing.how == "by distance, the nearest clean image, as the order did not fit"
    assert found.spent.most()["linf_levels"] <= 8


def test_distances_are_held_a_block_at_a_time_and_give_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairing, "_BLOCK", 80 * 3)
    test_a_shuffled_set_is_paired_as_looking_at_every_pair_pairs_it(False, tmp_path)


def test_two_images_that_changed_places_are_put_back(tmp_path: Path) -> None:
    swapped = protected()
    swapped[[3, 9]] = swapped[[9, 3]]
    found = brought(tmp_path, clean_npz(tmp_path), images=swapped)
    expected = np.arange(COUNT)
    expected[[3, 9]] = [9, 3]
    assert found.pairing.clean.tolist() == expected.tolist()
    assert np.array_equal(as_stored(found.training_set(np.arange(COUNT))), protected())


def test_a_shuffled_set_with_labels_keeps_its_labels(tmp_path: Path) -> None:
    found = brought(tmp_path, clean_npz(tmp_path), images=protected()[ORDER], labels=LABELS[ORDER])
    assert found.on_labels == "unchanged"
    assert np.array_equal(as_stored(found.training_set(np.arange(COUNT))), protected())


def test_labels_that_differ_are_counted(tmp_path: Path) -> None:
    wrong = LABELS.copy()
    wrong[:2] = wrong[1::-1]
    found = brought(tmp_path, clean_npz(tmp_path), images=protected(), labels=wrong)
    assert found.on_labels == "2 of 12 differ from the clean ones, with which victims are trained here"
    assert found.training_set(np.arange(COUNT)).labels.tolist() == LABELS.tolist()


def test_classes_of_the_same_names_are_the_same_in_whatever_order(tmp_path: Path) -> None:
    other = ("frog", "cat", "dog")
    labels = np.array([other.index(CLASSES[one]) for one in LABELS])
    found = brought(tmp_path, clean_npz(tmp_path), images=protected(), labels=labels, classes=np.array(other))
    assert found.on_labels == "unchanged"


def test_images_that_are_the_same_twice_are_given_one_protected_image_each(tmp_path: Path) -> None:
    clean = pixels()
    clean[7] = clean[2]
    changed = (clean.astype(int) + np.random.default_rng(3).integers(-3, 4, clean.shape))[ORDER].astype(np.uint8)
    found = brought(tmp_path, clean_npz(tmp_path, clean), images=changed)
    assert sorted(found.pairing.clean.tolist()) == list(range(COUNT))
    assert [min(one, 2) if one == 7 else one for one in found.pairing.clean] == [2 if o == 7 else o for o in ORDER]


def test_a_subset_is_paired_with_its_own_images(tmp_path: Path) -> None:
    part = ORDER[:7]
    found = brought(tmp_path, clean_npz(tmp_path), images=protected()[part])
    assert found.pairing.clean.tolist() == part.tolist()
    assert found.pairing.how == "by distance, the nearest clean image"


def test_strong_changes_in_the_right_order_are_taken_for_what_they_are(tmp_path: Path) -> None:
    clean = np.random.default_rng(4).integers(0, 256, (60, 16, 16, 3), dtype=np.uint8)
    changed = clean.copy()
    changed[:, :4] = 255 - changed[:, :4]  # a stripe: far beyond any budget
    found = brought(tmp_path, data(tmp_path, clean, np.arange(60) % 5), images=changed)
    assert found.pairing.clean.tolist() == list(range(60))
    assert found.pairing.how.startswith("in the same order: 1")
    assert found.pairing.how.endswith("nearest to their own, though changed much")


def test_images_of_something_else_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "brought.npz", images=photos(60, seed=9))
    clean = data(tmp_path, photos(60), np.arange(60) % 5)
    sentence = complaint(bring, tmp_path / "brought.npz", clean)
    assert sentence.startswith("no training image of pets is near to image 0 of 'images' of brought.npz, nor to ")


def folder_of_clean(folder: Path) -> DatasetSpec:
    return DatasetSpec.parse(
        {"name": "pets", "format": "imagefolder", "train": str(write_folder(folder / "clean", pixels()))}
    )


def test_files_of_the_same_name_belong_together_whatever_their_ending(tmp_path: Path) -> None:
    clean = folder_of_clean(tmp_path)
    found = bring(write_folder(tmp_path / "brought", protected(), ".bmp"), clean)
    assert found.pairing.how == "by name"
    expected = np.concatenate([protected()[label == LABELS] for label in range(3)])
    assert np.array_equal(as_stored(found.training_set(np.arange(COUNT))), expected)


def test_a_file_without_a_clean_one_of_its_name_is_named(tmp_path: Path) -> None:
    clean = folder_of_clean(tmp_path)
    folder = write_folder(tmp_path / "brought", protected())
    Image.fromarray(protected()[0]).save(folder / "cat" / "extra.png")
    assert complaint(bring, folder, clean) == (
        f"{folder}/cat/extra.png has no clean image of its name in pets: remove it, or give the clean images that it "
        f"was made from"
    )


def test_names_that_lead_to_the_wrong_image_are_not_trusted(tmp_path: Path) -> None:
    clean = folder_of_clean(tmp_path)
    folder = write_folder(tmp_path / "brought", protected())
    (folder / "cat" / "00.png").rename(folder / "cat" / "x.png")
    (folder / "cat" / "03.png").rename(folder / "cat" / "00.png")
    (folder / "cat" / "x.png").rename(folder / "cat" / "03.png")
    found = bring(folder, clean)
    assert found.pairing.how == "by distance, the nearest clean image, as names did not fit"
    assert found.spent.most()["linf_levels"] == 8


def test_other_names_in_the_same_folders_are_paired_by_distance(tmp_path: Path) -> None:
    clean = folder_of_clean(tmp_path)
    folder = write_folder(tmp_path / "brought", protected())
    for number, path in enumerate(sorted(folder.rglob("*.png"), reverse=True)):
        path.rename(path.with_name(f"new-{number}.png"))
    assert bring(folder, clean).spent.most()["linf_levels"] == 8


def test_labels_of_which_there_are_more_than_of_clean_images_are_counted_as_different(tmp_path: Path) -> None:
    labels = np.zeros(COUNT, np.int64)
    found = brought(tmp_path, clean_npz(tmp_path), images=protected()[ORDER], labels=labels)
    assert found.pairing.clean.tolist() == ORDER.tolist()
    assert found.on_labels == "8 of 12 differ from the clean ones, with which victims are trained here"


def test_labels_that_changed_places_mislead_nobody_about_what_a_shuffled_image_was_made_from(tmp_path: Path) -> None:
    wrong = LABELS.copy()
    wrong[[0, 1]] = wrong[[1, 0]]
    found = brought(tmp_path, clean_npz(tmp_path), images=protected()[ORDER], labels=wrong[ORDER])
    assert found.pairing.clean.tolist() == ORDER.tolist()
    assert found.spent.most()["linf_levels"] == 8
    assert found.on_labels == "2 of 12 differ from the clean ones, with which victims are trained here"


def test_more_protected_images_than_clean_ones_are_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "brought", protected())
    Image.fromarray(protected()[0]).save(folder / "cat" / "extra.png")
    assert f"{folder} holds 13 images, and pets has 12 training images" in complaint(bring, folder, clean_npz(tmp_path))


def pale(folder: Path) -> tuple[np.ndarray, np.ndarray, DatasetSpec]:
    """Return 80 images of which no two differ by 30 levels anywhere, protected ones, and their data set."""
    random = np.random.default_rng(0)
    clean = random.integers(101, 131, (80, 16, 16, 3), dtype=np.uint8)
    added: np.ndarray = random.integers(-4, 5, clean.shape)
    return clean, (clean + added).astype(np.uint8), data(folder, clean, np.arange(80) % 5)


def test_a_shuffled_set_of_images_that_are_all_much_alike_is_not_in_the_same_order(tmp_path: Path) -> None:
    clean, changed, spec = pale(tmp_path)
    order = np.random.default_rng(1).permutation(80)
    found = brought(tmp_path, spec, images=changed[order])
    assert found.pairing.clean.tolist() == order.tolist() == by_brute_force(changed[order], clean)
    assert found.spent.most()["linf_levels"] == 4


def test_of_images_that_are_all_much_alike_two_that_changed_places_are_put_back(tmp_path: Path) -> None:
    _, changed, spec = pale(tmp_path)
    changed[[3, 9]] = changed[[9, 3]]
    assert brought(tmp_path, spec, images=changed).spent.most()["linf_levels"] == 4


def test_images_that_are_all_much_alike_are_in_the_same_order_where_they_are(tmp_path: Path) -> None:
    clean, _, spec = pale(tmp_path)
    changed = clean + np.random.default_rng(2).integers(-8, 9, clean.shape)
    assert brought(tmp_path, spec, images=changed.astype(np.uint8)).pairing.how == "in the same order"


def copies() -> tuple[np.ndarray, np.ndarray]:
    """Return clean images of which seven are one picture, of all three classes, and protected ones in another order."""
    clean = pixels()
    clean[:7] = clean[0]
    changed: np.ndarray = (clean.astype(int) + np.random.default_rng(3).integers(-3, 4, clean.shape))[ORDER]
    return clean, changed.astype(np.uint8)


def test_of_copies_in_several_classes_labels_tell_which_is_meant(tmp_path: Path) -> None:
    clean, changed = copies()
    found = brought(tmp_path, clean_npz(tmp_path, clean), images=changed, labels=LABELS[ORDER])
    assert LABELS[found.pairing.clean].tolist() == LABELS[ORDER].tolist()
    assert found.pairing.how == "by distance, the nearest clean image, as the order did not fit"
    assert found.on_labels == "unchanged"


def test_copies_in_several_classes_are_not_told_apart_without_labels_and_that_is_said(tmp_path: Path) -> None:
    clean, changed = copies()
    found = brought(tmp_path, clean_npz(tmp_path, clean), images=changed)
    assert sorted(found.pairing.clean.tolist()) == list(range(COUNT))
    assert found.pairing.how.endswith(", 7 of them not clearly")


def test_what_is_left_when_candidates_run_out_is_assigned_at_the_least_distance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairing, "_CANDIDATES", 1)

    def flat(*levels: int) -> np.ndarray:
        return np.broadcast_to(np.array(levels, np.uint8)[:, None, None, None], (len(levels), 8, 8, 3)).copy()

    clean = flat(*(20 * row for row in range(COUNT)))  # 0, 20, 40, ..., 220
    brought = clean.copy()
    brought[[0, 2, 4]] = flat(21, 22, 23)  # which is nearest to image 1, as image 1 itself is
    split = clean_images(clean_npz(tmp_path, clean))
    np.savez(tmp_path / "brought.npz", images=brought)
    release = open_release(tmp_path / "brought.npz", split)
    found, _, _ = pairing._nearest(
        pairing._features(release), pairing._clean_features(split), None, split.source.labels
    )
    # Squares of distances from 0, 40 and 80: 441 + 18**2 + 57**2 is the least of the six ways to assign them.
    assert found.tolist() == list(range(COUNT))


def test_perturbations_whose_labels_tell_of_another_order_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "brought.npz", noise=noise().astype(np.int8), labels=LABELS[ORDER])
    sentence = complaint(bring, tmp_path / "brought.npz", clean_npz(tmp_path))
    assert "labels in another order than the training images of pets" in sentence
