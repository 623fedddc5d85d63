"""From a path to the protected set that lies there, whatever it is stored as."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.contracts.dataset import DATASETS, Source
from bench.core.errors import SepbenchError
from bench.core.outside import json_of
from bench.core.paths import is_there
from bench.core.validation import shown
from bench.data.checks import with_composed_names
from bench.data.decoding import Fit, decode
from bench.data.releases.arrays import READERS, Arrays
from bench.data.releases.meaning import Kind, meaning_of
from bench.data.releases.own_labels import labels_of
from bench.data.releases.protected_set import Clean, Numbers, Pictures, Release, without_ending
from bench.data.releases.seen_in import likeness
from bench.data.spec import LARGEST_SIDE, DatasetSpec

MANIFEST = "manifest.json"
"""What `sepbench protect` writes beside its images."""


def open_release(path: Path, clean: Clean, wanted: Kind | None = None, scale: float | None = None) -> Release:
    """Open a protected set.

    Parameters
    ----------
    path
        A folder of images in class folders, one or several parquet files in the Hugging Face layout, an archive or
        array of NumPy, a tensor that torch saved; or a folder with nothing but one of these, such as `sepbench protect`
        writes.
    wanted, scale
        Overrule what an array is taken for, as `meaning_of` says.

    Raises
    ------
    SepbenchError
        Nothing is there, it is none of these, or it does not fit the clean images.

    """
    if not is_there(path):
        raise SepbenchError(f"there is no protected set at {path}: check the path")
    path = _inner(path)
    if path.suffix.lower() in READERS:
        return _numbers(path, clean, wanted, scale)
    if wanted is not None or scale is not None:
        option = "--as" if wanted is not None else "--scale"
        raise SepbenchError(f"{option} is about arrays, and {path} holds encoded images: leave it out")
    if path.is_dir():
        return _folder(path)
    if path.suffix.lower() == ".parquet":
        return _parquet(path)
    raise SepbenchError(
        f"{path} is no protected set that can be read: give a folder of images, .parquet or {' or '.join(READERS)}"
    )


def size_made_for(path: Path) -> tuple[int, Fit] | None:
    """Return the side of the square that `sepbench protect` crafted at, and how pictures were brought to it.

    None where it crafted at their own size, or did not make what lies at `path`. Raises `SepbenchError` where the file
    that tells names a size that no data set can be brought to.
    """
    try:
        told = json_of((path / MANIFEST).read_bytes())
        side, fit = told["crafted_at"]["width"], told["fit"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    if type(side) is not int or fit not in get_args(Fit):
        return None
    if not 1 <= side <= LARGEST_SIDE:
        raise SepbenchError(
            f"{path / MANIFEST} says that the images were made at {shown(side)} pixels, and data sets have from 1 to "
            f"{LARGEST_SIDE}: give the right size with --set dataset.resize=SIDE"
        )
    return side, fit


def training_source(spec: DatasetSpec) -> Source:
    """Return all training images of a data set, in their order."""
    kind = DATASETS.get(spec.format)
    source, _ = kind(kind.Params.model_validate(spec.params)).open()
    return with_composed_names(spec.name, "training", source)


def clean_images(spec: DatasetSpec) -> Clean:
    """Return the clean training images of a data set whose paths are expanded."""
    source = training_source(spec)
    names = _names_in_folder(source) if spec.format == "imagefolder" else ()
    return Clean(spec.name, source, names, spec.resize, spec.fit)


def _inner(path: Path) -> Path:
    """Return the one file that a folder holds, where it holds one; else the folder."""
    if not path.is_dir():
        return path
    found = sorted(one for one in path.iterdir() if one.suffix.lower() in READERS and one.is_file())
    if any(one.is_dir() and not one.name.startswith(".") for one in path.iterdir()):
        return path
    if len(found) > 1:
        raise SepbenchError(
            f"{path} holds several protected sets ({', '.join(one.name for one in found[:4])}"
            f"{', …' if len(found) > 4 else ''}): name one of them"
        )
    return found[0] if found else path


def _folder(path: Path) -> Release:
    places = {one.parent for one in path.rglob("*.parquet") if one.is_file()}
    if len(places) > 1:
        named = ", ".join(sorted(str(one.relative_to(path)) for one in places)[:4])
        raise SepbenchError(f"{path} holds parquet files in several folders ({named}): name the one that is meant")
    if places:
        return _parquet(places.pop())
    if not any(one.is_dir() and not one.name.startswith(".") for one in path.iterdir()):
        return _without_classes(path)
    source = training_source(_spec("imagefolder", path))
    own = " by sepbench protect" if (path / MANIFEST).is_file() else ""
    told = (f"read as a folder of images{own}",)
    return Pictures(str(path), source, told, source.labels, source.classes, _names_in_folder(source))


def _without_classes(path: Path) -> Release:
    """Return the images that lie in a folder, in the order of their names, or of their numbers where all have one."""
    files = [one for one in path.iterdir() if one.suffix.lower() in Image.registered_extensions() and one.is_file()]
    files = [one for one in files if not one.name.startswith(".")]
    numbered = all(one.stem.isdecimal() for one in files)
    files.sort(key=lambda one: (int(one.stem) if numbered else 0, one.name))
    if not files:
        raise SepbenchError(f"{path} holds no images and no folders of images: give the protected set")
    source = Source(
        labels=np.zeros(len(files), np.int64),
        classes=("",),
        read=lambda positions: (decode(files[position], str(files[position])) for position in positions),
        where=lambda position: str(files[position]),
        paths=(path,),
    )
    return Pictures(str(path), source, ("read as a folder of images without classes",), names=_names_in_folder(source))


def _parquet(path: Path) -> Release:
    source = training_source(_spec("parquet", path))
    return Pictures(str(path), source, ("read as encoded images in parquet",), source.labels, source.classes)


def _spec(form: str, path: Path) -> DatasetSpec:
    return DatasetSpec.parse({"name": form, "format": form, "train": str(path)})


def _names_in_folder(source: Source) -> tuple[str, ...]:
    root = source.paths[0]
    return tuple(
        without_ending(Path(source.where(position)).relative_to(root)) for position in range(len(source.labels))
    )


def _numbers(path: Path, clean: Clean, wanted: Kind | None, scale: float | None) -> Release:
    arrays = READERS[path.suffix.lower()](path)
    if not arrays.values.ndim or not len(arrays.values):
        raise SepbenchError(f"{arrays.what} holds no images: give the protected set")
    arrays = _as_one_in_colour(_unflattened(arrays, clean), clean)
    everything = np.arange(len(clean))
    meaning = meaning_of(
        arrays.values, arrays.what, wanted, scale, lambda entries: likeness(entries, clean.pictures(everything))
    )
    count, expected, classes = len(arrays.values), len(clean), len(clean.source.classes)
    shared = meaning.kind == "perturbation" and count != expected
    what = f"{count:,} images" if meaning.kind == "images" else f"{count:,} perturbations"
    if shared and count in (1, classes):
        what = "one perturbation for all images" if count == 1 else "one perturbation for each class"
    elif shared:
        raise SepbenchError(
            f"{arrays.what} holds {count:,} perturbations, and {clean.name} has {expected:,} training images of "
            f"{classes} classes: there must be one for each image, one for each class or one for all; if these are "
            f"images, say --as images"
        )
    shape = "x".join(map(str, arrays.values.shape[1:]))
    read = f"read as {what}, {shape}, from {arrays.what}"
    taken = f"{arrays.values.dtype} was taken for {_named(meaning.kind)}: {meaning.rule}"
    release = Numbers(arrays, meaning, (read, taken))
    if arrays.labels is not None:
        release.labels, release.classes = _labels(arrays)
    elif arrays.unread is not None:
        release.without_labels = (
            f"those of the clean images, as '{arrays.unread}' is not a whole number or a name for each entry"
        )
    if shared:
        _share(release, clean)
    return release


def _share(release: Numbers, clean: Clean) -> None:
    """Give each training image the perturbation of all of them, or that of its class: the one with its label."""
    count = len(release.arrays.values)
    if count == 1:
        release.entries, release.labels = np.zeros(len(clean), np.int64), None
        return
    if release.labels is None and release.classes is not None:
        release.labels = np.arange(count)
    classes = labels_of(release, clean)
    if classes is not None:
        if not np.array_equal(np.sort(classes), np.arange(count)):
            raise SepbenchError(
                f"{release.what} holds a perturbation for each of {count} classes, and its labels do not name each "
                f"class once: save one for each class with its label, or all without labels in the order of the classes"
            )
        release.entries = np.argsort(classes)[clean.source.labels]
        release.without_labels = "those of the clean images: each has the perturbation with its label"
        release.labels = None
    else:
        release.entries = clean.source.labels


def _named(kind: Kind) -> str:
    return "images" if kind == "images" else "what was added to the images"


def _labels(arrays: Arrays) -> tuple[NDArray[np.int64], tuple[str, ...] | None]:
    labels = arrays.labels
    assert labels is not None
    if labels.dtype.kind in "iu":
        return labels.astype(np.int64), arrays.classes
    names = arrays.classes or tuple(sorted(set(map(str, labels.tolist()))))
    place = {name: label for label, name in enumerate(names)}
    unknown = next((name for name in map(str, labels.tolist()) if name not in place), None)
    if unknown is not None:
        raise SepbenchError(f"{arrays.what} has the label '{unknown}', which is none of its classes")
    return np.array([place[str(name)] for name in labels.tolist()], np.int64), names


def _unflattened(arrays: Arrays, clean: Clean) -> Arrays:
    """Return rows of 3*H*W values, as CIFAR's own files have them, as [N, 3, H, W]."""
    if arrays.values.ndim != 2:
        return arrays
    height, width, _ = next(clean.pictures(np.zeros(1, np.int64))).shape
    if arrays.values.shape[1] != 3 * height * width:
        raise SepbenchError(
            f"{arrays.what} has shape {list(arrays.values.shape)}: rows of images of {clean.name} have "
            f"{3 * height * width} values (3x{height}x{width})"
        )
    return replace(arrays, values=arrays.values.reshape(-1, 3, height, width))


def _as_one_in_colour(arrays: Arrays, clean: Clean) -> Arrays:
    """Return a perturbation in colour without an axis that counts, as [1, 3, H, W] or [1, H, W, 3]."""
    shape = arrays.values.shape
    if len(shape) != 3 or arrays.values.dtype == np.uint8 or shape[0] == len(clean) or 3 not in (shape[0], shape[2]):
        return arrays
    first = next(clean.pictures(np.zeros(1, np.int64)))
    sizes = {first.shape[:2], (clean.resize, clean.resize)}
    one = (shape[0] == 3 and shape[1:] in sizes) or (shape[2] == 3 and shape[:2] in sizes)
    if one and shape[0] == len(clean.source.classes) == 3:
        raise SepbenchError(
            f"{arrays.what} has shape {list(shape)}, which can be one perturbation in colour for all images or a grey "
            f"one for each of {shape[0]} classes: save it as {[1, *shape]} or {[shape[0], 1, *shape[1:]]}"
        )
    return replace(arrays, values=arrays.values[None]) if one else arrays
