"""From a path and a data set to a protected set that is paired, measured and ready to train on."""

from dataclasses import dataclass
from pathlib import Path

from bench.core.errors import SepbenchError
from bench.data.images import ImageSet
from bench.data.releases.aligned import aligned
from bench.data.releases.meaning import Kind
from bench.data.releases.opening import clean_images, open_release
from bench.data.releases.own_labels import labels_of, on_labels
from bench.data.releases.pairing import Pairing, pair
from bench.data.releases.protected_set import Clean, Positions, Release, comparable
from bench.data.releases.spent import Spent, measure
from bench.data.spec import DatasetSpec


@dataclass(frozen=True, eq=False)
class Brought:
    """A protected set beside its clean images.

    Attributes
    ----------
    clean
        All clean training images, at the size at which both were compared.
    resized
        Whether that is the size that networks see, as protected images have no other.
    on_labels
        How its labels stand to those of the clean images, as a clause.

    """

    release: Release
    clean: Clean
    pairing: Pairing
    spent: Spent
    resized: bool
    on_labels: str

    def training_set(self, positions: Positions) -> ImageSet:
        """Return those of the training images as networks see them, with protected ones where there are any."""
        import torch

        images = torch.from_numpy(aligned(self.release, self.pairing.clean, self.clean, positions))
        return ImageSet(images, torch.from_numpy(self.clean.source.labels[positions]), self.clean.source.classes)


def bring(path: Path, clean: DatasetSpec, wanted: Kind | None = None, scale: float | None = None) -> Brought:
    """Read a protected set, pair it with the training images of a data set and measure what was spent.

    Raises `SepbenchError` where something is missing, does not fit, or nothing was changed.
    """
    stored = clean_images(clean)
    release = open_release(path, stored, wanted, scale)
    if not len(release):
        raise SepbenchError(f"{release.what} holds no images: give the protected set")
    compared, resized = comparable(release, stored)
    labels = labels_of(release, compared)
    pairing = pair(release, labels, compared)
    spent = measure(release, pairing.clean, compared)
    if not spent.changed:
        raise SepbenchError(
            f"{release.what} holds the clean images of {clean.name} as they are: give the protected ones, or the clean "
            f"ones that they were made from"
        )
    return Brought(release, compared, pairing, spent, resized, on_labels(release, labels, pairing.clean, compared))
