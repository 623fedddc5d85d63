"""What of a home nobody needs any more, and removing it."""

import json
import re
import shutil
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from bench.core.disk import make_folder, writing
from bench.core.errors import SepbenchError
from bench.engine.brought import KIND as BROUGHT
from bench.plan.checkpoints import Checkpoints, names_of
from bench.plan.plan import Plan, taken_by
from bench.plan.stage import CraftJob
from bench.record.record import Record, read_records
from bench.store import lock
from bench.store.artifacts import CorruptArtifact
from bench.store.holdings import Holding, holdings
from bench.store.home import Home
from bench.store.rounding import bytes_saved, is_rounded, keep_rounded

_Needed = Collection[tuple[str, str]]

_NOUNS = {
    "surrogate": "surrogates that no record rests on",
    "craft": "protected sets that no record rests on",
    "victim": "victims without a record",
    BROUGHT: "brought images that no record is of",
}
_LEFTOVER_SECONDS = 3600.0
"""A process that lives writes a file within this time."""


@dataclass(frozen=True)
class Removal:
    """Something that can go: what it is called among its like, and how many bytes that frees.

    `thin_to` names the files of a surrogate that stay, None where all of it goes; one that is to be `rounded` stays
    whole.
    """

    title: str
    holding: Holding
    bytes: int
    thin_to: tuple[str, ...] | None = None
    rounded: bool = False


@dataclass(frozen=True)
class Cleaning:
    """What can go, and who is at work in the home: then nothing goes that a running process may need."""

    removals: tuple[Removal, ...]
    at_work: tuple[str, ...]

    @property
    def bytes(self) -> int:
        """What all of it takes."""
        return sum(one.bytes for one in self.removals)


def cleaning(home: Home, plans: Sequence[Plan] = (), *, checkpoints: bool = False, bf16: bool = False) -> Cleaning:
    """Return what no record of a home and none of the plans needs.

    Parameters
    ----------
    plans
        Of experiments whose stages stay, finished or not.
    checkpoints
        Whether surrogates lose those checkpoints that no protected set still to be crafted takes: of the plans, and of
        records that failed.
    bf16
        Whether checkpoints that stay are rounded to bfloat16: what is crafted from them from then on says so, as it is
        not what exact ones give.

    Raises
    ------
    SepbenchError
        A record cannot be read, so that nobody knows what it rests on; or a folder cannot. With `bf16`: a protected
        set has been begun from exact checkpoints.

    """
    folder = home.root / "records"
    records = read_records(folder) if folder.is_dir() else []
    at_work = _at_work(home)
    needed = {*_of_records(records), *_of_plans(plans)}
    known = {*(record.train_sha256 for record in records), *(plan.card.train_sha256 for plan in plans)}
    failed = {(kind, key[:16]) for one in records if one.status == "failed" for kind, key in _of_records([one])}
    parts = {part for plan in plans for part in taken_by(plan.todo(home.store))}
    found = []
    for one in holdings(home):
        title = _title(one, needed, known, failed, bool(at_work))
        if bf16 and title is None and (one.what, one.kind) == ("draft", "craft") and not at_work:
            raise SepbenchError(
                f"--bf16: a protected set has been begun in {home.root} and goes on from exact checkpoints alone: "
                f"finish it first, or remove {one.path}"
            )
        if title is not None:
            found.append(Removal(title, one, one.bytes))
        elif not at_work and (one.what, one.kind) == ("artifact", "surrogate"):
            thinner = [*_thinner(one, home, parts, records)] if checkpoints else []
            found += [*thinner, *(_rounded(one, home, thinner) if bf16 else ())]
    return Cleaning(tuple(found), at_work)


def remove(found: Cleaning, home: Home) -> int:
    """Remove what can go, and return the bytes that are free now; what a process has begun to use meanwhile stays."""
    freed = 0
    for one in sorted(found.removals, key=lambda one: one.rounded):  # what takes room meanwhile comes last
        if one.holding.what in ("artifact", "draft"):
            # Between two stages a process holds no lock: it may need what was free to go when that was found.
            held = None if _at_work(home) else lock.acquire(home.locks, one.holding.key)
            if held is None:
                continue
            with held:
                try:
                    _remove(one, home)
                except CorruptArtifact:  # it stays as it is, for who needs it
                    continue
        elif one.holding.what == "lock":
            if (dead := lock.acquire(home.locks, one.holding.key)) is not None:
                dead.release()
        else:
            _remove(one, home)
        freed += one.bytes
    return freed


