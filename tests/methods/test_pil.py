"""PIL against torch's own layers and gradients."""

import torch
import torch.nn.functional as F
from torch import nn

from bench.contracts.budget import Budget
from bench.contracts.context import CraftContext
from bench.contracts.method import CraftData
from methods.pil import PIL, PILParams
from tests.making.grey import CPU

EPOCHS, BATCH, STEPS = 3, 8, 4


def pictures(count: int = 20) -> CraftData:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(count, 3, 6, 6, generator=generator)
    return CraftData(x, torch.arange(count) % 4, 4, torch.arange(count))


def context() -> CraftContext:
    return CraftContext([], seed=5, device=CPU, images=20)


def prepared(data: CraftData, parts: list[CraftData]) -> PIL:
    pil = PIL(PILParams(epochs=EPOCHS, batch_size=BATCH, steps=STEPS))
    pil.prepare(lambda: iter(parts), context())
    return pil


def test_the_surrogate_is_two_linear_layers_trained_by_torch() -> None:
    data = pictures()
    generator = context().generator("surrogate")
    layers = nn.Linear(108, 4, bias=False).double(), nn.Linear(4, 4, bias=False).double()
    with torch.no_grad():
        for layer in layers:
            drawn = 2 * torch.rand(layer.weight.shape, generator=generator) - 1
            layer.weight.copy_(drawn / layer.in_features**0.5)
    network = nn.Sequential(*layers)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.003, momentum=0.9, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    for _ in range(EPOCHS):
        for start in range(0, 20, BATCH):
            optimizer.zero_grad()
            x, y = data.x[start : start + BATCH].double().flatten(1), data.y[start : start + BATCH]
            F.cross_entropy(network(x), y).backward()
            optimizer.step()
        schedule.step()
    expected = layers[1].weight @ layers[0].weight
    assert torch.allclose(prepared(data, [data]).weights.double(), expected, atol=1e-6)


def test_steps_descend_on_both_losses_and_the_perturbation_is_subtracted() -> None:
    data, budget = pictures(), Budget.parse("linf-8")
    pil = prepared(data, [data])
    weights = pil.weights.double()
    x, radius = data.x.double().flatten(1), 8 / 255
    start = torch.stack([torch.rand((3, 6, 6), generator=context().generator("start", one)) for one in range(20)])
    noise = radius * (2 * start.double().flatten(1) - 1)
    uniform = torch.full((20, 4), 0.25, dtype=torch.float64)
    for _ in range(STEPS):
        noise.requires_grad_()
        own = F.cross_entropy(noise @ weights.T, data.y)
        other = F.kl_div(F.log_softmax((x - noise) @ weights.T, 1), uniform, reduction="batchmean")
        (gradient,) = torch.autograd.grad(0.9 * own + 0.1 * other, noise)
        noise = (noise.detach() - radius / 10 * gradient.sign()).clamp(-radius, radius)
    expected = (x - noise).clamp(0, 1).view(20, 3, 6, 6)
    crafted = pil.craft(data, budget, context()).double()
    assert float(((crafted - expected).abs() > 1e-6).float().mean()) < 0.002  # a gradient at zero may have either sign


def test_where_parts_end_changes_nothing() -> None:
    data = pictures()
    cut = [CraftData(data.x[a:b], data.y[a:b], 4, data.index[a:b]) for a, b in ((0, 7), (7, 12), (12, 20))]
    assert torch.equal(prepared(data, [data]).weights, prepared(data, cut).weights)
