"""What a stage asks a Ray cluster for: cores, a GPU or a share of one, threads."""

import os
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import torch

from bench.core.errors import SepbenchError
from bench.plan.estimate import threads_of_each
from bench.plan.stage import CraftJob, Stage

Resources = Mapping[str, float]
"""What a node has: "CPU", "GPU" and others, by their names."""

_MOST_ON_A_GPU = 4
_ROOM, _CONTEXT_MB = 1.25, 1024.0
"""How much of a GPU a stage is reckoned to take besides the tensors that were measured: fragments, and CUDA itself."""


@dataclass(frozen=True)
class Request:
    """Resources of one stage; `gpus` is 0, a share of one, or 1."""

    cpus: float
    gpus: float
    threads: int

    def fits(self, node: Resources) -> bool:
        """Tell whether a node could ever give this."""
        return node.get("CPU", 0.0) >= self.cpus and node.get("GPU", 0.0) >= self.gpus

    def at_once(self, nodes: Sequence[Resources]) -> int:
        """Return how many such stages the nodes run at once."""
        return sum(
            int(min([node.get("CPU", 0.0) / self.cpus, *([node.get("GPU", 0.0) / self.gpus] if self.gpus else [])]))
            for node in nodes
        )

    def __str__(self) -> str:
        """Return it in words."""
        gpu = {0.0: "", 1.0: "a GPU and "}.get(self.gpus, f"{self.gpus:.2g} of a GPU and ")
        return f"{gpu}{self.cpus:g} core{'s' * (self.cpus != 1)}"


class Requests:
    """Says what each stage asks for, and learns from those that ended how many of their like a GPU holds.

    Parameters
    ----------
    wanted
        "cpu", "cuda", or "auto": GPUs where a node has one.
    jobs
        How many stages share a GPU, or the cores of the smallest node; 1 lets the measured memory decide about GPUs.

    """

    def __init__(self, wanted: str, jobs: int, nodes: Sequence[Resources]) -> None:
        with_gpus = [node for node in nodes if node.get("GPU", 0.0) >= 1]
        self.on_gpus = wanted == "cuda" or (wanted == "auto" and bool(with_gpus))
        self._jobs = jobs
        self._cores_of_a_gpu = min((node.get("CPU", 1.0) / node["GPU"] for node in with_gpus), default=1.0)
        self._cores = int(min((node["CPU"] for node in nodes if node.get("CPU", 0.0) >= 1), default=1.0))
        self._peak_mb: dict[Hashable, float] = {}
        self._gpu_mb = 0.0
        if wanted == "cuda" and not with_gpus:
            raise SepbenchError(
                "--devices cuda asks for a GPU, and no node of the Ray cluster has one: use --devices cpu"
            )

    @property
    def device(self) -> str:
        """The name of the device in every worker, which sees no other GPU than its own."""
        return "cuda" if self.on_gpus else "cpu"

    def of(self, stage: Stage) -> Request:
        """Return what a stage asks for."""
        set_by_user = torch.get_num_threads() if "OMP_NUM_THREADS" in os.environ else None
        if not self.on_gpus:
            threads = set_by_user or max(
                1, min(threads_of_each(torch.device("cpu"), self._jobs), self._cores // self._jobs)
            )
            return Request(float(threads), 0.0, threads)
        together = self._jobs if self._jobs > 1 else self._together(stage)
        cores = self._cores_of_a_gpu / together
        cores = float(int(cores)) if cores > 1 else cores  # Ray takes whole ones above 1
        return Request(cores, 1.0 / together, set_by_user or max(1, int(cores)))

    def learn(self, stage: Stage, peak_mb: float, gpu_mb: float) -> None:
        """Take in how much memory a stage took of a GPU of how much."""
        if gpu_mb > 0:
            self._peak_mb[_like(stage)] = max(peak_mb, self._peak_mb.get(_like(stage), 0.0))
            self._gpu_mb = min(gpu_mb, self._gpu_mb or gpu_mb)

    def _together(self, stage: Stage) -> int:
        """Return how many stages like this one a GPU holds: one until one was measured."""
        peak = self._peak_mb.get(_like(stage))
        if peak is None:
            return 1
        return max(1, min(_MOST_ON_A_GPU, int(self._gpu_mb / (_ROOM * peak + _CONTEXT_MB))))


def _like(stage: Stage) -> Hashable:
    """Return what stages have in common that take the same memory."""
    job = stage.job
    if isinstance(job, CraftJob):
        return stage.kind, job.method.known_as, job.networks
    return stage.kind, job.architecture, job.recipe.batch_size, str(job.defenses)
