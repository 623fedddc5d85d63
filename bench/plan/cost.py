"""What stages will cost, on whatever machine: work, and room on the disk."""

from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, ValidationError

from bench.contracts.network import ARCHITECTURES, build_network
from bench.core.disk import (
    DiskError,
    make_folder,
    write_atomically,
    writing,
)
from bench.core.keys import key
from bench.data.loading import DataCard
from bench.plan.checkpoints import kept_epochs
from bench.plan.plan import Plan
from bench.plan.stage import CraftJob, Stage, SurrogateJob, VictimJob

# The gradient of the weights is a third product beside the forward one and the gradient of the activations.
_WEIGHTS_SHARE = 1.5
# And one of two in what a `NetworkCost` counts.
_FORWARD_SHARE = 0.5


class NetworkCost(BaseModel):
    """What one image costs a network, and what its weights take.

    Attributes
    ----------
    version
        Of the architecture, with that of torch.
    flops
        Multiplications and additions of a forward pass and of the gradient of the pixels.
    weights
        Bytes of one checkpoint.

    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    architecture: str
    version: str
    classes: int
    height: int
    width: int
    flops: float
    weights: float


class Costs:
    """What networks cost, kept in a folder: to count it takes a network that is built, and some time.

    A file that is damaged or cannot be written is done without.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[tuple[Any, ...], NetworkCost] = {}

    def of(self, architecture: str, card: DataCard) -> NetworkCost:
        """Return what an architecture costs for the images and classes of a data set."""
        asked = (architecture, _version(architecture), len(card.classes), card.height, card.width)
        if asked not in self._known:
            self._known[asked] = self._kept(*asked) or self._counted(*asked)
        return self._known[asked]

    def _kept(self, *asked: Any) -> NetworkCost | None:
        try:
            found = NetworkCost.model_validate_json(self._file(asked).read_bytes())
        except (OSError, ValidationError):
            return None
        same = (found.architecture, found.version, found.classes, found.height, found.width) == asked
        return found if same else None

    def _counted(self, architecture: str, version: str, classes: int, height: int, width: int) -> NetworkCost:
        made = NetworkCost(
            architecture=architecture,
            version=version,
            classes=classes,
            height=height,
            width=width,
            flops=flops_of_a_pass(architecture, classes, height, width),
            weights=weight_bytes(architecture, classes, height, width),
        )
        with suppress(DiskError), writing(self._folder):
            make_folder(self._folder)
            path = self._file((architecture, version, classes, height, width))
            write_atomically(path, f"{made.model_dump_json(indent=1)}\n".encode(), durable=False)
        return made

    def _file(self, asked: tuple[Any, ...]) -> Path:
        return self._folder / f"{key(asked)[:16]}.json"


def estimate_flops(plan: Plan, stage: Stage, costs: Costs) -> float:
    """Return the multiplications and additions of a stage; judging is left out."""
    card, job = plan.card, stage.job
    networks = job.networks if isinstance(job, CraftJob) else [job.architecture]
    each = [costs.of(network, card).flops for network in networks]
    share = 1.0 if isinstance(job, CraftJob) else _WEIGHTS_SHARE
    passes = share * stage.passes + _FORWARD_SHARE * stage.forward_passes
    return passes * card.n_train * sum(each) / len(each) if each else 0.0


def estimate_bytes(plan: Plan, stage: Stage, costs: Costs) -> float:
    """Return about how much room the artifact of a stage takes; that of a victim takes next to none."""
    card, job = plan.card, stage.job
    if isinstance(job, CraftJob):
        return card.n_train * 3.0 * card.height * card.width
    if isinstance(job, VictimJob):
        return 0.0
    every = bytes_of_every_epoch(plan, stage, costs)
    kept = kept_epochs(job.asked, job.recipe.epochs, every / job.recipe.epochs)
    return every if kept is None else every * len(kept) / job.recipe.epochs


def bytes_of_every_epoch(plan: Plan, stage: Stage, costs: Costs) -> float:
    """Return how much room the checkpoints of a surrogate would take if none were left out; 0 of other stages."""
    job = stage.job
    return job.recipe.epochs * costs.of(job.architecture, plan.card).weights if isinstance(job, SurrogateJob) else 0.0


def _version(architecture: str) -> str:
    origin = ARCHITECTURES.origin(architecture)
    source = "" if origin is None else f", source {origin.sha256}"
    return f"{getattr(ARCHITECTURES.get(architecture), 'version', 1)}, torch {torch.__version__}{source}"


@cache
def flops_of_a_pass(architecture: str, classes: int, height: int, width: int) -> float:
    """Return the multiplications and additions of one image's forward pass and of the gradient of its pixels."""
    image = torch.zeros(1, 3, height, width, dtype=torch.uint8)
    network = build_network(architecture, classes, image, normalise=False, seed=0, device=torch.device("cpu"))
    network.eval().requires_grad_(False)
    from bench.plan.flops import FlopCounter  # torch's formulas take a while to import, and most plans find the number

    with FlopCounter() as counter:
        F.cross_entropy(network(image.float().requires_grad_()), torch.zeros(1, dtype=torch.int64)).backward()
    return float(counter.total)


@cache
def weight_bytes(architecture: str, classes: int, height: int, width: int) -> float:
    """Return the bytes of one checkpoint of a network for images of a size."""
    image = torch.zeros(1, 3, height, width, dtype=torch.uint8)
    network = build_network(architecture, classes, image, normalise=False, seed=0, device=torch.device("cpu"))
    return float(sum(tensor.nbytes for tensor in network.state_dict().values()))
