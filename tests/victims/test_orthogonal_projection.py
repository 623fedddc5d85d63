"""Orthogonal projection against torch's own linear layer and SGD, and NumPy's least squares."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.making.images import seeded
from tests.making.releases import CLASSES, changed, defense, labels, photos


def linear_model(images: Tensor, y: Tensor, seed: int, epochs: int, lr: float, batch_size: int) -> Tensor:
    """Train torch's own linear layer by torch's own SGD, and return its weights, [C, 3HW]."""
    generator = seeded(seed)
    pixels = images[0].numel()
    layer = nn.Linear(pixels, CLASSES, bias=False)
    bound = 1 / np.sqrt(pixels)
    start = torch.rand(CLASSES, pixels, generator=generator)
    layer.weight.data = -bound + 2 * bound * start
    optimizer = torch.optim.SGD(layer.parameters(), lr=lr)
    for _ in range(epochs):
        order = torch.randperm(len(images), generator=generator)
        for first in range(0, len(images), batch_size):
            chosen = order[first : first + batch_size]
            loss = nn.functional.cross_entropy(layer(images[chosen].reshape(len(chosen), -1) / 255), y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return layer.weight.detach()


@pytest.mark.parametrize(
    ("written", "how"),
    [
        ("orthogonal-projection", {"epochs": 20, "lr": 0.1, "batch_size": 128}),
        ("orthogonal-projection:epochs=2,lr=0.01,batch_size=16", {"epochs": 2, "lr": 0.01, "batch_size": 16}),
    ],
)
def test_projected_images_are_what_least_squares_leaves_of_them(written: str, how: dict[str, float]) -> None:
    images, y = photos(50, (8, 8)), labels(50)
    weights = linear_model(images, y, seed=4, **how).double().numpy()  # type: ignore[arg-type]
    flat = images.flatten(1).double().numpy()
    fit, *_ = np.linalg.lstsq(weights.T, flat.T, rcond=None)
    rest = np.clip(flat - (weights.T @ fit).T, 0, 255)
    result = defense(written).dataset(images, y, seeded(4)).flatten(1).numpy()
    # Float sums in another order may move a weight by a trifle.
    assert np.abs(result - rest).max() <= 0.5 + 0.01


def test_a_pattern_for_each_class_is_found_and_removed() -> None:
    """What a linear model reads from the release, none can read from the projection."""
    y = labels(300)
    pattern = torch.randint(-20, 21, (CLASSES, 3, 8, 8), generator=seeded(1))
    images = (torch.randint(100, 156, (300, 3, 8, 8), generator=seeded(2)) + pattern[y]).to(torch.uint8)
    result = defense("orthogonal-projection").dataset(images, y, seeded())

    def separation(some: Tensor) -> float:
        centred = some.flatten(1).double() - some.flatten(1).double().mean(0)
        return float((centred @ (pattern[y].flatten(1).double()).T).diagonal().mean())

    assert separation(images) > 10_000
    assert separation(result) < separation(images) / 4


def test_the_projection_depends_on_its_seed_alone() -> None:
    images = photos(50, (8, 8))
    first, again, other = (changed("orthogonal-projection", images, seed) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_classes_without_an_image_do_no_harm() -> None:
    made = defense("orthogonal-projection")
    made.classes = 20
    result = made.dataset(photos(7, (8, 8)), labels(7), seeded())
    assert result.shape == (7, 3, 8, 8)
