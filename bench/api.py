"""The names that the author of a plug-in imports; nothing else of the harness is needed."""

from pydantic import Field

from bench.contracts.augment import Augmentation, augment, draw
from bench.contracts.budget import Budget, Norm
from bench.contracts.dataset import DATASETS, DatasetPlugin, Source
from bench.contracts.defense import DEFENSES, Defense, Loss
from bench.contracts.method import (
    METHODS,
    CraftContext,
    CraftData,
    Method,
    Rounding,
    Surrogate,
)
from bench.contracts.network import (
    ARCHITECTURES,
    Classifier,
    Network,
    SizedArchitecture,
)
from bench.contracts.placement import Placement
from bench.contracts.plugin import Params
from bench.core.device import precision, warn_of_failed_compile
from bench.core.errors import SepbenchError
from bench.data.images import ImageSet, Splits, images_digest

__all__ = [
    "ARCHITECTURES",
    "DATASETS",
    "DEFENSES",
    "METHODS",
    "Augmentation",
    "Budget",
    "Classifier",
    "CraftContext",
    "CraftData",
    "DatasetPlugin",
    "Defense",
    "Field",
    "ImageSet",
    "Loss",
    "Method",
    "Network",
    "Norm",
    "Params",
    "Placement",
    "Rounding",
    "SepbenchError",
    "SizedArchitecture",
    "Source",
    "Splits",
    "Surrogate",
    "augment",
    "draw",
    "images_digest",
    "precision",
    "warn_of_failed_compile",
]
