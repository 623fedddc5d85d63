"""Artifacts between the home behind a `Depot` and one that lies elsewhere, checked on arrival."""

import hashlib
import logging
import shutil
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from bench.core.disk import make_folder, write_atomically, writing
from bench.core.errors import SepbenchError
from bench.store import lock
from bench.store.artifacts import CorruptArtifact
from bench.store.home import Home
from bench.store.sealed import Damage, check_files, seal, size_of, unseal

_LOG = logging.getLogger("sepbench")
_TRIES = 3
_EVERY_SECONDS = 0.2

_T = TypeVar("_T")
Ask = Callable[..., Any]
"""Calls a method of a `Depot`, wherever that is: its name, then its arguments."""


class NotThere(Exception):  # noqa: N818 - reads as what it is
    """What was to be fetched is not there; the message says what and why."""


def fetch(ask: Ask, home: Home, kind: str, key: str, names: Collection[str] | None = None) -> None:
    """Have a copy of an artifact in `home`: of its files those named, besides what is here already; None is all.

    Whoever shares `home` fetches each file once.

    Raises
    ------
    NotThere
        There is no such artifact, or none with these files.
    SepbenchError
        What arrives is damaged, again and again.

    """
    store, what = home.store, f"the {kind} artifact {key}"
    folder = store.folder(kind, key)
    while (held := lock.acquire(home.locks, key)) is None:
        time.sleep(_EVERY_SECONDS)
    with held, writing(folder):
        body = _arrived(what, lambda: check_files(unseal(_there(ask("document", kind, key)), what), Path(what)))
        wanted = set(body["files"] if names is None else names)
        if missing := sorted(wanted - body["files"].keys()):
            raise NotThere(f"{what} was kept without {missing[0]}")
        make_folder(folder)
        here = {name: entry for name, entry in body["files"].items() if _is_here(home, kind, key, name, entry)}
        for name in sorted(wanted - here.keys()):
            data = _arrived(f"{name} of {what}", partial(_data, ask, kind, key, name, body["files"][name]["sha256"]))
            write_atomically(folder / f"{name}.safetensors", data, durable=False)
            here[name] = body["files"][name]
        store.describe(kind, key, body["meta"], here)


def fetch_draft(ask: Ask, home: Home, kind: str, key: str) -> None:
    """Have what there is of unfinished work in `home`, unless some is here.

    A copy of what was finished once goes: it may lack files, and is to be made again.
    """
    shutil.rmtree(home.store.folder(kind, key), ignore_errors=True)
    draft = home.store.draft(kind, key)
    if draft.names():
        return
    for name, info in ask("unfinished", kind, key).items():
        data = _arrived(f"{name} of unfinished work", partial(_draft_data, ask, kind, key, name))
        draft.put_data(name, data, info)


def send(ask: Ask, who: str, home: Home, kind: str, key: str) -> None:
    """Make an artifact of `home` one of the home behind the depot, for the stage that `who` holds there.

    Raises `SepbenchError` where it arrives damaged, again and again, or another worker holds the stage by now.
    """
    store, what = home.store, f"the {kind} artifact {key}"
    files = {name: store.entry(kind, key, name) for name in store.names(kind, key)}
    for name in files:
        _put(ask, who, kind, key, name, store.data(kind, key, name), {})
    document = seal({"files": files, "meta": store.meta(kind, key)})
    _arrived(what, lambda: _taken(ask("commit", who, kind, key, document)))


def send_draft(ask: Ask, who: str, home: Home, kind: str, key: str) -> None:
    """Leave unfinished work of `home`, if there is any, in the home behind the depot; raises as `send` does."""
    draft = home.store.draft(kind, key)
    names = draft.names()
    for name in names:
        _put(ask, who, kind, key, name, draft.data(name), draft.info(name))
    if names:
        ask("keep", who, kind, key, names)


def _put(ask: Ask, who: str, kind: str, key: str, name: str, data: bytes, info: dict[str, Any]) -> None:
    digest = hashlib.sha256(data).hexdigest()
    put = partial(ask, "put", who, kind, key, name, data, digest, info)
    _arrived(f"{name} of the {kind} artifact {key}", lambda: _taken(put()))


def _data(ask: Ask, kind: str, key: str, name: str, sha256: str) -> bytes:
    return _verified(_there(ask("data", kind, key, name)), sha256)


def _draft_data(ask: Ask, kind: str, key: str, name: str) -> bytes:
    digest, data = ask("unfinished_data", kind, key, name)
    return _verified(data, digest)


def _verified(data: bytes, sha256: str) -> bytes:
    if hashlib.sha256(data).hexdigest() != sha256:
        raise Damage("its bytes do not match their digest")
    return data


def _taken(taken: bool) -> None:
    if not taken:
        raise Damage("its bytes do not match their digest")


def _there(answer: bytes | str) -> bytes:
    if isinstance(answer, str):
        raise NotThere(answer)
    return answer


def _arrived(what: str, attempt: Callable[[], _T]) -> _T:
    """Return what an attempt returns; where that is damaged on its way, of another attempt."""
    for number in range(1, _TRIES + 1):
        try:
            return attempt()
        except Damage as damage:
            reason = str(damage)
            if number < _TRIES:
                _LOG.warning("%s arrived damaged (%s): it is sent again", what, reason)
    raise SepbenchError(
        f"{what} arrived damaged {_TRIES} times ({reason}): check memory and network of this machine and of the one "
        f"where the run was started"
    )


def _is_here(home: Home, kind: str, key: str, name: str, entry: dict[str, Any]) -> bool:
    """Tell whether a copy is here that is not of an artifact which was made again meanwhile."""
    with suppress(CorruptArtifact, Damage):
        same = home.store.entry(kind, key, name) == entry
        return same and size_of(home.store.folder(kind, key) / f"{name}.safetensors") == entry["size"]
    return False
