"""How many images a data set has, in words: of each class, and in both splits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_NAMES_SHOWN = 10


@dataclass(frozen=True)
class Counts:
    """Images of a data set as they are used.

    Attributes
    ----------
    classes
        Their names.
    train
        Training images of each class.
    test
        Test images of each class that is judged: of all, or of the first ones.
    in_both
        Test images that are training images, too, byte for byte.
    in_clean
        The same of those that are training images or clean images besides, 0 where this says no more.

    """

    classes: tuple[str, ...]
    train: tuple[int, ...]
    test: tuple[int, ...]
    in_both: int = 0
    in_clean: int = 0

    def sentence(self) -> str:
        """Return how many there are, without a point."""
        train, test = f"{sum(self.train):,} training", f"{sum(self.test):,} test images"
        if len(self.test) == len(self.train):
            each = f"({_range(self.train)} and {_range(self.test)} of each)"
            return f"{train} and {test} of {len(self.train)} class{'es' * (len(self.train) != 1)} {each}"
        return (
            f"{train} images of {len(self.train)} classes ({_range(self.train)} of each) and {test} of the "
            f"{len(self.test)} that are judged ({_range(self.test)} of each)"
        )

    def of_each_class(self) -> Iterator[str]:
        """Yield training and test images of each class, as in `cat: 6 + 3`; only training images of one not judged."""
        test = [f" + {count:,}" for count in self.test] + [""] * (len(self.train) - len(self.test))
        for name, in_train, in_test in zip(self.classes, self.train, test, strict=True):
            yield f"{name}: {in_train:,}{in_test}"

    @property
    def uneven(self) -> bool:
        """Whether classes differ in their numbers of images."""
        return len(set(self.train)) > 1 or len(set(self.test)) > 1

    def oddities(self, dataset: str) -> Iterator[str]:
        """Yield a sentence, without a point, for each thing that makes numbers of this data set mean something else."""
        for counts, kind, so in ((self.train, "training", ""), (self.test, "test", ", and so no accuracy")):
            empty = [name for name, count in zip(self.classes, counts, strict=False) if not count]
            if empty:
                have = "has" if len(empty) == 1 else "have"
                some = f"{len(empty)} of the {len(counts)} classes of {dataset}"
                yield f"{some} {have} no {kind} images{so}: {names_of(empty)}"
        n = sum(self.test)
        for count, one, several in (
            (self.in_both, "is a training image, too", "are training images, too"),
            (self.in_clean, "is a training or clean image, too", "are training or clean images, too"),
        ):
            if count:
                some = f"all {n:,}" if count == n else f"{count:,} of the {n:,}"
                yield f"{some} test images of {dataset} {one if 1 == count < n else several}"


def names_of(names: Sequence[str]) -> str:
    """Return names in a row: `cat, dog and owl`; of many the first ones, and how many more there are."""
    if len(names) > _NAMES_SHOWN:
        shown = names[: _NAMES_SHOWN - 2]
        return f"{', '.join(shown)} and {len(names) - len(shown)} more"
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _range(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
