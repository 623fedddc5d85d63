"""Views of contrastive strength against torchvision, one image at a time, and AAP against a loop over images."""

from copy import deepcopy
from typing import Any

import pytest
import torch
import torchvision.transforms.v2.functional as tv
from torch import Tensor

from bench.contracts.budget import Budget
from bench.contracts.context import CraftContext
from bench.contracts.method import METHODS, CraftData
from bench.engine.recipe import Recipe
from methods._contrastive_views import ContrastiveDraws, ContrastiveViews, contrastive, draw_contrastive
from tests.making.images import noise, seeded
from tests.making.networks import CPU, checkpoints
from tests.making.slow_views import within

SIDE, COUNT = 12, 6
IMAGES, LABELS = noise(COUNT, SIDE).double() / 255, torch.tensor([0, 4, 9, 1, 4, 0])
NETWORK = checkpoints(1)[0]


def seen_slowly(image: Tensor, drawn: ContrastiveDraws) -> Tensor:
    """Return what is seen of one image: its window pixel by pixel, its colours by torchvision."""
    window = drawn.window
    assert window.height is not None
    assert window.width is not None
    top, left, height, width = (int(one) for one in (window.top, window.left, window.height, window.width))
    matrix = torch.zeros(SIDE * SIDE, SIDE * SIDE, dtype=torch.float64)
    for row in range(SIDE):
        for column in range(SIDE):
            across = SIDE - 1 - column if bool(window.flip) else column
            for i, of_row in bilinear(row, top, height):
                for j, of_column in bilinear(across, left, width):
                    matrix[row * SIDE + column, i * SIDE + j] += of_row * of_column
    seen = (image.flatten(1) @ matrix.T).view_as(image)
    brightness, contrast, saturation, hue = drawn.amount.double().tolist()
    changes = [
        lambda x: tv.adjust_brightness(x, brightness),
        lambda x: tv.adjust_contrast(x, contrast),
        lambda x: tv.adjust_saturation(x, saturation),
        lambda x: tv.adjust_hue(x, hue),
    ]
    for kind in drawn.order.tolist():
        seen = seen if kind < 0 else changes[kind](seen)
    return tv.rgb_to_grayscale(seen, num_output_channels=3) if bool(drawn.grey) else seen


def bilinear(pixel: int, start: int, length: int) -> list[tuple[int, float]]:
    """Return the pixels, and their weights, that a pixel of a window resized to the whole side is made of."""
    inside = min(max((pixel + 0.5) * length / SIDE - 0.5, 0.0), length - 1.0)
    low = int(inside)
    return [(start + low, 1 - (inside - low)), (start + min(low + 1, length - 1), inside - low)]


def drawn_for(count: int, strength: float = 1.0, seed: int = 0) -> ContrastiveDraws:
    return draw_contrastive(count, strength, seeded(seed), (SIDE, SIDE))


def test_a_view_is_what_torchvision_makes_of_one_image_at_a_time() -> None:
    images, drawn = noise(60, SIDE).double() / 255, drawn_for(60)
    assert len({tuple(order) for order in drawn.order.tolist()}) > 15
    assert bool(drawn.grey.any())
    assert not bool(drawn.grey.all())
    slow = torch.stack([seen_slowly(image, drawn[torch.tensor(index)]) for index, image in enumerate(images)])
    torch.testing.assert_close(contrastive(images, drawn), slow, rtol=0, atol=1e-5)  # windows lie at float32


def test_gradients_of_a_view_are_finite_differences() -> None:
    images = (0.3 + 0.4 * torch.rand(8, 3, 5, 5, generator=seeded(3), dtype=torch.float64)).requires_grad_()
    drawn = draw_contrastive(8, 0.5, seeded(4), (5, 5))  # weak enough that nothing is clipped, which has no gradient
    assert bool((drawn.order >= 0).any())
    assert bool(drawn.grey.any())
    assert torch.autograd.gradcheck(lambda x: contrastive(x, drawn), images, eps=1e-7, atol=1e-5, fast_mode=True)


def test_grey_images_have_gradients_and_stay_grey() -> None:
    images = torch.full((40, 3, SIDE, SIDE), 0.5, dtype=torch.float64, requires_grad=True)
    seen = contrastive(images, drawn_for(40))
    (gradient,) = torch.autograd.grad(seen.sum(), images)
    assert bool(gradient.isfinite().all())
    torch.testing.assert_close(seen.amax(1), seen.amin(1), rtol=0, atol=1e-9)


@pytest.mark.parametrize("strength", [0.2, 0.4, 1.0])
def test_draws_are_as_strong_and_as_frequent_as_published(strength: float) -> None:
    drawn = draw_contrastive(20_000, strength, seeded(), (32, 32))
    jittered = drawn.order[:, 0] >= 0
    assert float(jittered.double().mean()) == pytest.approx(min(0.99, 0.8 * strength), abs=0.015)
    assert float(drawn.grey.double().mean()) == pytest.approx(0.2 * strength, abs=0.015)
    assert float(drawn.window.flip.double().mean()) == pytest.approx(0.5, abs=0.015)
    middle, reach = torch.tensor([1.0, 1.0, 1.0, 0.0]), strength * torch.tensor([0.4, 0.4, 0.4, 0.1])
    torch.testing.assert_close(drawn.amount.amin(0), middle - reach, rtol=0, atol=1e-3)
    torch.testing.assert_close(drawn.amount.amax(0), middle + reach, rtol=0, atol=1e-3)
    orders = drawn.order[jittered]
    assert bool((orders.sort(1).values == torch.arange(4)).all())
    assert len(orders.unique(dim=0)) == 24
    window = drawn.window
    assert window.height is not None
    assert window.width is not None
    share = float((window.height * window.width).min()) / 32**2
    assert share == pytest.approx(max(1 - 0.9 * strength, 0.05), abs=0.05)  # sides are whole pixels


