"""The records of the evaluation of a set that somebody brought, by its name alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.core.errors import SepbenchError
from bench.data.counts import names_of
from bench.read.evaluated import names_evaluation
from bench.read.logged_or_kept import logged_or_kept
from bench.read.tables.selection import choose
from bench.read.variants import changes_text
from bench.record.record import Record, read_records
from bench.spec.file import counted
from bench.store.home import Home


def are_evaluations(names: Sequence[str]) -> bool:
    """Tell whether these are all names of evaluations.

    Raises `SepbenchError` where some are, and others of experiments: these have layouts of their own.
    """
    found = [name for name in names if names_evaluation(name)]
    if found and len(found) < len(names):
        raise SepbenchError(f"{found[0]} is an evaluation, which stands beside others only: ask for each table alone")
    return bool(found)


def evaluation_records(
    names: Sequence[str],
    home: Home,
    folder: Path | None,
    where: Mapping[str, str],
    *,
    profile: str | None = None,
    overrides: Sequence[str] = (),
) -> list[Record]:
    """Return the records of evaluations from `folder`, or from MLflow and the home where it is None.

    Of one that was made with several sets of overrides only those with `overrides` count; where all are of one set,
    that needs no mention.

    Raises `SepbenchError` where there are none, or it cannot be told which are meant.
    """
    if profile is not None:
        raise SepbenchError(f"--profile {profile}: {names[0]} is an evaluation, which has none: leave it out")
    found = [one for name in names for one in _as_asked(name, _all_of(name, home, folder), overrides, folder)]
    return choose(found, [], where)[0]


def _all_of(name: str, home: Home, folder: Path | None) -> list[Record]:
    if folder is not None:
        return [one for one in read_records(folder) if one.experiment == name]
    kept = sorted(path.name for path in home.records(name, "default").parent.glob("*") if path.is_dir())
    found: dict[object, Record] = {}
    for variant in kept or ["default"]:
        for one in logged_or_kept(name, variant, home):
            known = found.get(one.identity)
            if known is None or known.started < one.started:
                found[one.identity] = one
    return list(found.values())


def _as_asked(name: str, records: list[Record], overrides: Sequence[str], folder: Path | None) -> list[Record]:
    if not records:
        raise SepbenchError(f"there are no records of {name} in {folder or 'MLflow'}: run sepbench evaluate first")
    asked = tuple(counted(overrides))
    made = list(dict.fromkeys(one.overrides for one in records))
    if len(made) == 1 and not asked:
        return records
    if asked not in made:
        ways = [changes_text(None, each) for each in made]
        raise SepbenchError(f"{name} was not made so, but with {names_of(ways)}: ask for it as it was made")
    return [one for one in records if one.overrides == asked]