def _title(one: Holding, needed: _Needed, known: Collection[str], failed: _Needed, busy: bool) -> str | None:
    """Return what is said of a thing that can go; None where it stays."""
    match one.what:
        case "set aside":
            return "set aside: damaged, or made anew since"
        case "leftover":
            old = time.time() - _changed(one) > _LEFTOVER_SECONDS
            return "files half-written by processes that are gone" if old else None
        case "lock":
            return None if busy or one.path.suffix != ".lock" else "locks of processes that are gone"
        case "card":
            return "notes on data sets that no record is of" if _is_of_other_data(one, known) else None
        case "log":
            return None if busy or _told_by(one) in failed else "logs that no failed record is of"
        case "incoming":
            return None if busy else "imports that were broken off"
        case "draft":
            return None if busy or (one.kind, one.key) in needed else "begun and not finished, without a record"
        case "artifact":
            free = not busy and (one.kind, one.key) not in needed
            return _NOUNS.get(one.kind) if free else None
    return None


def _thinner(one: Holding, home: Home, parts: Collection[Checkpoints], records: Iterable[Record]) -> Iterator[Removal]:
    """Yield a surrogate without the checkpoints that nothing takes any more."""
    store = home.store
    failed = (record for record in records if record.status == "failed" and one.key in record.surrogate_keys)
    if not all(store.has("craft", record.protected_key) for record in failed):
        return  # which it takes, the record does not tell
    with suppress(CorruptArtifact):
        wanted = {name for part in parts if part.surrogate == one.key for name in names_of(part, store)}
        sizes = {name: store.entry("surrogate", one.key, name)["size"] for name in store.names("surrogate", one.key)}
        if gone := sizes.keys() - wanted:
            title = "checkpoints that nothing left to craft takes"
            yield Removal(title, one, sum(sizes[name] for name in gone), tuple(sorted(sizes.keys() & wanted)))


def _rounded(one: Holding, home: Home, thinner: Sequence[Removal]) -> Iterator[Removal]:
    """Yield a surrogate at half the size, once it has lost what it loses."""
    with suppress(CorruptArtifact):
        if not is_rounded(home.store, "surrogate", one.key):
            names = next((list(other.thin_to or ()) for other in thinner), home.store.names("surrogate", one.key))
            if saved := bytes_saved(one.path, names):
                yield Removal("of checkpoints that are rounded to bfloat16", one, saved, rounded=True)


def _of_records(records: Iterable[Record]) -> Iterator[tuple[str, str]]:
    for one in records:
        yield "victim", one.key
        yield "craft", one.protected_key
        yield from (("surrogate", key) for key in one.surrogate_keys)
        if one.protected_sha256 is not None:
            yield BROUGHT, one.protected_sha256


def _of_plans(plans: Iterable[Plan]) -> Iterator[tuple[str, str]]:
    for stage in (stage for plan in plans for stage in plan.stages.values()):
        yield stage.kind, stage.key
        brought = stage.job.method.build().brought if isinstance(stage.job, CraftJob) else None
        if brought is not None:
            yield BROUGHT, brought.sha256


def _at_work(home: Home) -> tuple[str, ...]:
    """Return who holds locks of a home, as "HOST pid PID"."""
    if not home.locks.is_dir():
        return ()
    names = [path.stem for path in home.locks.glob("*.lock")]
    holders = (lock.owner(home.locks, name) for name in names if lock.is_held(home.locks, name))
    return tuple(dict.fromkeys(holder or "another process" for holder in holders))


def _is_of_other_data(one: Holding, known: Collection[str]) -> bool:
    """Tell whether a file is what is known of a data set, and nothing needed is made from that."""
    if one.path.suffix != ".json":
        return False
    try:
        return json.loads(one.path.read_bytes())["train_sha256"] not in known
    except (OSError, ValueError, KeyError, TypeError):
        return True  # nobody reads it either


def _told_by(one: Holding) -> tuple[str, str]:
    """Return kind and beginning of the key of the stage whose traceback a log is; of another log nothing is."""
    kind, _, key = one.path.stem.partition("-")
    return kind, key if re.fullmatch(r"[0-9a-f]{16}", key) else ""


def _changed(one: Holding) -> float:
    try:
        return one.path.lstat().st_mtime
    except OSError:
        return time.time()


def _remove(one: Removal, home: Home) -> None:
    path, aside = one.holding.path, home.store.root / "set-aside"
    with writing(home.root), suppress(FileNotFoundError):
        if one.rounded:
            keep_rounded(home, one.holding.kind, one.holding.key)
        elif one.thin_to is not None:
            home.store.thin(one.holding.kind, one.holding.key, one.thin_to)
        elif path.is_dir() and not path.is_symlink():
            if path.parent != aside:  # first out of the way: of what a kill leaves no half is taken for an artifact
                make_folder(aside)
                path = path.rename(aside / f"removed-{path.name}-{time.time_ns()}")
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
