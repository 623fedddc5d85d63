"""What is done to the pictures of a person: which, at what size, by which plan."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from bench.contracts.budget import Budget
from bench.core.keys import key
from bench.data.originals import Originals, Survey
from bench.flows import choices
from bench.plan.plan import Plan
from bench.plan.stage import CraftJob, Stage
from bench.store.home import Home


@dataclass(frozen=True)
class Protection:
    """What is done to some pictures: the plan to craft their perturbations, and at what size.

    Attributes
    ----------
    originals
        The pictures, which are only read.
    survey
        What they are like.
    size
        At which perturbations are crafted.
    plan
        Of the surrogates and the protected set; it judges nobody.
    home
        Where the work is kept.

    """

    originals: Originals
    survey: Survey
    size: choices.Size
    plan: Plan
    home: Home
    device: torch.device

    @property
    def stage(self) -> Stage:
        """The stage that crafts the protected set."""
        return next(stage for stage in self.plan.stages.values() if isinstance(stage.job, CraftJob))

    @property
    def job(self) -> CraftJob:
        """What crafting has to do."""
        assert isinstance(self.stage.job, CraftJob)
        return self.stage.job

    @property
    def budget(self) -> Budget:
        """How far a protected picture may be from the original."""
        assert self.job.budget is not None
        return self.job.budget

    def key(self, written_as: Mapping[str, Any]) -> str:
        """Return what tells its output from that of every other protection, given how pictures are written."""
        fit = None if self.size.side is None else choices.FIT
        names, digests = [*self.originals.names], [*self.survey.digests]
        return key([self.stage.key, fit, names, digests, self.originals.labels.tolist(), dict(written_as)])
