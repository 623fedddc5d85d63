"""Entangled features against loops over one image, one class and one step, in double precision."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.contracts.budget import Budget
from bench.contracts.context import CraftContext
from bench.contracts.method import METHODS, CraftData
from bench.core.errors import SepbenchError
from methods._pgd import ShiftsAndFlips
from tests.making.images import noise
from tests.making.networks import CPU, checkpoints
from tests.making.slow_views import scale, seen_from, within

SIDE, COUNT, CLASSES = 12, 6, 4
IMAGES, LABELS = noise(COUNT, SIDE).double() / 255, torch.tensor([0, 2, 0, 1, 2, 2])  # and none of class 3
NETWORK = checkpoints(1)[0]


def context() -> CraftContext:
    return CraftContext([[deepcopy(NETWORK)]], seed=0, device=CPU, images=COUNT)


def crafted(name: str, budget: str, part: slice = slice(None), labels: Tensor = LABELS, **params: Any) -> Tensor:
    method = METHODS.get(name)(METHODS.get(name).Params.model_validate(params))
    data = CraftData(IMAGES, labels, CLASSES, torch.arange(COUNT))
    ctx = context()
    method.prepare(lambda: iter([data]), ctx)
    shard = CraftData(IMAGES[part], labels[part], CLASSES, torch.arange(COUNT)[part])
    return method.craft(shard, Budget.parse(budget), ctx)


def means() -> dict[int, Tensor]:
    """Return the mean clean features of each class that there is."""
    with torch.no_grad():
        features = [NETWORK.features(image[None])[0] for image in IMAGES]
    found = {}
    for label in set(LABELS.tolist()):
        own = [one for one, of in zip(features, LABELS.tolist(), strict=True) if of == label]
        found[label] = sum(own[1:], own[0]) / len(own)
    return found


def slowly(name: str, budget: Budget, steps: int) -> tuple[Tensor, list[list[int]]]:
    """Return the images, and which class's features each was moved from or to at each step."""
    ctx, of_class = context(), means()
    colour = NETWORK.mean[0, :, 0]
    finished, chosen = [], []
    for index, label in enumerate(LABELS.tolist()):
        clean = IMAGES[index]
        drawn = torch.randn(3, SIDE, SIDE, generator=ctx.generator("start", 0, index)).double()
        moved = within(clean, clean + drawn * scale(budget, clean.numel()), budget)
        anchors = []
        for step in range(steps):
            view = torch.rand(COUNT, 3, generator=ctx.generator("augment", 0, step))[index]
            x = moved.clone().requires_grad_()
            seen = ((x.flatten(1) - colour) @ seen_from(view, SIDE).T + colour).view_as(clean)
            features = NETWORK.features(seen[None])[0]
            distances = {one: ((features - mean) ** 2).mean() for one, mean in of_class.items()}
            others = {one: float(distance.detach()) for one, distance in distances.items() if one != label}
            anchor = label if name == "entf-push" else min(others, key=lambda one: others[one])
            anchors.append(anchor)
            (gradient,) = torch.autograd.grad(distances[anchor], x)
            if name == "entf-push":
                gradient = -gradient
            direction = gradient.sign() if budget.norm == "linf" else gradient / gradient.norm()
            moved = within(clean, moved - 0.05 * budget.radius * direction, budget)
        finished.append(moved)
        chosen.append(anchors)
    return torch.stack(finished), chosen


@pytest.mark.parametrize("budget", ["linf-8", "l2-1.0"])
@pytest.mark.parametrize("name", ["entf-push", "entf-pull"])
def test_features_are_entangled_by_the_published_loop(name: str, budget: str) -> None:
    slow, _ = slowly(name, Budget.parse(budget), steps=3)
    torch.testing.assert_close(crafted(name, budget, steps=3), slow, rtol=0, atol=1e-7)


def test_the_nearest_other_class_is_chosen_anew_at_every_step() -> None:
    slow, chosen = slowly("entf-pull", Budget.parse("linf-64"), steps=8)
    assert any(len(set(anchors)) > 1 for anchors in chosen)  # otherwise the next line would hold for one choice, too
    torch.testing.assert_close(crafted("entf-pull", "linf-64", steps=8), slow, rtol=0, atol=1e-7)


def test_an_image_is_pulled_to_another_class_however_far_that_is() -> None:
    method = METHODS.get("entf-pull")()
    far = [{0: 0.0, 1: 1e3, 2: 2e3}[label] for label in LABELS.tolist()]
    data = CraftData(IMAGES, LABELS, CLASSES, torch.arange(COUNT))
    method.prepare(lambda: iter([data]), context())
    loss = method.ensemble.loss  # type: ignore[attr-defined]
    loss.means = torch.zeros_like(loss.means) + torch.tensor([0.0, 1e3, 2e3, 0.0])[:, None]
    features = NETWORK.features(IMAGES).detach()
    away = {0.0: 1e3, 1e3: 0.0, 2e3: 0.0}  # the class without images, at zero too, is no target, nor is the own one
    expected = sum(float(((one - away[own]) ** 2).mean()) for one, own in zip(features, far, strict=True))
    with torch.no_grad():
        found = float(loss(0, NETWORK, IMAGES, LABELS))
    assert found == pytest.approx(expected)


def distances(images: Tensor) -> Tensor:
    """Return the mean over random views of the distance of each image's features to those of each class, [N, 3]."""
    data, views = CraftData(images, LABELS, CLASSES, torch.arange(COUNT)), ShiftsAndFlips(NETWORK.mean[0])
    anchors = torch.stack([mean for _, mean in sorted(means().items())])
    with torch.no_grad():
        features = [NETWORK.features(views(data, context(), 1, step)(images)) for step in range(50)]
    return torch.stack([(one[:, None] - anchors).square().mean(2) for one in features]).mean(0)


def test_pushed_features_leave_their_class_and_pulled_ones_near_another() -> None:
    own = LABELS[:, None]
    pushed, pulled = (distances(crafted(name, "linf-8", steps=40)) for name in ("entf-push", "entf-pull"))
    before = distances(IMAGES)
    assert bool((pushed.gather(1, own) > before.gather(1, own)).all())
    others = [one.scatter(1, own, torch.inf).amin(1) for one in (pulled, before)]
    assert bool((others[0] < others[1]).all())


@pytest.mark.parametrize("name", ["entf-push", "entf-pull"])
def test_an_image_is_moved_alike_whatever_shard_it_is_in(name: str) -> None:
    whole = crafted(name, "linf-8", steps=2)
    torch.testing.assert_close(crafted(name, "linf-8", slice(1, 2), steps=2), whole[1:2], rtol=0, atol=1e-9)


def test_one_class_has_nothing_to_be_pulled_to() -> None:
    with pytest.raises(SepbenchError, match="only one class is to be protected: protect images of at least two"):
        crafted("entf-pull", "linf-8", labels=torch.zeros_like(LABELS), steps=1)


def test_the_network_is_trained_adversarially_as_published() -> None:
    for name in ("entf-push", "entf-pull"):
        (need,) = METHODS.get(name)().needs()
        assert need.defense == "adversarial-training:radius=4,step_size=2.0,steps=10"
        assert (need.recipe["epochs"], need.recipe["normalise"], need.placement) == (100, False, "last")
        assert METHODS.get(name)().passes() == 300
