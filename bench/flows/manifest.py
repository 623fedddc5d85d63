"""What stands in manifest.json beside protected pictures: of each what it is and spent, and of all how they came."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from bench import __version__
from bench.core.outside import json_of
from bench.core.paths import is_below, stands
from bench.data.originals import Written
from bench.data.releases.opening import MANIFEST
from bench.engine.recipe import Recipe
from bench.engine.release import audit
from bench.flows.choices import FIT
from bench.flows.protection import Protection
from bench.plan.stage import SurrogateJob
from bench.store.artifacts import CorruptArtifact, Store


def measure(original: NDArray[np.uint8], written: NDArray[np.uint8]) -> dict[str, Any]:
    """Return what a picture spent of its budget and how alike it is, from pixels at its own size, uint8 [H, W, 3].

    `linf` is in levels of 1/255, `l2` on the scale [0, 1], `l0` in pixels, `psnr` in dB; `psnr` is None where nothing
    changed, `ssim` where the picture is smaller than its window of 11 pixels.
    """
    clean, released = (torch.tensor(one.transpose(2, 0, 1)[None]) for one in (original, written))
    found = audit(clean, released)
    return {
        "width": original.shape[1],
        "height": original.shape[0],
        "linf": found.linf_levels,
        "l2": round(found.l2, 4),
        "l0": found.l0,
        "psnr": None if found.psnr is None else round(found.psnr, 2),
        "ssim": None if found.ssim is None else round(found.ssim, 4),
    }


def manifest(
    protection: Protection,
    files: Sequence[Written],
    archives: Sequence[Written],
    remarks: Sequence[str],
    form: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the manifest of pictures that are written, and of the files of many that hold them.

    The stages of the protection are in its home's store.
    """
    store, plan = protection.home.store, protection.plan
    crafted = store.meta("craft", protection.stage.key)
    surrogates = [(key, stage.job) for key, stage in plan.stages.items() if isinstance(stage.job, SurrogateJob)]
    origin = crafted["provenance"]
    return {
        "sepbench": __version__,
        "protection": protection.key(form),
        "method": protection.job.method.name,
        "parameters": protection.job.method.params_json(),
        "budget": str(protection.budget),
        "seed": protection.job.seed,
        "recipe": {"name": plan.experiment.recipe.name, **plan.experiment.recipe.training_fields()},
        "surrogates": [
            {
                "network": job.architecture,
                "seed": job.seed,
                **_trained_otherwise(job, plan.experiment.recipe),
                "key": key,
                "training_accuracy": _training_accuracy(store, key),
            }
            for key, job in surrogates
        ],
        "protected_key": protection.stage.key,
        "crafted_at": {"width": protection.size.width, "height": protection.size.height},
        "fit": None if protection.size.side is None else FIT,
        **form,
        **{name: origin[name] for name in ("started", "torch", "device", "precision", "git_sha")},
        **({"processor": told} if (told := origin.get("processor")) else {}),
        "pictures": len(files),
        "classes": list(protection.originals.classes),
        "spent": summary([one.measured for one in files]),
        "remarks": list(remarks),
        **({"archives": [one.to_dict() for one in archives]} if archives else {}),
        "files": [one.to_dict() for one in files],
    }


def _trained_otherwise(job: SurrogateJob, usual: Recipe) -> dict[str, Any]:
    """Return what a surrogate is trained by, where that is not what the manifest says of all."""
    told: dict[str, Any] = {} if str(job.defenses) == "plain" else {"defenses": str(job.defenses)}
    if job.recipe != usual:
        told["recipe"] = {"name": job.recipe.name, **job.recipe.training_fields()}
    return told


def _training_accuracy(store: Store, key: str) -> float | None:
    with suppress(CorruptArtifact):  # nothing needs it once the pictures are crafted
        return round(float(store.meta("surrogate", key)["history"]["train_acc"][-1]), 2)
    return None


def summary(measured: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the largest and the mean of what pictures spent, and the mean of how alike they are."""

    def mean(name: str) -> float | None:
        values = [one[name] for one in measured if one[name] is not None]
        return round(float(np.mean(values)), 4) if values else None

    most = {f"largest_{name}": max(one[name] for one in measured) for name in ("linf", "l2", "l0")}
    return {**most, **{f"mean_{name}": mean(name) for name in ("linf", "l2", "psnr", "ssim")}}


def written_by(told: Mapping[str, Any]) -> tuple[Written, ...]:
    """Return what a manifest says was written: pictures, and files of many."""
    return tuple(Written.from_dict(one) for one in (*told["files"], *told.get("archives", ())))


def altered(out: Path, told: Mapping[str, Any]) -> list[str]:
    """Return which files of an output folder are gone, or not what its manifest says was written."""
    files = {str(one["file"]): str(one["sha256_out"]) for one in told.get("archives") or told["files"]}
    return [name for name, digest in files.items() if not (is_below(name) and stands(out / name, digest))]


def others_in(out: Path, told: Mapping[str, Any]) -> list[str]:
    """Return which files of an output folder its manifest does not name and whoever reads the folder takes for some."""
    from PIL import Image

    archives = {one["file"] for one in told.get("archives", ())}
    ours = archives or {one["file"] for one in told["files"]}
    endings = {Path(name).suffix for name in archives} or set(Image.registered_extensions())
    found = (path for path in out.rglob("*") if path.suffix.lower() in endings and path.is_file())
    read = (path.relative_to(out) for path in found if archives or path.parent != out)
    return sorted(path.as_posix() for path in read if path.as_posix() not in ours and path.parts[0][0] != ".")


def read_manifest(out: Path) -> dict[str, Any] | None:
    """Return the manifest of an output folder, None where there is none that can be read."""
    try:
        found = json_of((out / MANIFEST).read_bytes())
        _ReadAgain.model_validate(found)
        written_by(found)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    return dict(found)


class _Told(BaseModel):
    """A part of a manifest; of what else stands there nothing is taken."""

    model_config = ConfigDict(strict=True)


class _Picture(_Told):
    """What a picture spent, and what a person has to know of it."""

    linf: int
    l2: float
    l0: int
    psnr: float | None
    ssim: float | None
    notes: list[str] = []


class _Surrogate(_Told):
    """A network that was crafted with."""

    network: str
    training_accuracy: float | None


class _Spent(_Told):
    """What all pictures spent, as far as it is reported."""

    largest_linf: int
    mean_psnr: float | None
    mean_ssim: float | None


class _ReadAgain(_Told):
    """What a later run takes from a manifest: one that lacks it was changed by others."""

    pictures: int
    classes: list[str] = Field(min_length=1)
    surrogates: list[_Surrogate]
    spent: _Spent
    remarks: list[str]
    files: list[_Picture]
