"""The U-Net of generators against its layers, one by one."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods._unet import UNet
from tests.making.images import every_size, noise, seeded


def small() -> UNet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return UNet(2)


def slow_unet(unet: UNet, x: Tensor) -> Tensor:
    """Return what a U-Net makes of images of a side that halves three times, layer by layer."""
    weights = dict(unet.named_parameters())

    def normalised(h: Tensor, name: str) -> Tensor:
        centred = h - h.mean((0, 2, 3), keepdim=True)
        h = centred / (centred.square().mean((0, 2, 3), keepdim=True) + 1e-5).sqrt()
        return h * weights[f"{name}.weight"].view(1, -1, 1, 1) + weights[f"{name}.bias"].view(1, -1, 1, 1)

    def twice(h: Tensor, name: str) -> Tensor:
        for layer in (0, 3):
            h = F.conv2d(h, weights[f"{name}.{layer}.weight"], padding=1)
            h = normalised(h, f"{name}.{layer + 1}").clamp_min(0)
        return h

    def halved(h: Tensor) -> Tensor:
        return (h[..., ::2, ::2] + h[..., 1::2, ::2] + h[..., ::2, 1::2] + h[..., 1::2, 1::2]) / 4

    def doubled(h: Tensor) -> Tensor:
        for axis in (2, 3):
            size = h.shape[axis]
            before = h.index_select(axis, (torch.arange(size) - 1).clamp_min(0))
            after = h.index_select(axis, (torch.arange(size) + 1).clamp_max(size - 1))
            h = torch.stack([0.25 * before + 0.75 * h, 0.75 * h + 0.25 * after], axis + 1).flatten(axis, axis + 1)
        return h

    first = twice(x, "down.0")
    second = twice(halved(first), "down.1")
    third = twice(halved(second), "down.2")
    h = twice(halved(third), "down.3")
    for level, beside in enumerate([third, second, first]):
        h = twice(torch.cat([doubled(h), beside], 1), f"up.{level}")
    return torch.tanh(normalised(F.conv2d(h, weights["last.0.weight"]), "last.1"))


def test_the_unet_is_what_its_layers_make_one_by_one() -> None:
    unet, x = small().double(), noise(2, 16).double() / 255
    torch.testing.assert_close(unet(x), slow_unet(unet, x), rtol=0, atol=1e-9)


def test_the_unet_has_the_published_widths() -> None:
    convolutions = [layer for layer in UNet().modules() if isinstance(layer, nn.Conv2d)]
    widths = [(layer.in_channels, layer.out_channels) for layer in convolutions]
    down = [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512), (512, 512)]
    up = [(768, 256), (256, 256), (384, 128), (128, 128), (192, 64), (64, 64)]
    assert widths == [*down, *up, (64, 3)]


@every_size
def test_the_unet_takes_images_of_any_size(size: tuple[int, int]) -> None:
    values = small()(torch.rand(2, 3, *size, generator=seeded()))
    assert values.shape == (2, 3, *size)
    assert float(values.detach().abs().max()) <= 1
