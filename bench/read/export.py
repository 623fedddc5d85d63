"""Protected sets as files for other tools."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.core.disk import make_folder, write_atomically, writing
from bench.data.images import ImageSet, images_digest
from bench.plan.plan import Plan
from bench.plan.stage import CraftJob, Stage
from bench.store.artifacts import Store


@dataclass(frozen=True)
class Exported:
    """A protected set, and the file it was written to; None where it is not crafted yet."""

    stage: Stage
    path: Path | None


def export(plan: Plan, store: Store, folder: Path) -> Iterator[Exported]:
    """Write each protected set of a plan to `folder` as DIGEST.npz, and yield it.

    The archive holds `images`, uint8 [N, H, W, 3], `labels`, int64 [N], and `classes`, as the data set format `npz`
    reads them. The digest is that of the images, see `images_digest`.

    Raises `SepbenchError` where the folder cannot be written to.
    """
    with writing(folder, "--out"):
        make_folder(folder)
    for stage in plan.stages.values():
        if not isinstance(stage.job, CraftJob):
            continue
        if not store.has("craft", stage.key):
            yield Exported(stage, None)
            continue
        tensors = store.tensors("craft", stage.key, "protected")
        released = ImageSet(tensors["images"], tensors["labels"], plan.card.classes)
        path = folder / f"{images_digest(released.images)}.npz"
        archive = io.BytesIO()
        np.savez(
            archive,
            images=released.images.permute(0, 2, 3, 1).numpy(),
            labels=released.labels.numpy(),
            classes=np.array(released.classes),
        )
        with writing(folder, "--out"):
            write_atomically(path, archive.getvalue())
        yield Exported(stage, path)
