"""Whether a clean reference has learned anything: where it has not, nothing can be told about protection."""

from collections.abc import Iterable, Sequence
from math import sqrt

from bench.read.stats import summarise_cell
from bench.record.record import Record

_POINTS = 5.0  # percent
_DEVIATIONS = 1.645  # that guessing stays below in 95 % of cases


def is_near_chance(accuracy: float, classes: int, images: int | None = None) -> bool:
    """Return whether an accuracy, in percent, is less than 5 points, or less than as much again, above chance.

    Chance is 100 / `classes`: the line is at 55 % of 2 classes, 15 % of 10, and 2 % of 100. On few test `images` it is
    where guessing gets by luck: at 68.4 % of 2 classes on 20.
    """
    chance = 100 / classes
    return accuracy < chance + max(min(chance, _POINTS), _luck(classes, images))


def _luck(classes: int, images: int | None) -> float:
    """Return how far above chance guessing gets on so few test images, in percent."""
    share = 1 / classes
    return 0.0 if not images else 100 * _DEVIATIONS * sqrt(share * (1 - share) / images)


def chance_of(records: Iterable[Record]) -> float | None:
    """Return what guessing gets right, in percent; None where no record tells how many classes there are."""
    counts = (_classes(record) for record in records)
    return next((100 / classes for classes in counts if classes > 1), None)


def near_chance(clean: Sequence[Record]) -> str | None:
    """Return how a clean reference stands to chance, as in `12.0 % on 10 classes, hardly above chance (10 %)`.

    `clean` are the records of its runs. Classes are those that are judged, and where only some of them are protected
    all that a network chooses from. None where the reference is well above chance, or records do not tell what that is.
    """
    measured = [record for record in clean if record.test_acc is not None and record.test_acc_per_class is not None]
    if not measured:
        return None
    accuracy = summarise_cell(measured, "test_acc").mean
    classes = _classes(measured[0])
    images = measured[0].n_test
    if classes < 2 or not is_near_chance(accuracy, classes, images):
        return None
    chance = 100 / classes
    if not is_near_chance(accuracy, classes):
        return (
            f"{accuracy:.1f} % on {classes} classes, where guessing may get on {images} images (chance: {chance:.3g} %)"
        )
    hardly = "hardly" if accuracy > chance else "not"
    return f"{accuracy:.1f} % on {classes} classes, {hardly} above chance ({chance:.3g} %)"


def _classes(record: Record) -> int:
    """Return how many classes a network that has learned nothing chooses from, 0 where the record does not tell."""
    if record.protected_classes is not None:
        return len(record.classes or ())
    return sum(one is not None for one in record.test_acc_per_class or ())
