"""Crafting a protection, and writing its pictures, their manifest and a preview to a folder."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bench.core.disk import write_atomically, writing
from bench.core.errors import SepbenchError
from bench.data.originals import Output, Picture, is_unfinished
from bench.data.originals.preview_sheet import Shown, sheet, spread
from bench.data.releases.opening import MANIFEST
from bench.engine.native import bring_to_own_size
from bench.flows.choices import FIT
from bench.flows.manifest import altered, manifest, measure, others_in, read_manifest, written_by
from bench.flows.protection import Protection
from bench.run.executors.executor import Workplace
from bench.run.executors.local import traceback_of
from bench.run.invocation import Invocation, run_plan
from bench.store.artifacts import CorruptArtifact

PREVIEW = "preview.png"

_SHOWN = 8  # pictures, of as many classes as there are
_LEARNT = 15  # points above guessing from which on a surrogate has learnt something


@dataclass(frozen=True, eq=False)
class Protected:
    """Protected pictures that stand in a folder.

    Attributes
    ----------
    out
        The folder.
    manifest
        What its `manifest.json` says.

    """

    out: Path
    manifest: dict[str, Any]


class Delivery:
    """The output folder of one protection: claimed as a context, filled once the perturbations are crafted.

    Until it is claimed, nothing is written.

    Parameters
    ----------
    out
        A folder that is not there yet, is empty, or holds what an earlier delivery of the same protection has left.
    form
        How pictures of a folder are written: `png`, which loses nothing, or `jpeg`, whose loss the budget cannot hold.
    quality
        Of JPEG, 1 to 100.

    Raises
    ------
    SepbenchError
        The folder is where the originals are, holds anything else, or cannot be written to.

    """

    def __init__(self, protection: Protection, out: Path, form: str = "png", quality: int = 95) -> None:
        self._protection, self._out = protection, out
        self._written_as: dict[str, Any] = {"form": form, **({"quality": quality} if form == "jpeg" else {})}
        key, found = protection.key(self._written_as), read_manifest(out)
        told = found if found is not None and found.get("protection") == key else None
        with writing(out, "--out"):
            self._altered = altered(out, told) if told else []
        if told and (others := others_in(out, told)):
            more = f" and {len(others) - 1:,} more, which" if len(others) > 1 else ", which"
            raise SepbenchError(
                f"{out} holds {others[0]}{more} this protection has not written: move what is not of it elsewhere, as "
                f"it would be judged and published with the rest"
            )
        self.finished = Protected(out, told) if told and not self._altered and not is_unfinished(out) else None
        """What stands in the folder where an earlier delivery has ended; None where there is something to do."""
        known = written_by(told) if told else ()
        self._writer = protection.originals.writer(Output(out, form, quality, key, measure, known))

    def __enter__(self) -> "Delivery":
        """Claim the folder where there is something to do; raises `SepbenchError` where another run writes there."""
        if self.finished is None:
            self._writer.claim()
        return self

    def __exit__(self, *raised: object) -> None:
        """Let others go on in the folder."""
        self._writer.release()

    def craft(self, place: Workplace) -> tuple[str, ...]:
        """Train the surrogate and craft, as far as that is not done; return what is doubtful of it, in sentences.

        Raises `SepbenchError` where a stage fails or the disk refuses, `Stopped` where the workplace asked for it.
        """
        if self.finished is not None:
            return ()
        doubts = _craft(self._protection, place)
        return (*_on_altered(self._out, self._altered), *doubts)

    def write(self, progress: Callable[[int], object] = lambda written: None) -> Protected:
        """Write the pictures that are not there yet, the preview and the manifest; `progress` is told how many are."""
        if self.finished is None:
            self.finished = self._write(progress)
        return self.finished

    def _write(self, progress: Callable[[int], object]) -> Protected:
        protection, writer, out = self._protection, self._writer, self._out
        crafted = protection.home.store.tensors("craft", protection.stage.key, "protected")["images"]
        files = []
        for index in range(len(protection.originals)):
            done = writer.done(index)
            if done is None:
                picture = protection.originals.picture(index)
                done = writer.write(index, picture, _at_own_size(protection, picture, crafted[index]))
            files.append(done)
            progress(index + 1)
        made = manifest(protection, files, writer.archives(), writer.remarks, self._written_as)
        with writing(out, "--out"):
            write_atomically(out / PREVIEW, _preview(protection, crafted))
            write_atomically(out / MANIFEST, f"{json.dumps(made, indent=1)}\n".encode())
        writer.finish()
        return Protected(out, made)


def _craft(protection: Protection, place: Workplace) -> tuple[str, ...]:
    store = protection.home.store
    while True:
        summary = run_plan(protection.plan, Invocation(place))
        summary.check_stopped()
        if summary.broken:
            failed = summary.broken[0]
            file = traceback_of(failed.stage, place.home.logs)
            kept = f"its traceback is in {file}" if place.home.kept else "home=FOLDER keeps its traceback"
            raise SepbenchError(f"{failed.stage.label} failed: {failed.reason}; {kept}")
        try:
            store.tensors("craft", protection.stage.key, "protected")
            return summary.doubts
        except CorruptArtifact as damage:  # crafted again
            store.set_aside(damage.kind, damage.key, damage.what)


def _at_own_size(protection: Protection, picture: Picture, crafted: Tensor) -> NDArray[np.uint8]:
    """Return a protected picture at its own size, uint8 [H, W, 3]; a grey one stays grey."""
    if protection.size.side is None and not picture.grey:
        return crafted.permute(1, 2, 0).numpy()
    return bring_to_own_size(picture.rgb, crafted.numpy(), FIT, protection.budget, grey=picture.grey)


def _on_altered(out: Path, names: list[str]) -> Iterator[str]:
    if names:
        others = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
        yield f"{names[0]}{others} of {out} had been altered or removed since and will be written again"


def _preview(protection: Protection, crafted: Tensor) -> bytes:
    originals, shown = protection.originals, []
    for index in spread(originals.labels, _SHOWN):
        picture = originals.picture(index)
        protected = _at_own_size(protection, picture, crafted[index])
        shown.append(Shown(originals.names[index], picture.rgb, protected))
    return sheet(shown, f"{protection.job.method.name} within {protection.budget} on {originals.path.name}")


def report(made: Protected) -> str:
    """Return what came out: how many pictures, what they spent of the budget, and what lies beside them."""
    told, spent = made.manifest, made.manifest["spent"]
    alike = [f"PSNR {spent['mean_psnr']:.1f} dB"] if spent["mean_psnr"] is not None else []
    alike += [f"SSIM {spent['mean_ssim']:.3f}"] if spent["mean_ssim"] is not None else []
    lines = [
        f"{told['pictures']:,} protected pictures are in {made.out}: no value moved by more than "
        f"{spent['largest_linf']} of 255 levels; {', '.join(alike)} on average",
        *told["remarks"],
        *_weak(told),
        *_counted(note for one in told["files"] for note in one.get("notes", ())),
        f"{MANIFEST} says of each what it was and spent; {PREVIEW} shows some beside their originals: publish the "
        f"folder without it",
    ]
    return "\n".join(lines)


def _weak(told: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is to be said of surrogates that have hardly learnt to tell the pictures apart."""
    chance = 100 / len(told["classes"])
    for one in told["surrogates"]:
        right = one["training_accuracy"]
        if right is not None and right < chance + _LEARNT:
            yield (
                f"the surrogate {one['network']} recognises {right:.0f} % of the pictures that it was trained on, and "
                f"guessing {chance:.0f} %: expect little of this protection, and train longer with another --recipe"
            )


def _counted(notes: Iterable[str]) -> Iterator[str]:
    for note, count in Counter(notes).items():
        yield f"{count:,} picture{'s' * (count != 1)}: {note}"
