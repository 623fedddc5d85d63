"""How many images a GPU holds follows from the network: what autograd keeps of an image, and what memory there is."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.contracts.network import Network, build_network
from bench.engine.ensemble import Ensemble
from bench.engine.kept_for_backward import most_kept
from bench.engine.microbatches import MicroBatches, memory_of_an_image
from methods._parameter_gradients import ParameterGradient
from tests.making.images import noise
from tests.making.networks import CPU, checkpoints
from tests.making.pretended_gpu import GPU, pretended_gpu

X, Y = noise(4).float() / 255, torch.arange(4)
IMAGE = X[0].numel() * 4


def kept_of_two_layers(images: int) -> int:
    """Return what autograd keeps of three layers by hand: the input, its square root and the sigmoid of that."""
    x = torch.rand(images, 10).requires_grad_()
    weight = torch.rand(10, 7, requires_grad=True)
    return most_kept(lambda: torch.autograd.grad((x.sqrt() @ weight).sigmoid().sum(), x))


def test_what_is_kept_is_counted_once_and_in_bytes() -> None:
    # sqrt keeps its result, which the product keeps as well, beside the weight; sigmoid keeps its result.
    assert kept_of_two_layers(3) == 4 * (3 * 10 + 10 * 7 + 3 * 7)
    assert kept_of_two_layers(5) - kept_of_two_layers(4) == 4 * (10 + 7)


def test_what_one_pass_has_let_go_does_not_count_for_the_next() -> None:
    def passes(count: int) -> None:
        for _ in range(count):
            x = torch.rand(8).requires_grad_()
            torch.autograd.grad(x.sqrt().sum(), x)

    assert most_kept(passes, 1) == most_kept(passes, 3) == 4 * 8


def test_a_pass_that_is_differentiated_itself_keeps_more() -> None:
    def of(*, twice: bool) -> int:
        def call() -> None:
            x = torch.rand(8).requires_grad_()
            (gradient,) = torch.autograd.grad(x.sigmoid().sum(), x, create_graph=twice)
            if twice:
                torch.autograd.grad(gradient.sum(), x)

        return most_kept(call)

    assert of(twice=True) > of(twice=False)


def network_of(name: str) -> Network:
    return build_network(name, 10, noise(4), normalise=True, seed=0, device=CPU).eval()


def trial_of(name: str, precision: Any) -> Any:
    ensemble = Ensemble([network_of(name)], precision=precision)
    return lambda x, y: ensemble.gradient(0, x, y)


@pytest.mark.slow
def test_networks_differ_in_the_memory_of_an_image_and_bfloat16_takes_less() -> None:
    of_each = {name: memory_of_an_image(X, Y, trial_of(name, "fp32")) for name in ("vgg16", "resnet18", "densenet121")}
    assert of_each["densenet121"] > 5 * of_each["resnet18"] > 5 * of_each["vgg16"]
    assert memory_of_an_image(X, Y, trial_of("resnet18", "bf16")) < 0.7 * of_each["resnet18"]


def test_the_memory_of_an_image_is_that_of_its_activations_and_not_of_the_weights() -> None:
    class Wide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(X[0].numel(), 50)

        def forward(self, x: Tensor) -> Tensor:
            scores: Tensor = self.layer(x.flatten(1)).sigmoid()
            return scores

    network = Wide()

    def trial(x: Tensor, y: Tensor) -> Tensor:
        x = x.detach().requires_grad_()
        return torch.autograd.grad(F.cross_entropy(network(x), y % 50, reduction="sum"), x)[0]

    own = memory_of_an_image(X, Y, trial) - memory_of_an_image(X, Y, lambda x, y: None)
    assert 50 * 4 <= own < 10 * IMAGE


def sized(free: int, cached: int = 0, trial: Any = None) -> MicroBatches:
    batches = MicroBatches()
    with pretended_gpu(free=free, cached=cached):
        x, y = torch.zeros(1000, 3, 8, 8, device=GPU), torch.zeros(1000, dtype=torch.int64, device=GPU)
        batches.map(lambda images, classes: None, x, y, trial=trial)
    return batches


def test_what_torch_holds_on_to_is_there_to_be_used() -> None:
    plenty = sized(free=2**28)
    assert plenty.size == sized(free=2**26, cached=2**28 - 2**26).size
    assert plenty.size != sized(free=2**26).size


def test_more_images_fit_where_autograd_keeps_less_of_them() -> None:
    def trial(keeps: int) -> Any:
        def call(x: Tensor, y: Tensor) -> None:
            x = x.detach().requires_grad_()
            seen, kept = x.flatten(1), []
            for _ in range(keeps):
                seen = seen.sigmoid()
                kept.append(seen)
            torch.autograd.grad(seen.sum(), x)

        return call

    few, many = (sized(free=2**26, trial=trial(keeps)) for keeps in (2, 2000))
    assert few.of_an_image is not None
    assert many.of_an_image is not None
    assert many.of_an_image > 10 * few.of_an_image
    assert few.size is not None
    assert many.size is not None
    assert few.size > 10 * many.size


def test_a_cpu_tries_nothing() -> None:
    def fails(x: Tensor, y: Tensor) -> None:
        raise AssertionError("tried")

    MicroBatches().map(lambda images, classes: None, X, Y, trial=fails)


def tried_on(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let every size be chosen as on a GPU of much memory; the list gets how many images are tried at a time."""
    tried: list[int] = []

    def fitting(batches: MicroBatches, x: Tensor, y: Tensor, trial: Any) -> int:
        def noted(images: Tensor, classes: Tensor) -> None:
            tried.append(len(images))
            trial(images, classes)

        assert memory_of_an_image(x, y, noted) > 0
        return 256

    monkeypatch.setattr(MicroBatches, "_fitting", fitting)
    return tried


@pytest.mark.slow
def test_a_trial_compiles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = tried_on(monkeypatch)
    shapes: list[int] = []

    def backend(graph: Any, inputs: Any) -> Any:
        shapes.extend(len(one) for one in inputs if one.dim() == 4 and one.shape[1:] == X.shape[1:])
        return graph.forward

    ensemble = Ensemble(checkpoints(2), backend=backend)
    ensemble.mean_gradient(X.double(), Y)
    assert tried == [1, 2]
    assert shapes == [256], "the size that was chosen, and no other"
    assert ensemble.compiled.active


def test_a_trial_leaves_gradients_of_parameters_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    (network,) = checkpoints(1)

    def found() -> list[Tensor]:
        gradient = ParameterGradient(network)
        x = X.double()
        return [gradient.of(x, Y), gradient.through(x, Y, lambda one: one.square().sum())]

    expected = found()
    tried = tried_on(monkeypatch)
    for one, other in zip(found(), expected, strict=True):
        assert torch.equal(one, other)
    assert tried == [1, 2] * 2
