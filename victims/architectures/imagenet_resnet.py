"""ResNet-18 as it was published, for images of 224 pixels: a 7x7 stem of stride 2 and a max-pool.

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, in torchvision's implementation.
"""

from torch import Tensor, nn

from bench.api import ARCHITECTURES, Classifier


class TorchvisionResNet(Classifier):
    """A residual network of torchvision, its last layer taken out as the head."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.head = network.fc  # type: ignore[assignment]
        network.fc = nn.Identity()
        self.body = network

    def features(self, x: Tensor) -> Tensor:
        """Return the pooled output of the last stage."""
        pooled: Tensor = self.body(x)
        return pooled


@ARCHITECTURES.register("resnet18-imagenet")
def resnet18_imagenet(classes: int) -> Classifier:
    """ResNet-18 with the 7x7 stem and max-pool, for images of 224 pixels: 11.2 M parameters."""
    # Here, so that listing the plug-ins does not load torchvision.
    from torchvision.models import resnet18

    return TorchvisionResNet(resnet18(num_classes=classes))
