"""A learner's network as a function of its parameters, and what a network that is trained otherwise keeps."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.contracts.context import CraftContext
from bench.contracts.method import CraftData
from bench.contracts.network import ARCHITECTURES, Classifier
from bench.engine.learner import Learner
from bench.engine.recipe import Recipe, Steps
from bench.engine.trained import Trained
from tests.making.images import noise, seeded
from tests.making.networks import CPU

X, Y = noise(6).float() / 255, torch.arange(6) % 3
RECIPE = Recipe(name="own", source="-", epochs=1, batch_size=6, lr=0.1, schedule=Steps(at=()), weight_decay=0.0)


class Attentive(Classifier):
    """A convolution with a batch norm, attention between its pixels, dropout."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 8, 4, stride=4), nn.BatchNorm2d(8)
        self.dropout, self.head = nn.Dropout(0.5), nn.Linear(8, classes)

    def features(self, x: Tensor) -> Tensor:
        tokens = self.norm(self.convolution(x)).flatten(2).transpose(1, 2)
        mixed: Tensor = self.dropout(F.scaled_dot_product_attention(tokens, tokens, tokens))
        return mixed.mean(1)


@pytest.fixture
def learner(monkeypatch: pytest.MonkeyPatch) -> Learner:
    monkeypatch.setattr(ARCHITECTURES, "get", lambda name: Attentive)
    ctx = CraftContext([], seed=0, device=CPU, architecture="attentive")
    return Learner(ctx, CraftData(X, Y, 3, torch.arange(6)), RECIPE)


def statistics(learner: Learner) -> list[Tensor]:
    return [buffer.clone() for buffer in learner.network.buffers()]


def test_logits_at_its_own_parameters_are_those_of_the_network(learner: Learner) -> None:
    with learner.learning(0):
        found = learner.logits(X)
    with learner.learning(0):
        assert learner.network.training
        torch.testing.assert_close(found, learner.network(X), rtol=0, atol=1e-6)
    assert not learner.network.training
    torch.testing.assert_close(learner.logits(X), learner.network(X), rtol=0, atol=1e-6)


def test_logits_leave_the_statistics_and_learning_moves_them(learner: Learner) -> None:
    before = statistics(learner)
    with learner.learning(0):
        learner.logits(X)
    assert all(torch.equal(old, new) for old, new in zip(before, statistics(learner), strict=True))
    learner.step(X, Y, 0, of_epoch=1)
    assert not all(torch.equal(old, new) for old, new in zip(before, statistics(learner), strict=True))


def test_dropout_draws_as_the_block_says_whatever_was_drawn_before(learner: Learner) -> None:
    outputs = []
    for draws in (1, 1, 2):
        torch.rand(3)
        with learner.learning("ahead", draws):
            outputs.append(learner.logits(X))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


def test_a_step_ahead_is_the_step_that_follows(learner: Learner) -> None:
    with learner.learning(0):
        now = dict(learner.network.named_parameters())
        gradient = torch.autograd.grad(F.cross_entropy(learner.logits(X), Y), list(now.values()))
        ahead = {name: value.detach() - 0.1 * one for (name, value), one in zip(now.items(), gradient, strict=True)}
    learner.step(X, Y, 0, of_epoch=1)
    with torch.no_grad():
        for name, value in learner.network.named_parameters():
            torch.testing.assert_close(value, ahead[name], rtol=0, atol=1e-6)
    assert torch.equal(learner.logits(X), learner.logits(X, dict(learner.network.named_parameters())))


def test_logits_are_differentiated_twice_through_attention(learner: Learner) -> None:
    images = X.clone().requires_grad_()
    with learner.learning(0):
        weights = list(learner.network.parameters())
        gradient = torch.autograd.grad(F.cross_entropy(learner.logits(images), Y), weights, create_graph=True)
        (twice,) = torch.autograd.grad(torch.stack([one.square().sum() for one in gradient]).sum(), images)
    assert float(twice.abs().max()) > 0


def test_a_network_goes_on_from_what_was_kept_of_it_and_its_optimizer() -> None:
    def trained() -> Trained:
        network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2))
        with torch.no_grad():
            for value in network.parameters():
                value.copy_(torch.rand(value.shape, generator=seeded()))
        return Trained(network, torch.optim.Adam(network.parameters(), lr=0.01))

    def step(one: Trained) -> None:
        one.descend(torch.autograd.grad(one.network(X).sin().sum(), list(one.network.parameters())))

    through, stopped, resumed = trained(), trained(), trained()
    for _ in range(4):
        step(through)
    step(stopped)
    step(stopped)
    resumed.restore({name: value.clone() for name, value in stopped.state().items()})
    step(resumed)
    step(resumed)
    for name, value in through.state().items():
        assert torch.equal(value, resumed.state()[name]), name
