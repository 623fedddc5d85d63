"""The names that the author of a plug-in imports; nothing else of the harness is needed."""

from pydantic import Field

from bench.augment import augment, draw
from bench.budget import Budget, Norm
from bench.compiling import warn_of_failed_compile
from bench.data.images import ImageSet, Source, Splits, images_digest
from bench.data.plugin import DatasetPlugin
from bench.data.registry import DATASETS
from bench.defense import DEFENSES, Defense, Loss
from bench.device import precision
from bench.errors import SepbenchError
from bench.method import METHODS, CraftContext, CraftData, Method, Surrogate
from bench.networks import ARCHITECTURES, Classifier, Network, SizedArchitecture
from bench.placement import Placement
from bench.plugin import Params
from bench.recipe import Augmentation
from bench.release import Rounding

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