def test_what_an_image_is_shown_as_depends_on_no_other_image() -> None:
    ctx = CraftContext([], seed=0, device=CPU, images=COUNT)
    whole = CraftData(IMAGES, LABELS, 10, torch.arange(COUNT))
    part = CraftData(IMAGES[2:4], LABELS[2:4], 10, torch.arange(2, 4))
    views = ContrastiveViews(1.0)
    seen = views(whole, ctx, 0, 3)(whole.x)
    torch.testing.assert_close(views(part, ctx, 0, 3)(part.x), seen[2:4], rtol=0, atol=1e-12)
    assert not torch.allclose(views(whole, ctx, 0, 4)(whole.x), seen)


def crafted(name: str, budget: str, part: slice = slice(None), **params: Any) -> Tensor:
    method = METHODS.get(name)(METHODS.get(name).Params.model_validate(params))
    data = CraftData(IMAGES[part], LABELS[part], 10, torch.arange(COUNT)[part])
    ctx = CraftContext([[deepcopy(NETWORK)]], seed=0, device=CPU, images=COUNT)
    method.prepare(lambda: iter([data]), ctx)
    return method.craft(data, Budget.parse(budget), ctx)


@pytest.mark.parametrize("budget", ["linf-8", "l2-1.0"])
@pytest.mark.parametrize(("name", "strength"), [("aap", 1.0), ("aap", 0.0), ("aap-untargeted", 1.0)])
def test_aap_follows_the_published_loop(name: str, strength: float, budget: str) -> None:
    ctx, within_it, steps = CraftContext([], seed=0, device=CPU), Budget.parse(budget), 5
    slow = []
    for index, label in enumerate(LABELS.tolist()):
        moved = IMAGES[index]
        for step in range(steps):
            drawn = draw_contrastive(COUNT, strength, ctx.generator("augment", 0, step), (SIDE, SIDE))
            x = moved.clone().requires_grad_()
            logits = NETWORK(contrastive(x[None], drawn[index : index + 1]) if strength else x[None])[0]
            own = logits.logsumexp(0) - logits[label]
            loss = logits.logsumexp(0) - logits[(label + 1) % 10] if name == "aap" else -own
            (gradient,) = torch.autograd.grad(loss, x)
            direction = gradient.sign() if within_it.norm == "linf" else gradient / gradient.norm()
            moved = within(IMAGES[index], moved - 2.5 * within_it.radius / steps * direction, within_it)
        slow.append(moved)
    torch.testing.assert_close(
        crafted(name, budget, steps=steps, strength=strength), torch.stack(slow), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("name", ["aap", "aap-untargeted"])
def test_an_image_is_moved_alike_whatever_shard_it_is_in(name: str) -> None:
    whole = crafted(name, "linf-8", steps=3, strength=1.0)
    alone = crafted(name, "linf-8", slice(1, 2), steps=3, strength=1.0)
    torch.testing.assert_close(alone, whole[1:2], rtol=0, atol=1e-9)


@pytest.mark.parametrize(("name", "rises"), [("aap", False), ("aap-untargeted", True)])
def test_the_loss_seen_through_new_views_moves_as_it_is_meant_to(name: str, rises: bool) -> None:
    labels = LABELS if rises else (LABELS + 1) % 10
    losses = []
    for images in (IMAGES, crafted(name, "linf-8", steps=60)):
        drawn = [draw_contrastive(COUNT, 0.4, seeded(1000 + one), (SIDE, SIDE)) for one in range(40)]
        with torch.no_grad():
            logits = torch.stack([NETWORK(contrastive(images, one)) for one in drawn])
        losses.append(-logits.log_softmax(2)[:, torch.arange(COUNT), labels].mean(0))
    assert bool(((losses[1] > losses[0]) == rises).all())


def test_the_network_is_trained_as_published_but_for_the_colours() -> None:
    for strength, seen in (
        (0.4, {"crop_padding": 0, "resized_crop": 0.64, "flip": True}),
        (0.8, {"crop_padding": 0, "resized_crop": 0.28, "flip": True}),
        (0.0, {"crop_padding": 0, "resized_crop": None, "flip": False}),
    ):
        params = METHODS.get("aap").Params.model_validate({"surrogate_strength": strength})
        (need,) = METHODS.get("aap")(params).needs()
        assert need.recipe["augmentation"] == seen
        assert (need.recipe["epochs"], need.recipe["lr"], need.recipe["warmup_epochs"]) == (40, 0.5, 10)
    assert METHODS.get("aap-untargeted")().passes() == 250


@pytest.mark.parametrize("name", ["sep-2023", "cpu-small"])
@pytest.mark.parametrize(
    ("epoch", "rate"),
    [(0, 0.05), (5, 0.3), (9, 0.5), (10, 0.5), (11, 0.49863), (20, 0.375), (30, 0.125), (39, 0.00137)],
)
def test_its_network_warms_up_for_ten_epochs_and_then_anneals_over_thirty(name: str, epoch: int, rate: float) -> None:
    """Set once an epoch: 0.5 (e + 1) / 10, then 0.25 (1 + cos(pi (e - 10) / 30)), down to 1e-6."""
    (need,) = METHODS.get("aap")().needs()
    recipe = Recipe.model_validate(name).changed(need.recipe)
    assert {recipe.rate(4 * epoch + batch, 4) for batch in range(4)} == {recipe.rate(4 * epoch, 4)}
    assert recipe.rate(4 * epoch, 4) == pytest.approx(rate, rel=1e-3)
