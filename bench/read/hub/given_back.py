"""What is known of a protected set: how well networks do that were trained on it, by what their trainer did."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.core.errors import SepbenchError
from bench.plan.plan import Plan
from bench.read.stats import Summary, summarise
from bench.read.verdict.rules import given_back
from bench.record.record import Record, read_record, read_records
from bench.store.home import Home

_LOG = logging.getLogger("sepbench")


@dataclass(frozen=True)
class Judged:
    """Victims of one architecture and one defense: test accuracies in percent.

    Attributes
    ----------
    clean
        Of the same training on the clean images; None where it was not measured.
    given_back
        What share of the accuracy that plain training loses to the protection this defense restores; None where that
        cannot be told, as it loses less than 5 points or was not measured.

    """

    victim: str
    defense: str
    clean: Summary | None
    protected: Summary
    given_back: float | None


def known_records(plan: Plan, home: Home, folder: Path | None) -> list[Record]:
    """Return the records of the plan's data set and recipe in the home and in `folder`, of every experiment, each once.

    Only finished victims count that had the whole release and nothing besides. Raises `SepbenchError` where `folder` is
    missing or holds what is no record; such a file of the home is named in a warning.
    """
    card, recipe = plan.card, plan.experiment.recipe.name
    found: dict[str, Record] = {}
    for record in (*_kept(home), *(read_records(folder) if folder else ())):
        same_data = (record.train_sha256, record.test_sha256) == (card.train_sha256, card.test_sha256)
        whole_release = (record.protected_fraction, record.clean_images) == (1, 0)
        if same_data and whole_release and record.recipe == recipe and record.test_acc is not None:
            found.setdefault(record.key, record)
    return list(found.values())


def judged(records: Iterable[Record], protected_key: str) -> list[Judged]:
    """Return what is known of the set with this key, each victim's plain training first, then by defense."""
    clean: defaultdict[tuple[str, str], list[Record]] = defaultdict(list)
    own: defaultdict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        if record.method == "none":
            clean[record.victim, record.defense].append(record)
        elif record.protected_key == protected_key:
            own[record.victim, record.defense].append(record)
    of_clean = {pair: _mean(several) for pair, several in clean.items()}
    of_own = {pair: _mean(several) for pair, several in own.items()}
    return [
        Judged(victim, defense, of_clean.get((victim, defense)), mean, _given_back(victim, defense, of_clean, of_own))
        for (victim, defense), mean in sorted(of_own.items(), key=lambda item: _plain_first(*item[0]))
    ]


def _given_back(
    victim: str, defense: str, clean: dict[tuple[str, str], Summary], own: dict[tuple[str, str], Summary]
) -> float | None:
    plain = (victim, "plain")
    if defense == "plain" or plain not in clean or plain not in own:
        return None
    return given_back(own[victim, defense].mean, own[plain].mean, clean[plain].mean)


def _plain_first(victim: str, defense: str) -> tuple[str, bool, str]:
    return victim, defense != "plain", defense


def _mean(records: Sequence[Record]) -> Summary:
    return summarise([record.test_acc for record in records if record.test_acc is not None])


def _kept(home: Home) -> Iterator[Record]:
    for path in sorted((home.root / "records").rglob("*.json")):
        try:
            yield read_record(path)
        except SepbenchError as error:
            _LOG.warning("%s", error)
