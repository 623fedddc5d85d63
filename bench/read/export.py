"""Protected sets, and what victims see of them, as files for other tools."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from bench.core.disk import make_folder, write_atomically, writing
from bench.data.images import ImageSet, Splits
from bench.data.loading import load_planned
from bench.plan.mixture import seen_by_victim
from bench.plan.plan import Plan, PlannedCell
from bench.plan.stage import VictimJob
from bench.read.damage import undamaged
from bench.spec.axes import unusual_marks
from bench.store.home import Home


@dataclass(frozen=True)
class Exported:
    """A set of images: what it is, and the file it was written to; None where it is not crafted yet."""

    what: str
    path: Path | None


def export(plan: Plan, home: Home, folder: Path) -> Iterator[Exported]:
    """Write each protected set of a plan to `folder` as KEY.npz, and yield it.

    A victim whose defense takes a copy of its training set has that written, too, where only a part of it is protected
    or clean images are besides. The archive holds `images`, uint8 [N, H, W, 3], `labels`, int64 [N], and `classes`, as
    the data set format `npz` reads them. The key is that of the protected set, or of the `training_set` of the victim.

    Raises `SepbenchError` where the folder cannot be written to, the data set cannot be read, or a protected set is
    damaged.
    """
    with writing(folder, "--out"):
        make_folder(folder)
    experiment = plan.experiment

    @cache
    def splits() -> Splits:
        return load_planned(experiment.dataset.located(), plan.card, home.cards, experiment.added_images)

    for name, (what, craft, victim) in _wanted(plan).items():
        if not home.store.has("craft", craft):
            yield Exported(what, None)
            continue
        with undamaged():
            tensors = home.store.tensors("craft", craft, "protected")
        images = ImageSet(tensors["images"], tensors["labels"], plan.card.classes)
        if victim is not None:
            images = seen_by_victim(victim, splits(), images.images)
        path = folder / f"{name}.npz"
        with writing(folder, "--out"):
            write_atomically(path, _archive(images))
        yield Exported(what, path)


def _wanted(plan: Plan) -> dict[str, tuple[str, str, VictimJob | None]]:
    """Return by key of each set what it is, the key of its release, and a victim that sees it; None for the release."""
    wanted: dict[str, tuple[str, str, VictimJob | None]] = {}
    for planned in plan.cells:
        wanted.setdefault(planned.craft, (release_name(plan, planned), planned.craft, None))
    for planned in plan.cells:
        job = plan.stages[planned.victim].job
        if isinstance(job, VictimJob) and job.defenses.reads_copies:
            wanted.setdefault(job.training_set, (_mixture(plan, planned), planned.craft, job))
    return wanted


def release_name(plan: Plan, planned: PlannedCell) -> str:
    """Return what a protected set is called among those of its plan: method, budget, seeds where there are several."""
    experiment, cell = plan.experiment, planned.cell
    seeds = [("surrogate", experiment.surrogate_seeds, cell.surrogate_seed)] if planned.surrogates else []
    seeds += [("craft", experiment.craft_seeds, cell.craft_seed)] if cell.budget else []
    told = [f"{whose} seed {seed}" for whose, all_of_them, seed in seeds if len(all_of_them) > 1]
    return " · ".join([plan.stages[planned.craft].name, *told])


def _mixture(plan: Plan, planned: PlannedCell) -> str:
    cell = planned.cell
    drawn = [f"seed {cell.seed}"] if cell.protected_fraction < 1 else []
    return " · ".join([release_name(plan, planned), *unusual_marks(cell.fields()), *drawn])


def _archive(images: ImageSet) -> bytes:
    archive = io.BytesIO()
    np.savez(
        archive,
        images=images.images.permute(0, 2, 3, 1).numpy(),
        labels=images.labels.numpy(),
        classes=np.array(images.classes),
    )
    return archive.getvalue()
