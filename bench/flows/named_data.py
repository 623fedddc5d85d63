"""The data set that a person names on the command line: files, a data set, or that of an experiment."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.contracts.dataset import DATASETS
from bench.core.errors import SepbenchError
from bench.core.registry import UnknownName
from bench.data.spec import DatasetSpec
from bench.engine.recipe import Recipe
from bench.spec.file import counted, experiment_names, load_experiment, with_overrides
from bench.spec.names import as_file_name


@dataclass(frozen=True)
class NamedData:
    """A data set and what goes with it.

    Attributes
    ----------
    recipe
        As an experiment takes it; None where nothing names one.
    overrides
        Those that count as a change.

    """

    dataset: DatasetSpec
    recipe: Any
    overrides: tuple[str, ...]


def named_data(text: str, recipe: str | None = None, overrides: Sequence[str] = ()) -> NamedData:
    """Return the data set that `text` names.

    What lies at this path comes first: a folder of images in class folders, parquet files, an archive of NumPy, each
    with its test part where it has one; then the name of a data set, then that of an experiment, whose recipe is taken,
    too, where none is given.

    Raises `SepbenchError` where it is none of these, or an override is of something else than dataset or recipe.
    """
    for one in overrides:
        if one.partition(".")[0].partition("=")[0] not in ("dataset", "recipe"):
            raise SepbenchError(f"--set {one}: here it changes dataset or recipe, such as --set dataset.limit=5000")
    content = {**_content(text), **({} if recipe is None else {"recipe": recipe})}
    if any(one.startswith("recipe") for one in overrides) and "recipe" not in content:
        raise SepbenchError("--set changes the recipe, and none is named: name the one to change with --recipe")
    changed = with_overrides(content, overrides)
    return NamedData(DatasetSpec.parse(changed["dataset"]), changed.get("recipe"), tuple(counted(overrides)))


def _content(text: str) -> dict[str, Any]:
    path = Path(text).expanduser()
    if text.endswith((".yaml", ".yml")):
        return _of_experiment(text)
    if path.exists():
        return {"dataset": _of_files(path)}
    if text in DATASETS:
        return {"dataset": {"name": text}}
    if text in experiment_names():
        return _of_experiment(text)
    raise SepbenchError(f"{text}: nothing is there, and {UnknownName('data set', text, _known())}")


def _known() -> list[str]:
    return [*DATASETS.names(), *experiment_names()]


def _of_experiment(name: str) -> dict[str, Any]:
    experiment = load_experiment(name)
    recipe = experiment.recipe
    named = recipe.name if isinstance(recipe, Recipe) and "[" not in recipe.name else recipe.model_dump()
    return {"dataset": experiment.dataset.model_dump(), "recipe": named}


def _of_files(path: Path) -> dict[str, Any]:
    form = {".parquet": "parquet", ".npz": "npz"}.get(path.suffix.lower(), "")
    if path.is_dir():
        parts = _of_parquet(path) or _of_pictures(path)
    elif form == "npz" and _has_both_parts(path):
        parts = {"format": form, "path": str(path)}
    elif form:
        parts = {"format": form, "train": str(path)}
    else:
        raise SepbenchError(
            f"{path} is no data set that can be read: give a folder of images in class folders, .parquet or .npz"
        )
    return {"name": _name_of(path), **parts}


def _of_parquet(path: Path) -> dict[str, Any] | None:
    """Return the parts that parquet files at or below a folder make, None without any."""
    files = [one for one in path.rglob("*.parquet") if one.is_file() and not _is_hidden(one.relative_to(path))]
    places = sorted({one.parent for one in files})
    if not places:
        return None
    if len(places) == 1:
        (folder,) = places
        has_test = any(map(_is_test, files))
    else:
        folder = path
        has_test = path / "test" in places
        if path / "train" not in places:
            named = ", ".join(one.relative_to(path).as_posix() for one in places[:4])
            raise SepbenchError(f"{path} holds parquet files in several folders ({named}): name the one that is meant")
    return {"format": "parquet", "train": str(folder), **({"test": str(folder)} if has_test else {})}


def _of_pictures(path: Path) -> dict[str, Any]:
    """Return the parts that a folder of class folders makes, or one with nothing but such folders for the splits."""
    below = {one.name: one for one in path.iterdir() if one.is_dir() and not one.name.startswith(".")}
    of_splits = "train" in below and {*below} <= {"train", "test", "val", "valid", "validation"}
    if of_splits and all(any(one.is_dir() for one in folder.iterdir()) for folder in below.values()):
        parts: dict[str, Any] = {split: str(below[split]) for split in ("train", "test") if split in below}
        return {"format": "imagefolder", **parts}
    return {"format": "imagefolder", "train": str(path)}


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _is_test(path: Path) -> bool:
    """Tell whether a file has test images by its name, as the Hub has them."""
    return re.match(r"test(ing)?(?![a-z])", path.name, re.IGNORECASE) is not None


def _has_both_parts(path: Path) -> bool:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {"x_train", "y_train", "x_test", "y_test"} <= {*archive.files}
    except Exception:  # the format says what is wrong with it
        return False


def _name_of(path: Path) -> str:
    """Return what a data set is called: as its file or folder, or, where any is called so, as what that lies in."""
    whole = path.resolve()
    names = [
        as_file_name(one)
        for one in (whole.name if whole.is_dir() else whole.stem, *(above.name for above in whole.parents[:_FAR_UP]))
    ]
    return next((name for name in names if name and not _ANY.fullmatch(name)), names[0]) or "images"


_FAR_UP = 2
_ANY = re.compile(r"(data|train(ing)?|default)([-_.]?\d+)?(-of-\d+)?", re.IGNORECASE)
"""What data sets are called whatever is in them, as on the Hub."""
