"""The names that the author of a plug-in imports; nothing else of the harness is needed."""

from pydantic import Field

from bench.contracts.augment import Augmentation, Draws, augment, draw
from bench.contracts.budget import Budget, Norm
from bench.contracts.context import CraftContext
from bench.contracts.dataset import DATASETS, DatasetPlugin, Source
from bench.contracts.defense import DEFENSES, Defense, Loss
from bench.contracts.known import KNOWN, Known
from bench.contracts.method import (
    METHODS,
    Brought,
    CraftData,
    Method,
    Rounding,
    Surrogate,
)
from bench.contracts.network import (
    ARCHITECTURES,
    Architecture,
    Classifier,
    Network,
    SizedArchitecture,
)
from bench.contracts.normalisation import Constants
from bench.contracts.placement import Placement
from bench.contracts.plugin import Params
from bench.core.device import precision, sent
from bench.core.errors import NotHere, SepbenchError
from bench.core.impostors import is_unfinished, what_it_is
from bench.core.registry import UnknownName
from bench.data.decoding import decode
from bench.data.images import ImageSet, Splits
from bench.engine.ensemble import Ensemble, EnsembleLoss, FeatureAlignment, class_means
from bench.engine.frozen import Frozen
from bench.engine.learner import BatchLoss, Learner
from bench.engine.microbatches import MicroBatches
from bench.engine.recipe import Cosine, Recipe, Steps
from bench.engine.trained import Trained

__all__ = [
    "ARCHITECTURES",
    "DATASETS",
    "DEFENSES",
    "KNOWN",
    "METHODS",
    "Architecture",
    "Augmentation",
    "BatchLoss",
    "Brought",
    "Budget",
    "Classifier",
    "Constants",
    "Cosine",
    "CraftContext",
    "CraftData",
    "DatasetPlugin",
    "Defense",
    "Draws",
    "Ensemble",
    "EnsembleLoss",
    "FeatureAlignment",
    "Field",
    "Frozen",
    "ImageSet",
    "Known",
    "Learner",
    "Loss",
    "Method",
    "MicroBatches",
    "Network",
    "Norm",
    "NotHere",
    "Params",
    "Placement",
    "Recipe",
    "Rounding",
    "SepbenchError",
    "SizedArchitecture",
    "Source",
    "Splits",
    "Steps",
    "Surrogate",
    "Trained",
    "UnknownName",
    "augment",
    "class_means",
    "decode",
    "draw",
    "is_unfinished",
    "precision",
    "sent",
    "what_it_is",
]
