"""`timm:NAME`: every classifier of timm that ends in one linear layer, untrained, where timm is installed."""

from typing import Any

import torch
from torch import Tensor, nn

from bench.api import ARCHITECTURES, Architecture, Classifier, SepbenchError, SizedArchitecture, UnknownName


class TimmClassifier(Classifier):
    """A model of timm, its last layer `head` taken out."""

    def __init__(self, model: Any, head: nn.Linear) -> None:
        super().__init__()
        (path,) = (path for path, module in model.named_modules() if module is head)
        # Left in place, the head's weights would stand twice in the state.
        model.set_submodule(path, nn.Identity())
        self.model = model
        self.head = head

    def features(self, x: Tensor) -> Tensor:
        """Return the input of the last layer."""
        pooled: Tensor = self.model.forward_head(self.model.forward_features(x), pre_logits=True)
        return pooled


class TimmArchitecture(SizedArchitecture):
    """A model of timm, freshly initialised, for the images' size and number of classes.

    `timm:resnet18` and the like keep the large stem of their ImageNet form.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, classes: int, size: tuple[int, int] | None = None) -> Classifier:
        """Return the network; raises `SepbenchError` for a size it cannot have or a head that is not one layer."""
        from timm import create_model
        from timm.models import get_pretrained_cfg

        published = get_pretrained_cfg(self.name)
        sized: dict[str, Any] = {"img_size": size} if size and published and published.fixed_input_size else {}
        try:
            model: Any = create_model(self.name, num_classes=classes, **sized)
            if size:
                _try(model, size)
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            pixels = f" of {size[0]}x{size[1]} pixels" if size else ""
            raise SepbenchError(
                f"timm cannot build {self.name} for images{pixels} ({reason}): choose a model that takes them"
            ) from error
        head = model.get_classifier()
        if not isinstance(head, nn.Linear):
            raise SepbenchError(
                f"timm:{self.name} ends in {type(head).__name__}, and an architecture has to end in one linear layer: "
                f"choose another model"
            )
        return TimmClassifier(model, head)


def _try(model: nn.Module, size: tuple[int, int]) -> None:
    """Judge one image: some models find out only then that it is too small."""
    with torch.no_grad():
        model.eval()(torch.zeros(1, 3, *size))
    model.train()


@ARCHITECTURES.register_family("timm:")
def timm_architecture(name: str) -> Architecture:
    """Return timm's model of this name; raises `SepbenchError` where timm is not installed."""
    try:
        # Here, so that everything else works without timm, and starts fast with it.
        from timm import is_model, list_models
    except ImportError as error:
        raise SepbenchError(f"timm:{name} needs timm: pip install 'sepbench[timm]'") from error
    # What timm writes after a dot names pretrained weights.
    if "." in name or not is_model(name):
        raise UnknownName("timm model", name, list_models())
    return TimmArchitecture(name)
