"""Whether what was made elsewhere, or before, was made of the images that are here."""

from bench.core.errors import SepbenchError
from bench.data.loading import DataCard


def check_same_images(what: object, dataset: str, train_sha256: str, test_sha256: str, card: DataCard) -> None:
    """Raise `SepbenchError` where `what` was made with other images of a data set than `card` describes."""
    for split, theirs, ours in (
        ("training", train_sha256, card.train_sha256),
        ("test", test_sha256, card.test_sha256),
    ):
        if theirs != ours:
            raise SepbenchError(
                f"{what} was made with other {split} images of '{dataset}' (digest {theirs[:8]} there, {ours[:8]} "
                f"here): bring the same data set, or say where it lies with --set dataset.FIELD=PATH"
            )
