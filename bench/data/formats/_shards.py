"""The files that a path, a pattern, a folder or a list of these stands for: in order, each once, none missing."""

import glob
import os
import re
import stat
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from bench.api import SepbenchError, is_unfinished
from bench.data.formats._folders import SYSTEM
from bench.data.formats._paths import advice, existing_file, mode_of, reaching

_SHARD = re.compile(r"(?P<set>.*?)(?P<number>\d+)-of-(?P<count>\d+)(?P<rest>.*)")
# How the Hub, and those who follow it, begin the names of the files of a split.
_SPLITS = {
    "train": re.compile(r"train(ing)?(?![a-z])", re.IGNORECASE),
    "test": re.compile(r"test(ing)?(?![a-z])", re.IGNORECASE),
    "validation": re.compile(r"(validation|valid|val|dev|eval)(?![a-z])", re.IGNORECASE),
}


def shards(field: str, given: str | list[str], ending: str) -> list[Path]:
    """Return the files that `dataset.FIELD` names: by folder, shards of a set by their number, others by their name.

    Parameters
    ----------
    field
        `train` or `test`: of a folder that has files of several splits (`train-…`, `test-…`) only its own are taken.
    given
        A file, a pattern such as `data/train-*.parquet`, a folder, or a list of these.
    ending
        What files in a folder end with, such as `.parquet`.

    Raises
    ------
    SepbenchError
        Where there is no such file, one is given twice, one of several shards (`train-00000-of-00002`) is missing, or
        it cannot be told which files of a folder are meant.

    """
    parts = [given] if isinstance(given, str) else given
    files = sorted((path for part in parts for path in _files(field, part, ending)), key=_order)
    _refuse_repeated(field, files)
    _refuse_missing(field, files)
    return files


def _order(path: Path) -> tuple[Path, str, int, str]:
    shard = _SHARD.match(path.name)
    return (path.parent, shard["set"], int(shard["number"]), path.name) if shard else (path.parent, path.name, 0, "")


def _files(field: str, path: str, ending: str) -> list[Path]:
    with reaching(field, path):
        mode = mode_of(path)
        if stat.S_ISDIR(mode):
            return _of_folder(field, Path(path), ending)
        if not mode and glob.has_magic(path):
            return _of_pattern(field, path, ending)
    return [existing_file(field, path)]


def _of_pattern(field: str, pattern: str, ending: str) -> list[Path]:
    _look_through(pattern)
    matches = sorted(map(Path, glob.glob(pattern, recursive=True)))  # noqa: PTH207 - pathlib takes no absolute pattern
    if not matches:
        raise SepbenchError(f"dataset.{field} is {pattern}, and no file is named so: {advice(pattern)}")
    files = [path for path in matches if not path.is_dir()]
    folders = [path for path in matches if path.is_dir() and (not files or path.name.lower().endswith(ending))]
    found = [existing_file(field, str(path)) for path in files]
    found += [path for folder in folders for path in _of_folder(field, folder, ending)]
    if {"train", "test"} <= {_split_of(path) for path in found}:
        raise SepbenchError(
            f"dataset.{field} is {pattern}, which names training and test files: {_listed(found)}; name those of one"
        )
    if all(path.name.lower().endswith(ending) for path in found):  # else reading tells
        others = [path for path in matches if path.is_dir() and path not in folders]
        _refuse_deeper(field, pattern, others, found, ending)
    return found


def _look_through(pattern: str) -> None:
    """Raise `OSError` where something on the way of a pattern cannot be looked at, which glob takes for nothing."""
    parts = Path(pattern).parts
    for depth, part in enumerate(parts):
        above = str(Path(*parts[: depth + (part == "**")]))
        for folder in glob.glob(above, recursive=True):  # noqa: PTH207 - pathlib takes no absolute pattern
            if Path(folder).name.casefold() in SYSTEM:  # such as lost+found, which only its owner may look into
                continue
            if not glob.has_magic(part):
                mode_of(f"{folder}/{part}")
                continue
            try:
                with os.scandir(folder) as entries:
                    list(entries)
            except (FileNotFoundError, NotADirectoryError):
                continue


def _of_folder(field: str, folder: Path, ending: str) -> list[Path]:
    there = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    of_kind = [path for path in there if path.name.lower().endswith(ending) and not path.is_dir()]
    if not of_kind and (folder / field).is_dir():
        return _of_folder(field, folder / field, ending)
    if not of_kind:
        raise SepbenchError(
            f"dataset.{field} is {folder}, a folder without {ending} files: it has {_listed(there)}; "
            f"{advice(str(folder))}"
        )
    own = [path for path in of_kind if _split_of(path) == field] if any(map(_split_of, of_kind)) else of_kind
    if not own:
        raise SepbenchError(
            f"dataset.{field} is {folder}, where no file is called {field}-…{ending}: it has {_listed(of_kind)}; give "
            f"the files, such as {_escaped(folder)}/NAME-*{ending}"
        )
    if len({_set(path) for path in own}) > 1 and _split_of(own[0]):
        raise SepbenchError(
            f"dataset.{field} is {folder}, where several sets may be meant: it has {_listed(of_kind)}; give the files "
            f"of one, such as {_escaped(folder)}/NAME-*{ending}"
        )
    unclear = [path for path in of_kind if _split_of(path) is None]
    if unclear and _split_of(own[0]):
        raise SepbenchError(
            f"dataset.{field} is {folder}, where {_listed(unclear)} may belong to any split: move elsewhere what is "
            f"not to be read, or give the files, such as {_pattern_of(own, ending)}"
        )
    _refuse_deeper(field, str(folder), [path for path in there if path.is_dir()], own, ending)
    for path in there:
        if is_unfinished(path) and ending in path.name.lower() and _split_of(path) == _split_of(own[0]):
            raise SepbenchError(f"{path} is a download that did not finish: finish it, or remove it")
    return [existing_file(field, str(path)) for path in own]


