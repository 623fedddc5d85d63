"""From a spec to tensors, or only to the card that describes them."""

import hashlib
import json
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from bench.contracts.dataset import DATASETS, DatasetPlugin, Source
from bench.contracts.known import KNOWN, Known
from bench.core.disk import make_folder, write_atomically, writing
from bench.core.errors import NotHere, SepbenchError
from bench.core.file_state import FileState, settled
from bench.data.checks import check_apart, check_judged_classes, check_labels, with_composed_names
from bench.data.counts import Counts
from bench.data.decoding import stack
from bench.data.holdout import held_out
from bench.data.images import ImageSet, Splits, in_both
from bench.data.spec import DatasetSpec
from bench.data.stratify import stratified_prefix

_CARD_VERSION = 3  # bumped when the same files and spec make another card


class DataCard(BaseModel):
    """What plans and records need to know of a loaded data set; image sizes in pixels.

    `n_protected` of the `n_train` training images are protected: those of the first `protected_classes` classes, None
    for all. `train_per_class` counts training images of every class, `test_per_class` test images of those that are
    judged. `n_test_in_train` counts test images that are training images, too, `n_test_in_extra` by the number of clean
    images besides those that are training images or among these. `remarks` are clauses on what a person has to know.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    train_sha256: str
    test_sha256: str
    extra_sha256: dict[int, str] = {}
    classes: tuple[str, ...]
    protected_classes: int | None = None
    n_train: int
    n_protected: int
    n_test: int
    train_per_class: tuple[int, ...] = ()
    test_per_class: tuple[int, ...] = ()
    n_test_in_train: int = 0
    n_test_in_extra: dict[int, int] = {}
    height: int
    width: int
    remarks: tuple[str, ...] = ()

    @property
    def counts(self) -> Counts | None:
        """The images of each class; None where only their sum is known."""
        if not self.train_per_class:
            return None
        most = max(self.n_test_in_extra.values(), default=0)
        return Counts(
            self.classes,
            self.train_per_class,
            self.test_per_class,
            in_both=self.n_test_in_train,
            in_clean=most if most > self.n_test_in_train else 0,
        )


class PublishedCard(DataCard):
    """What is published of a data set that is not on this machine; digests are empty, and `missing` says what to do."""

    missing: str


def load(spec: DatasetSpec, extra: Collection[int] = ()) -> Splits:
    """Decode a data set: RGB, one size, labels checked; and for each number in `extra` so many images besides.

    Raises `SepbenchError` where files are missing or damaged, labels do not fit the classes, images differ in
    size, or a limit asks for more images than there are.
    """
    return _load(_plugin(spec), spec, extra)


def _load(plugin: DatasetPlugin, spec: DatasetSpec, extra: Collection[int]) -> Splits:
    train, test = (
        with_composed_names(spec.name, part, source)
        for part, source in zip(("training", "test"), _both(plugin, spec), strict=True)
    )
    if not spec.allow_same_files:
        check_apart(spec.name, train, test)
    judged = spec.holdout != 0
    check_labels(spec.name, train, test if judged else None)
    if judged and spec.protected_classes is not None:
        test = _of_protected_classes(test, spec)
    if judged and not spec.allow_empty_test_classes:
        check_judged_classes(spec.name, test, spec.protected_classes or len(train.classes))
    chosen, of_test = _chosen(train, spec.limit, _request(spec, "train")), _request(spec, "test")
    in_train, unclear = _decoded(train, chosen, spec)
    if judged:
        in_test, unclear_in_test = _decoded(test, _chosen(test, spec.test_limit, of_test), spec)
    else:
        in_test, unclear_in_test = replace(in_train, images=in_train.images[:0], labels=in_train.labels[:0]), []
    besides = {count: _decoded(train, _besides(train, spec, count), spec) for count in extra}
    splits = Splits(
        train=in_train,
        test=in_test,
        extra={count: images for count, (images, _) in besides.items()},
        protected_classes=None if spec.protected_classes == len(train.classes) else spec.protected_classes,
        remarks=(
            *_on_holdout(spec.holdout),
            *_on_exif([*unclear, *unclear_in_test, *(place for _, places in besides.values() for place in places)]),
        ),
    )
    if len(splits.to_protect) == 0:
        raise SepbenchError(
            f"none of the {spec.limit} training images of '{spec.name}' is of the first {spec.protected_classes} "
            f"classes, which dataset.protected_classes asks for: raise dataset.limit"
        )
    height, width = splits.train.images.shape[2:]
    test_height, test_width = splits.test.images.shape[2:]
    if (height, width) != (test_height, test_width):
        raise SepbenchError(
            f"images differ in size: training images of '{spec.name}' are {width}x{height}, test images "
            f"{test_width}x{test_height}: set dataset.resize to the side that all shall have, in pixels"
        )
    return splits


def _both(plugin: DatasetPlugin, spec: DatasetSpec) -> tuple[Source, Source]:
    """Return the training and the test split, which is a part of the former where that is asked for."""
    train, test = plugin.open()
    if spec.holdout is None:
        if test is None:
            raise SepbenchError(
                f"'{spec.name}' has no test images: say where they are as dataset.test, or hold a part of the training "
                f"images out, as with dataset.holdout=0.2"
            )
        return train, test
    if test is not None:
        raise SepbenchError(
            f"dataset.holdout makes a test set of training images, and '{spec.name}' has test images of its own: leave "
            f"out one of them"
        )
    kept, held = held_out(train, spec.holdout, spec.name)
    return train.part(kept), train.part(held)


def training_positions(source: Source, spec: DatasetSpec) -> NDArray[np.int64]:
    """Return which images of the training split, as its plug-in opened it, are trained on: int64 [n], ascending.

    All but those that `holdout` and `limit` leave out. Raises `SepbenchError` as `load` does.
    """
    kept = np.arange(len(source.labels))
    if spec.holdout is not None:
        kept, _ = held_out(source, spec.holdout, spec.name)
    return kept[_chosen(source.part(kept), spec.limit, _request(spec, "train"))]


def card(spec: DatasetSpec, cache: Path, extra: Collection[int] = ()) -> DataCard:
    """Return the card from the folder `cache`, decoding nothing, or load the data to make it.

    A cached card holds as long as the spec, but for its name, and the `FileState` of every file stay the same.
    """
    plugin = _plugin(spec)
    found = _cached(cache / _card_name(plugin, spec, extra, _file_states(plugin)))
    return load_with_card(spec, cache, extra)[1] if found is None else _with_remarks(found, plugin)


def published_card(spec: DatasetSpec, missing: NotHere, extra: Collection[int] = ()) -> PublishedCard:
    """Return the card of a data set that is not here, from its published sizes; raises `missing` where none are known.

    Raises `SepbenchError` as `load` does where limits ask for more images than there are.
    """
    known = DATASETS.get(spec.format).known or KNOWN.get(spec.name)
    if known is None or spec.holdout is not None:
        raise missing
    train, test = (_evenly(known, images) for images in (known.n_train, known.n_test))
    if spec.protected_classes is not None:
        test = _of_protected_classes(test, spec)
    chosen = _chosen(train, spec.limit, _request(spec, "train"))
    for count in extra:
        _left(train, spec, count)
    return PublishedCard(
        train_sha256="",
        test_sha256="",
        extra_sha256={count: str(count) for count in extra},  # told apart, as keys are
        classes=train.classes,
        protected_classes=None if spec.protected_classes == known.classes else spec.protected_classes,
        n_train=len(chosen),
        n_protected=int((train.labels[chosen] < (spec.protected_classes or known.classes)).sum()),
        n_test=len(_chosen(test, spec.test_limit, _request(spec, "test"))),
        height=spec.resize or known.height,
        width=spec.resize or known.width,
        missing=str(missing),
    )


def _evenly(known: Known, images: int) -> Source:
    def no_images(positions: NDArray[np.int64]) -> Iterator[Any]:
        raise NotImplementedError

    return Source(np.arange(images) % known.classes, tuple(map(str, range(known.classes))), no_images)


def load_with_card(spec: DatasetSpec, cache: Path, extra: Collection[int] = ()) -> tuple[Splits, DataCard]:
    """Load the data and its card; a card in `cache` that says otherwise is replaced.

    The card of files that changed within the last seconds is not kept: a change that follows at once might not show.
    """
    # Asked before the data is read: a file that changes meanwhile leaves a card that nobody asks for again.
    asked = time.time_ns()
    plugin = _plugin(spec)
    states = _file_states(plugin)
    splits = _load(plugin, spec, extra)
    height, width = splits.train.images.shape[2:]
    made = DataCard(
        train_sha256=splits.train.sha256,
        test_sha256=splits.test.sha256,
        extra_sha256={count: images.sha256 for count, images in splits.extra.items()},
        classes=splits.train.classes,
        protected_classes=splits.protected_classes,
        n_train=len(splits.train),
        n_protected=len(splits.to_protect),
        n_test=len(splits.test),
        train_per_class=_per_class(splits.train, len(splits.train.classes)),
        test_per_class=_per_class(splits.test, splits.judged_classes),
        n_test_in_train=in_both(splits.test.images, splits.train.images),
        n_test_in_extra={
            count: in_both(splits.test.images, splits.train.images, images.images)
            for count, images in splits.extra.items()
        },
        height=height,
        width=width,
        remarks=splits.remarks,
    )
    path = cache / _card_name(plugin, spec, extra, states)
    if settled(states, asked) and made != _cached(path):
        _write(path, made)
    return splits, _with_remarks(made, plugin)


def _with_remarks(made: DataCard, plugin: DatasetPlugin) -> DataCard:
    """Return a card that also says what the plug-in has to say, which no cached card holds: it decides nothing."""
    return made.model_copy(update={"remarks": (*made.remarks, *plugin.remarks())})


def _per_class(images: ImageSet, classes: int) -> tuple[int, ...]:
    return tuple(images.labels.bincount(minlength=classes).tolist())


def load_planned(spec: DatasetSpec, planned: DataCard, cache: Path, extra: Collection[int] = ()) -> Splits:
    """Load the data that a plan was made for; raises `SepbenchError` where it is other data by now."""
    splits, found = load_with_card(spec, cache, extra)
    if _content(found) != _content(planned):
        raise SepbenchError(
            f"the files of data set '{spec.name}' changed after the plan was made: run the same command again"
        )
    return splits


def _content(of: DataCard) -> tuple[object, ...]:
    return of.train_sha256, of.test_sha256, of.extra_sha256, of.protected_classes


def _plugin(spec: DatasetSpec) -> DatasetPlugin:
    kind = DATASETS.get(spec.format)
    return kind(kind.Params.model_validate(spec.params))


def _of_protected_classes(source: Source, spec: DatasetSpec) -> Source:
    """Return the test images of the first `protected_classes` classes."""
    count, names = spec.protected_classes, source.classes
    assert count is not None
    if count > len(names):
        raise SepbenchError(
            f"dataset.protected_classes asks for {count} classes of '{spec.name}', which has {len(names)}: lower it or "
            f"leave it out"
        )
    chosen = np.flatnonzero(source.labels < count)
    if len(chosen) == 0:
        raise SepbenchError(
            f"the test set of '{spec.name}' has no image of the first {count} classes: give "
            f"dataset.protected_classes a number with which it has"
        )
    return source.part(chosen)


def _chosen(source: Source, limit: int | None, request: str) -> NDArray[np.int64]:
    available = len(source.labels)
    if limit is None:
        limit = available
    if limit > available:
        raise SepbenchError(f"{request} {limit} images, but it has {available}: lower it or leave it out")
    return stratified_prefix(source.labels, limit)


def _request(spec: DatasetSpec, split: Literal["train", "test"]) -> str:
    if split == "train":
        return f"dataset.limit asks of the training set of '{spec.name}'"
    judged = f"'{spec.name}'" + (f", classes 1 to {spec.protected_classes}," if spec.protected_classes else "")
    return f"dataset.test_limit asks of the test set of {judged}"


def _besides(source: Source, spec: DatasetSpec, count: int) -> NDArray[np.int64]:
    """Return the positions of images that `spec.limit` leaves out."""
    left = _left(source, spec, count)
    return left[stratified_prefix(source.labels[left], count)]


def _left(source: Source, spec: DatasetSpec, count: int) -> NDArray[np.int64]:
    """Return the positions that `spec.limit` leaves out; refuses to where they are fewer than `count`."""
    used = len(source.labels) if spec.limit is None else spec.limit
    rest = np.ones(len(source.labels), dtype=bool)
    rest[stratified_prefix(source.labels, used)] = False
    left = np.flatnonzero(rest)
    if count > len(left):
        room = len(source.labels) - count
        advice = f"lower it, or set dataset.limit to {room} or less" if room > 0 else "lower it"
        raise SepbenchError(
            f"clean_images asks for {count} images besides the {used} training images of '{spec.name}', and it has "
            f"{len(left)} more: {advice}"
        )
    return left


def _decoded(source: Source, positions: NDArray[np.int64], spec: DatasetSpec) -> tuple[ImageSet, list[str]]:
    """Return the images, and the places of those of which EXIF data cannot be read."""
    import torch  # seconds to import, and a plan that finds its card needs none of it

    images, unclear = stack(source, positions, spec.resize, spec.fit)
    labels = torch.from_numpy(source.labels[positions])
    return ImageSet(torch.from_numpy(images), labels, source.classes), [source.where(one) for one in unclear.tolist()]


def _on_holdout(share: float | None) -> tuple[str, ...]:
    return () if share is None else (f"{100 * share:g} % of the training images are held out as the test set",)


def _on_exif(unclear: Sequence[str]) -> tuple[str, ...]:
    if not unclear:
        return ()
    others = f" and {len(unclear) - 1:,} more" if len(unclear) > 1 else ""
    return (f"EXIF data that cannot be read may hold an orientation: {unclear[0]}{others} taken as stored",)


def _card_name(plugin: DatasetPlugin, spec: DatasetSpec, extra: Collection[int], states: Sequence[FileState]) -> str:
    depends_on = {
        "card": _CARD_VERSION,
        "format": plugin.version,
        **({} if (origin := DATASETS.origin(spec.format)) is None else {"source": origin.sha256}),
        "libraries": {name: version(name) for name in ("pillow", *plugin.libraries)},  # Pillow decodes
        "spec": spec.model_dump(mode="json", exclude={"name"}),
        "extra": sorted(extra),
        "files": states,
    }
    canonical = json.dumps(depends_on, sort_keys=True, separators=(",", ":"))
    return f"{hashlib.sha256(canonical.encode()).hexdigest()}.json"


def places_of(spec: DatasetSpec) -> list[Path]:
    """Return every file whose content decides the images of a data set that is here, and the folders they are found in.

    Those are the folders that the data set names, with all below these, and the ones that its files lie in: another
    name in one of them may be another image.
    """
    located = spec.located()
    files = _plugin(located).files()
    named = [
        Path(text)
        for value in located.params.values()
        for text in (value if isinstance(value, list) else [value])
        if isinstance(text, str)
    ]
    folders = {path.parent for path in files}
    for path in named:
        below = [path, *path.rglob("*")] if path.is_dir() else []
        folders |= {one for one in below if one.is_dir()}
    return [*files, *sorted(folders)]


def _file_states(plugin: DatasetPlugin) -> list[FileState]:
    return [_file_state(path) for path in plugin.files()]


def _file_state(path: Path) -> FileState:
    try:
        return FileState.of(path)
    except OSError as error:
        raise SepbenchError(f"{path} cannot be read ({error.strerror}): check the paths of dataset") from error


def _cached(path: Path) -> DataCard | None:
    try:
        return DataCard.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _write(path: Path, made: DataCard) -> None:
    with writing(path.parent):
        make_folder(path.parent)
        write_atomically(path, f"{made.model_dump_json(indent=1)}\n".encode())
