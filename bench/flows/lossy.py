"""What JPEG costs a protection, and that nobody pays it unasked."""

from pathlib import Path

from bench.core.errors import SepbenchError
from bench.data.originals import refuse_jpeg

COST = (
    "JPEG moves values beyond the budget and takes some of the protection with it (in the experiment cifar10-cpu-jpeg "
    "SEP leaves a ResNet-8 at 10.4 %, at 10.7 % after JPEG of quality 95, 14.4 % after 75, 16.0 % after 50 and 52.6 % "
    "after 10)"
)
"""Means over three victim seeds; clean images give 63.0 %, and 58.1 % after quality 10."""


def check_loss(images: Path, form: str, lossy: bool) -> None:
    """Raise `SepbenchError` where a lossy form was chosen that nobody can have, or without taking its loss."""
    refuse_jpeg(images, form)
    if form == "jpeg" and not lossy:
        raise SepbenchError(f"--format jpeg: {COST}: leave it out for PNG, which loses nothing, or add --lossy")
