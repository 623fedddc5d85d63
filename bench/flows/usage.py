"""How much room the work of each experiment takes in a home."""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from bench.engine.brought import KIND as BROUGHT
from bench.record.record import read_records
from bench.spec.experiment import published_name
from bench.store.holdings import Holding, holdings
from bench.store.home import Home

KINDS = {"surrogate": "surrogates", "craft": "protected sets", "victim": "victims", BROUGHT: "brought images"}
"""Kinds of artifacts, and what several of them are called."""

_OTHERS = {
    "draft": "begun and not finished",
    "set aside": "set aside",
    "incoming": "being imported",
    "log": "logs",
    "card": "notes on data sets",
    "record": "records",
    "lock": "locks",
    "leftover": "half-written files",
}


@dataclass
class Amount:
    """How many things, and their bytes."""

    count: int = 0
    bytes: int = 0

    def add(self, one: Holding) -> None:
        """Count one more."""
        self.count += 1
        self.bytes += one.bytes


@dataclass
class Share:
    """Finished artifacts by kind: `own` are of this experiment alone, `shared` counts in the `shared` of all, once."""

    own: dict[str, Amount] = field(default_factory=lambda: defaultdict(Amount))
    shared: dict[str, Amount] = field(default_factory=lambda: defaultdict(Amount))


@dataclass(frozen=True)
class Usage:
    """What a home holds.

    Attributes
    ----------
    experiments
        By name as in results, such as `quickstart@4d0b1c22` for one with changes.
    shared
        Artifacts that several experiments rest on, each once.
    without_record
        Artifacts that no record rests on: made for victims that are not trained yet, or of records that are gone.
    others
        What is no finished artifact.

    """

    experiments: dict[str, Share]
    shared: dict[str, Amount]
    without_record: dict[str, Amount]
    others: dict[str, Amount]

    @property
    def total(self) -> int:
        """Bytes of the home."""
        own = [amounts for share in self.experiments.values() for amounts in share.own.values()]
        rest = [amount for part in (self.shared, self.without_record, self.others) for amount in part.values()]
        return sum(one.bytes for one in (*own, *rest))

    def as_json(self) -> dict[str, Any]:
        """Return all of it as JSON."""
        told: dict[str, Any] = json.loads(json.dumps({**vars(self), "total": self.total}, default=vars))
        return told


def usage(home: Home) -> Usage:
    """Return how much room the work in a home takes; raises `SepbenchError` where a record cannot be read."""
    folder = home.root / "records"
    users: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    found = Usage(defaultdict(Share), defaultdict(Amount), defaultdict(Amount), defaultdict(Amount))
    for one in read_records(folder) if folder.is_dir() else ():
        name = published_name(one.experiment, one.profile, one.overrides)
        rests_on = [("victim", one.key), ("craft", one.protected_key), (BROUGHT, one.protected_sha256 or "")]
        for artifact in (*rests_on, *(("surrogate", key) for key in one.surrogate_keys)):
            users[artifact].add(name)
        found.experiments[name]  # also where it left no artifact
    for holding in holdings(home):
        _count(holding, users.get((holding.kind, holding.key), ()), found)
    return found


def _count(one: Holding, users: Iterable[str], found: Usage) -> None:
    several = sorted(users)
    if one.what != "artifact":
        found.others[_OTHERS.get(one.what, one.kind)].add(one)
    elif not several:
        found.without_record[one.kind].add(one)
    elif len(several) == 1:
        found.experiments[several[0]].own[one.kind].add(one)
    else:
        found.shared[one.kind].add(one)
        for name in several:
            found.experiments[name].shared[one.kind].add(one)
