"""UEraser trains on the worst of a few strong augmentations of each image, in the epochs that its variant says."""

from collections import Counter
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.contracts.defense import (
    DEFENSES,
    Defense,
    Defenses,
    Loss,
)
from bench.core.errors import Stopped
from bench.engine.training import History
from tests.making.images import seeded
from tests.making.side_passes import (
    SOFT,
    Watched,
    Y,
    images,
    learns_under_autocast,
    leaves_the_rest_to_the_training_pass,
    network,
    trained_on,
)
from tests.making.trainings import recipe, same_bits, same_curves, trained
from victims.defenses.ueraser import strong_augmentation


def defense(**params: Any) -> Defense:
    kind = DEFENSES.get("ueraser")
    return kind(kind.Params.model_validate(params))


def wrap(loss: Loss, epoch: int = 0, **params: Any) -> Loss:
    return defense(**params).loss(loss, epoch)


@pytest.mark.parametrize("y", [Y, SOFT, 0.7 * SOFT + 0.1], ids=["classes", "probabilities", "mixed"])
@pytest.mark.parametrize("draws", [2, 5])
def test_every_image_is_trained_on_in_its_worst_augmentation(y: Tensor, draws: int) -> None:
    x, model = images(), network()
    generator = seeded(5)
    candidates = [strong_augmentation(x, generator) for _ in range(draws)]
    targets = SOFT if y.dim() == 1 else y
    losses = torch.stack([-(targets * deepcopy(model)(one).log_softmax(1)).sum(1).detach() for one in candidates])
    worst = [max(range(draws), key=lambda k: float(losses[k, i])) for i in range(len(x))]
    expected = torch.stack([candidates[k][i] for i, k in enumerate(worst)])
    assert len(set(worst)) > 1
    seen, _ = trained_on(lambda loss: wrap(loss, draws=draws), model, x, y)
    assert torch.equal(seen, expected)


@pytest.mark.parametrize(
    ("params", "first_plain_epoch"),
    [
        ({"variant": "lite"}, 0),
        ({"variant": "standard"}, 50),
        ({"variant": "standard", "epochs": 3}, 3),
        ({"variant": "standard", "epochs": 0}, 0),
        ({"variant": "max", "epochs": 3}, None),
    ],
    ids=str,
)
def test_a_variant_says_in_which_epochs_the_worst_is_taken(
    params: dict[str, Any], first_plain_epoch: int | None
) -> None:
    x, model = images(), network().eval()

    def takes_the_worst(epoch: int) -> bool:
        seen, _ = trained_on(lambda loss: wrap(loss, epoch, draws=3, **params), model, x, Y)
        return not torch.equal(seen, strong_augmentation(x, seeded(5)))

    for epoch in (0, 2, 3, 49, 50, 119):
        assert takes_the_worst(epoch) == (first_plain_epoch is None or epoch < first_plain_epoch)


def test_only_the_chosen_images_are_given_to_the_loss_behind() -> None:
    inner = Watched()
    wrap(inner)(network(), images(), Y, seeded(5))
    assert len(inner.seen) == 1


def test_five_draws_for_fifty_epochs_are_the_default() -> None:
    assert defense().params.model_dump() == {"variant": "standard", "draws": 5, "epochs": 50}
    (short,) = Defenses.parse("ueraser-max").chain
    assert short.params.model_dump()["variant"] == "max"


@pytest.mark.parametrize("variant", ["lite", "standard", "max"])
def test_statistics_gradients_and_dropout_are_those_of_the_training_pass(variant: str) -> None:
    leaves_the_rest_to_the_training_pass(lambda loss: wrap(loss, variant=variant))


def test_every_weight_learns_under_autocast() -> None:
    learns_under_autocast(wrap)


def test_an_augmentation_gives_images_and_is_decided_by_the_generator() -> None:
    x = images()
    first, again, other = (strong_augmentation(x, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == x.shape
    assert first.dtype == x.dtype
    assert float(first.amin()) >= 0
    assert float(first.amax()) <= 1


def test_every_image_and_channel_is_augmented_differently() -> None:
    x = torch.linspace(0.1, 0.9, 8).expand(12, 3, 8, 8).contiguous()
    augmented = strong_augmentation(x, seeded(5))
    for i in range(12):
        assert not torch.equal(augmented[i, 0], augmented[i, 1])
        assert not any(torch.equal(augmented[i], augmented[j]) for j in range(i))


def test_half_of_the_images_get_their_channels_in_another_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("victims.defenses.ueraser.trivial_augment", lambda x, generator: x)
    monkeypatch.setattr(
        "victims.defenses.ueraser.plasma",
        lambda count, height, width, roughness, generator: torch.full((count, height, width), 0.5),
    )
    # A plasma of 1/2 adds nothing and doubles the contrast.
    x = torch.tensor([0.4, 0.5, 0.6])[:, None, None].expand(3000, 3, 4, 4).contiguous()
    orders = ((strong_augmentation(x, seeded(5))[:, :, 0, 0] - 0.3) / 0.2).round().long()
    counts = Counter(tuple(order) for order in orders.tolist())
    assert len(counts) == 6
    expected = {order: 3000 / 12 + (1500 if order == (0, 1, 2) else 0) for order in counts}
    assert all(abs(counts[order] - expected[order]) < 150 for order in counts)


@pytest.mark.parametrize(
    "chain", ["ueraser+adversarial-training", "ueraser+dp-sgd", "adversarial-training+ueraser-max"]
)
def test_it_composes_with_the_defenses_that_change_the_loss(chain: str) -> None:
    defenses = Defenses.parse(chain)
    model = defenses.network(network())
    value = defenses.loss(Watched(), epoch=0)(model, images(), Y, seeded(5))
    value.backward()
    assert bool(value.isfinite())
    assert all(weight.grad is not None for weight in model.parameters())


def test_a_stopped_training_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    def stop(history: History) -> None:
        if len(history) == 1:
            raise Stopped

    how, against = recipe(), defense(draws=2, epochs=2)
    undisturbed, curves = trained(tmp_path / "a", how, defense=against)
    with pytest.raises(Stopped):
        trained(tmp_path / "b", how, defense=against, on_epoch=stop)
    torch.manual_seed(9)
    resumed, resumed_curves = trained(tmp_path / "b", how, defense=against)
    assert same_bits(resumed, undisturbed)
    assert same_curves(resumed_curves, curves)
    assert not same_bits(undisturbed, trained(tmp_path / "c", how, defense=defense(variant="lite"))[0])
