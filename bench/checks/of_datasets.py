"""What a data set, or a format of data sets, promises."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.checks.failure import Failure, check_description, check_parameters, require
from bench.checks.inputs import global_chance
from bench.contracts.dataset import DATASETS, DatasetPlugin, Source
from bench.data.checks import check_labels
from bench.data.loading import load
from bench.data.spec import DatasetSpec

_FIRST = 20
_SIDE = 16


def plugin(spec: DatasetSpec) -> DatasetPlugin:
    """Return what reads a data set."""
    kind = DATASETS.get(spec.format)
    return kind(kind.Params.model_validate(spec.params))


def opened(spec: DatasetSpec) -> list[tuple[str, Source]]:
    """Return the splits that a data set has, each with what it is called."""
    found = plugin(spec).open()
    pair = isinstance(found, tuple | list) and len(found) == 2
    require(pair, "open returns no pair: return the training and the test Source, or None for no test images", "open")
    return [(part, source) for part, source in zip(("training", "test"), found, strict=True) if source is not None]


def read(source: Source, positions: Sequence[int]) -> list[NDArray[Any]]:
    """Return the images at these positions as RGB."""
    return [np.asarray(image.convert("RGB")) for image in source.read(np.array(positions, np.int64))]


def same(first: Sequence[NDArray[Any]], second: Sequence[NDArray[Any]]) -> bool:
    """Tell whether images are the same, one by one."""
    return len(first) == len(second) and all(map(np.array_equal, first, second))


def describes_itself(spec: DatasetSpec) -> None:
    """Fail without a docstring, a version, described parameters."""
    check_description(DATASETS.get(spec.format))
    check_parameters(DATASETS.get(spec.format))


def opens_twice_alike(spec: DatasetSpec) -> None:
    """Fail where labels, classes or images are others the second time."""
    with global_chance(0, 0, 0):
        before = [(part, source, read(source, _some(source))) for part, source in opened(spec)]
    with global_chance(1, 1, 1):
        after = opened(spec)
        for (part, first, images), (_, second) in zip(before, after, strict=True):
            alike = first.classes == second.classes and np.array_equal(first.labels, second.labels)
            require(alike, f"the {part} set has other labels or classes when it is opened again: {_FIXED}", "open")
            again = same(images, read(second, _some(second))) and same(images, read(first, _some(first)))
            require(again, f"the {part} set has other images when they are read again: {_FIXED}", "open")


_FIXED = "let nothing but files and parameters decide them; draw with a seed of its own where something is drawn"


def has_labels_that_fit_its_classes(spec: DatasetSpec) -> None:
    """Fail where labels are no positions in the classes, or class names are no different texts."""
    splits = opened(spec)
    for part, source in splits:
        good = isinstance(source.labels, np.ndarray) and source.labels.dtype == np.int64 and source.labels.ndim == 1
        require(good, f"the labels of the {part} set are no int64 [N]: convert them, labels.astype(np.int64)", "open")
        named = all(type(one) is str for one in source.classes) and len(set(source.classes)) == len(source.classes)
        require(named, f"the classes of the {part} set are no texts that all differ: name each class once", "open")
    train, test = splits[0][1], splits[-1][1]
    check_labels(spec.name, train, test)


def reads_images_in_the_order_asked_for(spec: DatasetSpec) -> None:
    """Fail where an image is another one beside others, or in another order."""
    for part, source in opened(spec):
        last = len(source.labels) - 1
        chosen = sorted({0, min(1, last), min(2, last), last})
        alone: dict[int, NDArray[Any]] = {}
        for position in chosen:
            found = read(source, [position])
            require(
                len(found) == 1,
                f"read gives {len(found)} images of the {part} set for one position: give one",
                "open",
            )
            alone[position] = found[0]
        for positions in (chosen[::-1], [*chosen, *chosen], [last, last], chosen[:1], []):
            require(
                same(read(source, positions), [alone[one] for one in positions]),
                f"read gives other images of the {part} set where several are asked for, or in another order: give "
                f"those at the positions, in their order, also one twice",
                "open",
            )


def loads_as_a_run_loads_it(spec: DatasetSpec) -> None:
    """Fail where the images cannot be brought to one size and into one array, or give other bytes the second time."""
    holdout = 0.2 if len(opened(spec)) == 1 else None
    whole = spec.model_copy(update={"holdout": holdout, "resize": _SIDE})
    first, second = load(whole), load(whole)
    if (first.train.sha256, first.test.sha256) != (second.train.sha256, second.test.sha256):
        raise Failure(f"images come out other when it is loaded again: {_FIXED}", "open")


def leads_people_to_each_image(spec: DatasetSpec) -> None:
    """Fail where images have no places, or several have the same."""
    for part, source in opened(spec):
        places = [source.where(position) for position in range(min(3, len(source.labels)))]
        good = all(isinstance(one, str) and one for one in places) and len(set(places)) == len(places)
        require(good, f"where gives {places!r} for images of the {part} set: lead to each by words of its own", "open")


def names_its_files(spec: DatasetSpec) -> None:
    """Fail where files() names some that are not there, or one twice, or remarks() are no clauses."""
    files = plugin(spec).files()
    absent = [str(path) for path in files if not path.is_file()]
    require(
        not absent,
        f"files names {', '.join(absent[:2])}, which is no file: name each that decides the content",
        "files",
    )
    require(len(set(files)) == len(files), "files names one file twice: name each once", "files")
    remarks = plugin(spec).remarks()
    bad = [one for one in remarks if not one or "\n" in one or one.endswith(".")]
    require(not bad, f"remarks gives {bad[:1]!r}: give clauses in one line, without a point", "remarks")


CHECKS: dict[str, Callable[[DatasetSpec], None]] = {
    "describes itself": describes_itself,
    "opens twice alike": opens_twice_alike,
    "has labels that fit its classes": has_labels_that_fit_its_classes,
    "reads images in the order asked for": reads_images_in_the_order_asked_for,
    "leads people to each image": leads_people_to_each_image,
    "names its files": names_its_files,
    "loads as a run loads it": loads_as_a_run_loads_it,
}
"""By what a data set that passes does."""


def _some(source: Source) -> list[int]:
    last = len(source.labels) - 1
    return [*range(min(_FIRST, last + 1)), last]
