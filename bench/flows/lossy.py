"""What JPEG costs a protection, and that nobody pays it unasked."""

from pathlib import Path

from bench.core.errors import SepbenchError
from bench.data.originals import refuse_jpeg

COST = (
    "JPEG moves values beyond the budget, and much compression undoes much of a protection, though of quality 95 or 75 "
    "it cost SEP nothing that three seeds could tell (500 pictures of 32 pixels, linf-8: a ResNet-8 got 29.2 % right "
    "after PNG and 29.3 % after either)"
)
"""As measured with the defenses jpeg-95 and jpeg-75 beside plain: 29.2 ± 1.0 %, 29.3 ± 6.6 % and 29.3 ± 3.0 %."""


def check_loss(images: Path, form: str, lossy: bool) -> None:
    """Raise `SepbenchError` where a lossy form was chosen that nobody can have, or without taking its loss."""
    refuse_jpeg(images, form)
    if form == "jpeg" and not lossy:
        raise SepbenchError(f"--format jpeg: {COST}: leave it out for PNG, which loses nothing, or add --lossy")
