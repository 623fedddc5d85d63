"""The changes, profiles and `--set`, under which an experiment has left records."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

from bench.core.errors import SepbenchError
from bench.data.counts import names_of
from bench.record.record import Record, read_record
from bench.store.home import Home


def changes_text(profile: str | None, overrides: Sequence[str]) -> str:
    """Return changes as they are written behind a command, `no changes` where there are none."""
    given = [f"--profile {profile}"] if profile is not None else []
    given += [f"--set '{one}'" if set(one) & set(" '[{*") else f"--set {one}" for one in overrides]
    return " ".join(given) or "no changes"


def variants_known(experiment: str, records: Iterable[Record], home: Home | None) -> str | None:
    """Return what records of an experiment were made with, and how many of each; None where there are none.

    `home` is where further ones are looked for.
    """
    kept = _kept(home.records(experiment, "default").parent) if home is not None else iter(())
    found = {one.identity: one for one in chain(records, kept) if one.experiment == experiment}
    counts = Counter(changes_text(one.profile, one.overrides) for one in found.values())
    return names_of([f"{changes} ({count})" for changes, count in counts.most_common()]) if counts else None


def _kept(folder: Path) -> Iterable[Record]:
    for path in sorted(folder.glob("*/*.json")):
        try:
            yield read_record(path)
        except SepbenchError:  # damaged: whoever needs it is told
            continue
