"""Fully connected networks of infinite width: their neural tangent kernel, and what gradient descent makes of them.

Jacot et al., "Neural Tangent Kernel: Convergence and Generalization in Neural Networks", NeurIPS 2018; the expectations
of the error function are those of Williams, "Computing with Infinite Networks", NeurIPS 1996.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class WideNetwork:
    """Hidden layers with the error function as activation and a linear layer on top, all infinitely wide.

    A layer's weights are normal with variance `weight_variance` over its fan-in, its biases with `bias_variance`; its
    gradient is that of the standard normal draws behind them, which are what is trained (the NTK parametrization).
    """

    layers: int
    weight_variance: float
    bias_variance: float

    def kernel(self, x: Tensor, z: Tensor) -> Tensor:
        """Return the neural tangent kernel, [N, M], of rows [N, D] and [M, D]; differentiable."""
        covariance = self._layer(x @ z.T / x.shape[1])
        of_x, of_z = (self._layer(rows.square().mean(1)) for rows in (x, z))
        tangent = covariance
        for _ in range(self.layers):
            across = (1 + 2 * of_x)[:, None] * (1 + 2 * of_z)
            slope = 4 / math.pi * (across - 4 * covariance**2).rsqrt()
            covariance = self._layer(2 / math.pi * torch.asin(2 * covariance * across.rsqrt()))
            of_x, of_z = (self._layer(2 / math.pi * torch.asin(2 * v / (1 + 2 * v))) for v in (of_x, of_z))
            tangent = covariance + self.weight_variance * slope * tangent
        return tangent

    def _layer(self, moments: Tensor) -> Tensor:
        return self.weight_variance * moments + self.bias_variance


def descended(kernel: Tensor, labels: Tensor, t: float) -> Tensor:
    """Return the weights of N training images, [N, C], after gradient descent on the squared error for a time `t`.

    Predictions are kernels with the training images times these weights: kernel^-1 (1 - exp(-t kernel / (N C)))
    labels, for a positive definite kernel [N, N] and one-hot labels [N, C], from predictions of zero; the error is the
    mean over images and classes, as Neural Tangents has it. Differentiable.
    """
    left = torch.matrix_exp(-t / labels.numel() * kernel) @ labels
    weights: Tensor = torch.linalg.solve(kernel, labels - left)
    return weights
