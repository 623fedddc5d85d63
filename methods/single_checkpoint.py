"""Targeted PGD on one fully trained network: SEP with a single checkpoint.

Fowl et al., "Adversarial Examples Make Strong Poisons", NeurIPS 2021, in the setting of SEP's own ablation (n = 1).
"""

from bench.api import METHODS, Field
from methods.sep import SEP, SEPParams


class SingleCheckpointParams(SEPParams):
    """Parameters of SEP with one checkpoint, the last, by default."""

    checkpoints: int = Field(1, ge=1, le=1, description="the last checkpoint alone")


@METHODS.register("single-checkpoint")
class SingleCheckpoint(SEP):
    """Targeted PGD on the last checkpoint alone, the n = 1 of SEP."""

    cite = "fowl2021adversarial"
    Params = SingleCheckpointParams
