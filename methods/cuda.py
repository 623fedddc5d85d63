"""Images filtered by a small random kernel that belongs to their class.

Sadasivan et al., "CUDA: Convolution-based Unlearnable Datasets", CVPR 2023.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.api import METHODS, Budget, CraftContext, CraftData, Field, Method, Params, SepbenchError


class CUDAParams(Params):
    """Parameters of the class-wise filters; for ImageNet size 9 and blur 0.06 were published."""

    size: int = Field(3, ge=1, description="side of the kernels in pixels, odd")
    blur: float = Field(0.3, ge=0, description="weights are drawn from 0 to this, but for one, which is 1")


@METHODS.register("cuda")
class CUDA(Method[CUDAParams]):
    """A random blurring kernel for each class, the same for all channels, then each image over its own maximum.

    Kernels are drawn from the craft seed, and what is beyond the border counts as black. Filtered images are bounded by
    no norm; they are brightened until their largest value is 1. An image that is black stays black.
    """

    norms = ("unbounded",)
    per_sample = True
    cite = "sadasivan2023cuda"

    def craft(self, data: CraftData, budget: Budget, ctx: CraftContext) -> Tensor:
        """Filter each image with the kernel of its class."""
        kernels = self._kernels(data.classes, ctx).to(data.x)[data.y]
        count, channels, height, width = data.x.shape
        # Every image is a group of its own, and its channels are the images that its kernel goes over.
        planes = data.x.transpose(0, 1).reshape(channels, count, height, width)
        filtered = F.conv2d(planes, kernels.unsqueeze(1), padding=self.params.size // 2, groups=count).transpose(0, 1)
        brightest = filtered.flatten(1).amax(1)
        return budget.project(data.x, filtered / brightest.where(brightest > 0, 1)[:, None, None, None])

    def _kernels(self, classes: int, ctx: CraftContext) -> Tensor:
        """Return one kernel for each class, [classes, size, size]."""
        size = self.params.size
        if size % 2 == 0:
            raise SepbenchError(f"cuda: size is {size}, and a kernel has a middle: give an odd number")
        generator = ctx.generator()
        weights = self.params.blur * torch.rand(classes, size * size, generator=generator)
        places = torch.randint(size * size, (classes, 1), generator=generator)
        return weights.scatter(1, places, 1.0).view(classes, size, size)