def _refuse_deeper(field: str, given: str, folders: list[Path], found: list[Path], ending: str) -> None:
    """Refuse files further down, of which it cannot be told whether they are meant; those of another split are not."""
    for folder in folders:
        if _split_of(folder) in (None, field) and not _is_passed_over(folder):
            deeper = next((path for path in _below(folder, ending) if path not in found), None)
            if deeper is not None:
                raise SepbenchError(
                    f"dataset.{field} is {given}, which has {found[0].name} and, further down, {deeper}: give what is "
                    f"meant as a list, or as a pattern such as {_pattern_of(found, ending)}"
                )


def _below(folder: Path, ending: str) -> Iterator[Path]:
    """Yield the files of a kind at any depth below a folder."""

    def refuse(error: OSError) -> None:  # which os.walk would pass over
        raise error

    for below, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not _is_passed_over(Path(name)))
        for name in sorted(names):
            if not name.startswith(".") and name.lower().endswith(ending):
                yield Path(below) / name


def _is_passed_over(folder: Path) -> bool:
    """Return whether a folder is hidden, or one that a system or program has made for itself."""
    return folder.name.startswith((".", "_")) or folder.name.casefold() in SYSTEM


def _pattern_of(files: list[Path], ending: str) -> str:
    """Return a pattern for files of a folder, by the name of their set where it is one; of a single file its path."""
    if len(files) == 1:
        return str(files[0])
    sets = {_set(path) for path in files}
    name = sets.pop() if len(sets) == 1 else ""
    return str(_escaped(files[0].parent) / f"{glob.escape(name)}*{ending}")


def _escaped(folder: Path) -> Path:
    """Return what a folder is called in a pattern."""
    return Path(glob.escape(str(folder)))


def _split_of(path: Path) -> str | None:
    """Return the split that the name of a file begins with, None where it begins with none."""
    return next((split for split, pattern in _SPLITS.items() if pattern.match(path.name)), None)


def _set(path: Path) -> str:
    shard = _SHARD.match(path.name)
    return shard["set"] if shard else re.sub(r"[-_.]?\d+$", "", path.name.partition(".")[0])


def _refuse_repeated(field: str, files: list[Path]) -> None:
    seen: dict[Path, Path] = {}
    for path in files:
        same = seen.setdefault(path.resolve(), path)
        if same is not path:
            as_well = "" if same == path else f", and as {same}"
            raise SepbenchError(f"dataset.{field} has {path} more than once{as_well}: give each file once")


def _refuse_missing(field: str, files: list[Path]) -> None:
    sets: dict[tuple[Path, str], dict[int, dict[int, Path]]] = defaultdict(lambda: defaultdict(dict))
    for path in files:
        shard = _SHARD.match(path.name)
        if shard:
            numbered = sets[path.parent, shard["set"]][int(shard["count"])]
            same = numbered.setdefault(int(shard["number"]), path)
            if same is not path:
                raise SepbenchError(
                    f"dataset.{field} has two files for shard {shard['number']} of {shard['count']}, {same} and "
                    f"{path.name}: keep one"
                )
    by_folder: dict[tuple[str, int], list[dict[int, Path]]] = defaultdict(list)
    for (_, name), by_count in sets.items():
        if len(by_count) > 1:
            one, other = (next(iter(numbered.values())) for numbered in list(by_count.values())[:2])
            raise SepbenchError(
                f"dataset.{field} has {one} and {other.name}, shards of two versions of one set: keep those of one"
            )
        for count, numbered in by_count.items():
            by_folder[name, count].append(numbered)
    for (_, count), parts in by_folder.items():
        together = {number: path for part in parts for number, path in part.items()}
        # Shards of one set may lie in several folders; where these share a number, each has a set of its own.
        for numbered in [together] if len(together) == sum(map(len, parts)) <= count else parts:
            missing = sorted(set(range(count)) - set(numbered))
            counted_from_one = missing == [0] and count in numbered
            if missing and not counted_from_one:
                raise _incomplete(field, [*numbered.values()], missing, count)


def _incomplete(field: str, there: list[Path], missing: list[int], count: int) -> SepbenchError:
    path = there[0]
    shard = _SHARD.match(path.name)
    assert shard is not None
    lacking = f"{shard['set']}{missing[0]:0{len(shard['number'])}}-of-{shard['count']}"
    every = _escaped(path.parent) / f"{glob.escape(shard['set'])}*-of-{shard['count']}*{glob.escape(path.suffix)}"
    give_all = f"give all of them, as {every}, as their folder or as a list"
    beside = [*path.parent.glob(f"{glob.escape(lacking)}*{path.suffix}")]
    if beside and len(there) == 1:
        return SepbenchError(f"dataset.{field} is {path}, one shard of {count}: {give_all}")
    if beside:
        return SepbenchError(f"dataset.{field} has {len(there)} shards of {count} and lacks {beside[0]}: {give_all}")
    return SepbenchError(
        f"dataset.{field} has {len(there)} {'shard' if len(there) == 1 else 'shards'} of {count}, and there is no "
        f"{lacking}{path.suffix} beside {path}: fetch it, then {give_all}"
    )


def _listed(paths: list[Path]) -> str:
    names = [f"{path.name}/" if path.is_dir() else path.name for path in paths]
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") or "nothing"
