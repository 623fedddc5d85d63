"""Networks that methods train: steps of the harness's own training loop, and gradients that leave no trace."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from bench.contracts.context import CraftContext
from bench.contracts.defense import Defenses
from bench.contracts.method import CraftData
from bench.contracts.network import Classifier, Network, build_network
from bench.core.errors import SepbenchError
from bench.core.seeds import derive
from bench.engine.learner import Learner
from bench.engine.recipe import Recipe
from bench.engine.step import Diverged, make_optimizer
from bench.engine.training import Labelled, train_epoch
from tests.making.networks import CPU
from tests.making.slow_learning import context, pictures, tiny_networks
from tests.making.slow_sep import gradient_of
from tests.making.trainings import IMAGES, LABELS, recipe, same_bits

__all__ = ["tiny_networks"]

COUNT = len(IMAGES)


def data() -> CraftData:
    return CraftData(IMAGES.float() / 255, LABELS, 3, torch.arange(COUNT))


def craft_context() -> CraftContext:
    return CraftContext([], seed=4, device=CPU, images=COUNT, architecture="resnet8")


def in_order_of(epoch: int, seed: int) -> Tensor:
    """Return the order in which the training loop shows its images."""
    return torch.randperm(COUNT, generator=torch.Generator().manual_seed(derive(seed, "epoch", epoch)))


@pytest.mark.parametrize(
    "how",
    [
        recipe(batch_size=COUNT, augmentation={}, clip_gradient=0.1),
        recipe(batch_size=COUNT, augmentation={}, schedule={"kind": "steps", "at": [1, 2]}, nesterov=True),
        recipe(batch_size=20, augmentation={}, normalise=False, epochs=2),
    ],
    ids=["clipped", "dropping", "of several batches"],
)
def test_its_steps_are_those_of_the_training_loop(how: Recipe) -> None:
    learner, shown = Learner(craft_context(), data(), how), data()
    network = build_network(
        "resnet8", 3, IMAGES, normalise=how.normalise, seed=derive(craft_context().seed, "weights"), device=CPU
    )
    assert same_bits(network, learner.network)
    optimizer, labelled, step = make_optimizer(network, how), Labelled(IMAGES, LABELS, 3), 0
    for epoch in range(how.epochs):
        mean_loss, _ = train_epoch(network, optimizer, labelled, how, Defenses([]), 0, epoch)
        batches = in_order_of(epoch, 0).split(how.batch_size)
        total = 0.0
        for chosen in batches:
            total += float(learner.step(shown.x[chosen], shown.y[chosen], step, len(batches))) * len(chosen)
            step += 1
        assert same_bits(network, learner.network)
        assert total / COUNT == pytest.approx(mean_loss, rel=1e-6)


def test_a_gradient_leaves_weights_statistics_and_mode_as_they_were() -> None:
    learner = Learner(ctx := craft_context(), shown := data(), recipe())
    learner.step(shown.x[:8], shown.y[:8], 0, 1)
    before = {name: value.clone() for name, value in learner.state().items()}
    gradient = learner.gradient(shown.x, shown.y)
    assert gradient.shape == shown.x.shape
    assert not gradient.requires_grad
    assert all(torch.equal(value, before[name]) for name, value in learner.state().items())
    assert not any(part.training for part in learner.network.modules())
    assert ctx.spent == 8 + COUNT
    assert torch.equal(shown.x, data().x)


@pytest.mark.usefixtures("tiny_networks")
def test_a_gradient_is_that_of_each_image_by_itself() -> None:
    learner, shown = Learner(context(5), pictures(5), recipe(normalise=False)), pictures(5)
    learner.step(shown.x, shown.y, 0, 1)
    pairs = zip(shown.x, shown.y.tolist(), strict=True)
    one_by_one = [gradient_of([learner.network.requires_grad_()], image, label) for image, label in pairs]
    torch.testing.assert_close(learner.gradient(shown.x, shown.y), torch.stack(one_by_one), rtol=0, atol=1e-12)


@pytest.mark.usefixtures("tiny_networks")
def test_an_error_is_the_share_of_images_that_are_mistaken() -> None:
    learner, shown = Learner(context(8), pictures(8), recipe(normalise=False)), pictures(8)
    with torch.no_grad():
        right = learner.network(shown.x).argmax(1) == shown.y

    def parts() -> Iterator[tuple[Tensor, Tensor]]:
        yield from zip(shown.x.split(3), shown.y.split(3), strict=True)

    assert 0 < int(right.sum()) < 8
    assert learner.error(parts()) == 1 - int(right.sum()) / 8


class Dropping(Classifier):
    """Half of what it looks at is left out at random."""

    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(3 * 8 * 8, 3)

    def features(self, x: Tensor) -> Tensor:
        kept: Tensor = self.drop(x.flatten(1))
        return kept


def after_a_step(monkeypatch: pytest.MonkeyPatch, step: int = 0, purpose: str = "", seed: int = 4) -> Tensor:
    """Return the weights of a network with dropout, the same for all, after one step."""
    network = Network(Dropping(), torch.zeros(3), torch.ones(3))
    nn.init.zeros_(network.classifier.head.weight)
    nn.init.zeros_(network.classifier.head.bias)
    monkeypatch.setattr("bench.engine.learner.build_network", lambda *given, **named: network)
    ctx, shown = craft_context(), data()
    ctx.seed = seed
    learner = Learner(ctx, shown, recipe(schedule={"kind": "steps", "at": []}), *filter(None, [purpose]))
    stream = torch.get_rng_state()
    learner.step(shown.x, shown.y, step, 1)
    assert torch.equal(torch.get_rng_state(), stream)
    weight: Tensor = network.classifier.head.weight.detach().clone()
    return weight


def test_what_a_network_draws_follows_from_seed_purpose_and_step_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    first = after_a_step(monkeypatch)
    torch.manual_seed(2)
    assert torch.equal(after_a_step(monkeypatch), first)
    others = [after_a_step(monkeypatch, step=1), after_a_step(monkeypatch, purpose="other")]
    others.append(after_a_step(monkeypatch, seed=5))
    assert not any(torch.equal(first, other) for other in others)


def test_networks_of_other_purposes_begin_otherwise() -> None:
    first, second = (Learner(craft_context(), data(), recipe(), purpose) for purpose in ("first", "second"))
    assert not same_bits(first.network, second.network)
    assert same_bits(first.network, Learner(craft_context(), data(), recipe(), "first").network)


def test_what_was_kept_goes_on_with_its_momentum() -> None:
    shown, through = data(), Learner(craft_context(), data(), recipe())
    for step in range(2):
        through.step(shown.x, shown.y, step, 1)
    kept = {name: value.clone() for name, value in through.state().items()}
    through.step(shown.x, shown.y, 2, 1)
    resumed = Learner(craft_context(), data(), recipe())
    resumed.restore(kept)
    resumed.step(shown.x, shown.y, 2, 1)
    assert same_bits(resumed.network, through.network)


def test_a_batch_of_one_image_is_refused_with_advice() -> None:
    learner = Learner(craft_context(), data(), recipe())
    with pytest.raises(SepbenchError, match="protect more images, or take a batch size that leaves no single one"):
        learner.step(data().x[:1, :, :4, :4], data().y[:1], 0, 1)  # whose last feature maps are one pixel


def test_weights_that_are_not_finite_are_named() -> None:
    learner = Learner(craft_context(), data(), recipe())
    learner.check("the start")
    with torch.no_grad():
        learner.network.classifier.head.weight[0, 0] = torch.nan
    with pytest.raises(Diverged, match=r"classifier.head.weight .* after round 3: lower its learning rate"):
        learner.check("round 3")
