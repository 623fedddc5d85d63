"""Arrays and tensors: what sepbench makes of them, and that they come back as they went in."""

from typing import Any

import numpy as np
import pytest
import torch

from bench.flows.in_memory import read_images, read_labels
from tests.making.tiny_data import complaint

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 5, 6, 3), dtype=np.uint8)
GREY = PIXELS[..., 0]


def channels_first(images: np.ndarray) -> np.ndarray:
    return images.transpose(0, 3, 1, 2)


@pytest.mark.parametrize(
    ("images", "pixels"),
    [
        (PIXELS, PIXELS),
        (channels_first(PIXELS), PIXELS),
        (GREY, GREY),
        (GREY[..., None], GREY),
        (GREY[:, None], GREY),
        (torch.from_numpy(PIXELS), PIXELS),
        (torch.from_numpy(channels_first(PIXELS).copy()), PIXELS),
        ((PIXELS / 255).astype(np.float32), PIXELS),
        (channels_first(PIXELS) / 255, PIXELS),
        ((PIXELS / 255).astype(np.float16), PIXELS),
        (torch.from_numpy(GREY / 255), GREY),
        (PIXELS.tolist(), None),
        ([*PIXELS], PIXELS),
    ],
    ids=[
        *("[N, H, W, 3]", "[N, 3, H, W]", "[N, H, W]", "[N, H, W, 1]", "[N, 1, H, W]", "tensor", "tensor [N, 3, H, W]"),
        *("float32", "float64 [N, 3, H, W]", "float16", "grey float tensor", "nested lists", "a list of arrays"),
    ],
)
def test_images_are_read_as_bytes_and_come_back_as_they_went_in(images: Any, pixels: np.ndarray | None) -> None:
    if pixels is None:  # whole numbers that Python holds have no width: nobody can tell bytes from more
        assert "dtype int64" in complaint(read_images, images)
        return
    read, form = read_images(images)
    np.testing.assert_array_equal(read, pixels)
    assert read.dtype == np.uint8
    back = form.give_back(read)
    if isinstance(images, list):
        images = np.stack(images)
    assert type(back) is type(images)
    assert back.dtype == images.dtype
    assert back.shape == images.shape
    assert (back == images).all()


def test_floats_between_two_levels_go_to_the_nearest() -> None:
    read, form = read_images(np.array([[[0.499 / 255, 0.501 / 255]]]))
    assert read.tolist() == [[[0, 1]]]
    assert form.give_back(read).tolist() == [[[0.0, 1 / 255]]]


def test_a_tensor_that_learns_comes_back_as_one_that_does_not() -> None:
    images = torch.rand(2, 3, 4, 4, requires_grad=True)
    read, form = read_images(images)
    back = form.give_back(read)
    assert not back.requires_grad
    assert torch.allclose(back, images, atol=0.5 / 255 + 1e-6)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (PIXELS[0], "for one image write images[None]"),
        (PIXELS[0, :, :, 0], "for one image write images[None]"),
        (np.zeros((2, 5, 6, 2), np.uint8), "images must be [N, H, W, 3], [N, 3, H, W], or grey [N, H, W]"),
        (np.zeros((2, 5, 6, 4), np.uint8), "leave alpha out, as in images[..., :3]"),
        (np.zeros((2, 4, 5, 6), np.uint8), "leave alpha out, as in images[:, :3]"),
        (np.zeros((0, 5, 6, 3), np.uint8), "images is empty"),
        (PIXELS.astype(np.int64), "make it images.astype('uint8')"),
        (PIXELS.astype(np.int64) - 200, "images must be uint8, or floats in [0, 1]"),
        (PIXELS.astype(np.float32), "divide by 255, or make it uint8"),
        (PIXELS / 127.5 - 1, "undo a normalisation"),
        (np.full((1, 4, 4, 3), np.nan), "values that are no numbers"),
        (np.zeros((1, 4, 4, 3), bool), "dtype bool"),
        ([PIXELS[0], PIXELS[0, :3]], "cannot be made one array: give images of one size"),
        ([PIXELS[:1], PIXELS[:1, :3]], "cannot be made one array: give images of one size"),
        ("pictures", "has shape ()"),
        (None, "has shape ()"),
        (torch.zeros(1, 3, 4, 4, dtype=torch.bfloat16), "dtype torch.bfloat16"),
    ],
)
def test_what_is_no_set_of_images_is_refused_in_one_sentence(images: Any, said: str) -> None:
    assert said in complaint(read_images, images)


def test_the_sentence_calls_an_argument_by_its_name() -> None:
    assert complaint(read_images, PIXELS.astype(np.float32), "protected").startswith("protected has values from 0")


@pytest.mark.parametrize(
    ("labels", "read"),
    [
        ([3, 7, 3], [3, 7, 3]),
        (np.array([[1], [0], [1]], np.uint8), [1, 0, 1]),
        (torch.tensor([2, 0, 1]), [2, 0, 1]),
        (["cat", "owl", "cat"], ["cat", "owl", "cat"]),
        (np.array(["cat", "owl", "cat"], object), ["cat", "owl", "cat"]),
    ],
)
def test_labels_are_whole_numbers_or_names(labels: Any, read: list[Any]) -> None:
    assert read_labels(labels, 3).tolist() == read


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([0, 1], "labels has 2 labels for 3 images"),
        (np.eye(3), "give one label an image, [N], such as labels.argmax(1)"),
        ([0.5, 1.0, 2.0], "labels has dtype float64"),
        (np.array(["cat", None, "owl"], object), "labels has dtype object"),
        (None, "labels has dtype object and shape ()"),
        ([[0], [0, 1]], "labels has dtype object"),
    ],
)
def test_what_is_no_label_for_each_image_is_refused_in_one_sentence(labels: Any, said: str) -> None:
    assert said in complaint(read_labels, labels, 3)
