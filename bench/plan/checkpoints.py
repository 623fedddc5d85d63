"""Which checkpoints of a surrogate crafting takes, what their files are called, and loading them."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch

from bench.contracts import placement
from bench.contracts.method import Surrogate
from bench.contracts.network import Network, build_network
from bench.core.errors import SepbenchError
from bench.core.keys import key
from bench.data.images import ImageSet
from bench.store.artifacts import CorruptArtifact, Store
from bench.store.rounding import is_rounded

SMALL = 2**30
"""Bytes of a surrogate's checkpoints below which every epoch is kept, whoever asks for it."""


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints that crafting takes of one surrogate stage, trained for `trained` epochs."""

    surrogate: str
    architecture: str
    need: Surrogate
    trained: int

    def identity(self) -> Any:
        """Return what decides the weights, as JSON: epochs, or how they are found once the run is trained."""
        epochs = self.need.epochs(self.trained)
        if epochs is not None:
            return epochs
        return [self.need.placement, self.need.checkpoints, placement.IMPROVING_VERSION]


def checkpoint_name(epoch: int) -> str:
    """Return the name under which a surrogate's artifact holds the weights after a 0-based epoch."""
    return f"epoch-{epoch:03d}"


def kept_epochs(
    asked: Sequence[Surrogate], trained: int, weights: float, test_acc: Sequence[float] | None = None
) -> tuple[int, ...] | None:
    """Return the 0-based epochs whose checkpoints a surrogate of `trained` epochs keeps, ascending.

    All of them where they are small, so that other methods find theirs, too; else those that are asked for.

    Parameters
    ----------
    weights
        Bytes of one checkpoint.
    test_acc
        Test accuracy after each epoch, once it is trained.

    Returns
    -------
    None where which they are depends on the test accuracies, and these are not given.

    """
    if not asked or trained * weights < SMALL:
        return tuple(range(trained))
    found = [_epochs_of(need, trained, test_acc) for need in asked]
    if None in found:
        return None
    return tuple(sorted({epoch for epochs in found for epoch in epochs or ()}))


def lacks(part: Checkpoints, store: Store) -> bool:
    """Tell whether a finished surrogate was kept without checkpoints that crafting takes."""
    try:
        return not set(names_of(part, store)) <= set(store.names("surrogate", part.surrogate))
    except SepbenchError:  # the run never had so many: crafting says so
        return False


def names_of(part: Checkpoints, store: Store) -> list[str]:
    """Return the names of the checkpoints that crafting takes, in the order of their epochs."""
    history = store.meta("surrogate", part.surrogate)["history"]
    return [checkpoint_name(epoch) for epoch in part.need.epochs(part.trained, history["test_acc"]) or ()]


def weights_of(parts: Sequence[Checkpoints], store: Store) -> str:
    """Return a digest of the very weights that crafting takes: on a GPU no two training runs of one key end alike."""
    return key(
        [[store.entry("surrogate", part.surrogate, name)["sha256"] for name in names_of(part, store)] for part in parts]
    )


def are_rounded(parts: Sequence[Checkpoints], store: Store) -> bool:
    """Tell whether any of the checkpoints was rounded to bfloat16, here or on its way here."""
    return any(is_rounded(store, "surrogate", part.surrogate) for part in parts)


def load_checkpoints(part: Checkpoints, clean: ImageSet, store: Store, device: torch.device) -> Iterator[Network]:
    """Yield the networks, in eval mode on the device, in the order of their epochs.

    `clean` are the images that the surrogate was trained on. Raises `SepbenchError` where it has fewer checkpoints of
    the kind than asked for, `CorruptArtifact` where the weights of one are not finite.
    """
    untrained = None
    for name in names_of(part, store):
        # Once: drawing weights that are not used takes longer than loading those that are.
        untrained = untrained or build_network(
            part.architecture, len(clean.classes), clean.images, normalise=False, seed=0, device=device
        )
        network = deepcopy(untrained)
        weights = store.tensors("surrogate", part.surrogate, name)
        if not all(bool(value.isfinite().all()) for value in weights.values()):
            raise CorruptArtifact("surrogate", part.surrogate, f"{name} holds weights that are not finite")
        network.load_state_dict(weights)
        yield network.eval()


def _epochs_of(need: Surrogate, trained: int, test_acc: Sequence[float] | None) -> tuple[int, ...] | None:
    try:
        return need.epochs(trained, test_acc)
    except SepbenchError:  # fewer improved than were asked for: crafting says so
        return ()
