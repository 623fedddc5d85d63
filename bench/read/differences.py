"""What two results differ in, and whether by more than their seeds explain."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from bench.core.errors import SepbenchError
from bench.read.stats import CONFIDENCE, Summary, holm, paired_p_value, samples_of, summarise_cell
from bench.read.tables.table import CellId, Setting
from bench.record.record import Record
from bench.spec.axes import AXES
from bench.spec.experiment import published_name

_GROUPS = {
    "versions": "version git_sha dirty torch device precision deterministic compiled plugins host_cores threads "
    "processor crafted_on",
    "outcome": "status reason test_acc peak_acc train_acc relabelled_acc linf_levels l2 l0 psnr ssim",
    "cost": "craft_passes craft_seconds surrogate_seconds train_seconds peak_memory_mb",
}
"""The record fields of each group; all others are of the spec and its inputs."""
_TOLD_OTHERWISE = ("key", "started", "test_acc_per_class", "experiment")


@dataclass(frozen=True)
class Difference:
    """A field in which two records differ: its group (`spec`, `versions`, `outcome` or `cost`), and both values."""

    group: str
    field: str
    ours: Any
    theirs: Any


@dataclass(frozen=True)
class Compared:
    """A setting that two results share.

    Attributes
    ----------
    setting
        What both have in common; axes on which they differ as a whole are None.
    ours, theirs
        Means and intervals of each, as in a table.
    pairs
        How many samples have seeds that the other has, too: crafting replicates where both have several, else runs.
    difference
        Theirs less ours, the mean over these pairs; without any of the means.
    p
        Of a t-test paired by seeds, corrected over all settings; None with fewer than two pairs.

    """

    setting: Setting
    ours: Summary
    theirs: Summary
    pairs: int
    difference: float
    p: float | None

    @property
    def beyond_seeds(self) -> bool | None:
        """Whether the difference is more than seeds explain; None where that cannot be told."""
        return None if self.p is None else self.p <= 1 - CONFIDENCE


@dataclass(frozen=True)
class Comparison:
    """Two results setting by setting.

    `apart` are the axes on which they differ as a whole, with the value of each; `only_ours` and `only_theirs` count
    the settings that the other one lacks.
    """

    shared: tuple[Compared, ...]
    apart: Mapping[str, tuple[Any, Any]]
    only_ours: int
    only_theirs: int


def named(name: str, records: Iterable[Record]) -> list[Record]:
    """Return the records of an experiment, or those whose key begins so.

    An experiment that was run with changes is called as its folder among results is, such as `quickstart@4d0b1c22`.
    Raises `SepbenchError` where there are none, or keys of several begin so.
    """
    records = list(records)
    found = [one for one in records if published_name(one.experiment, one.profile, one.overrides) == name]
    if found:
        return found
    if len(name) >= 6 and set(name) <= set("0123456789abcdef"):
        found = [one for one in records if one.key.startswith(name)]
        keys = {one.key for one in found}
        if len(keys) > 1:
            raise SepbenchError(f"{len(keys)} keys start with {name}: give more of it")
        if found:
            return [max(found, key=lambda one: (one.status == "done", one.started))]
    known = sorted({published_name(one.experiment, one.profile, one.overrides) for one in records})
    there = f"there are records of {', '.join(known)}" if known else "there are no records at all"
    raise SepbenchError(f"no experiment, and no key of a record, is called {name}: {there}")


def differences(ours: Record, theirs: Record) -> list[Difference]:
    """Return every field in which two records differ, parameters of methods one by one."""
    a, b = (_flat(one) for one in (ours, theirs))
    fields = [name for name in dict.fromkeys([*a, *b]) if a.get(name) != b.get(name)]
    return [
        Difference(_group(name), name, a.get(name), b.get(name))
        for name in fields
        if name.partition(".")[0] not in _TOLD_OTHERWISE
    ]


def compare(ours: Sequence[Record], theirs: Sequence[Record], value: str = "test_acc") -> Comparison:
    """Compare a record field of two results in every setting that both have."""
    sides = [_settings(records, value) for records in (ours, theirs)]
    values = {axis: [{one[axis] for one in side} for side in sides] for axis in AXES}
    apart = {
        axis: (next(iter(a)), next(iter(b))) for axis, (a, b) in values.items() if len(a) == len(b) == 1 and a != b
    }
    a, b = ({one.without(*apart): records for one, records in side.items()} for side in sides)
    shared = [one for one in a if one in b]
    found = [_compared(one, a[one], b[one], value) for one in shared]
    corrected = iter(holm([one.p for one in found if one.p is not None]))
    return Comparison(
        tuple(one if one.p is None else replace(one, p=next(corrected)) for one in found),
        apart,
        len(a) - len(shared),
        len(b) - len(shared),
    )


def siblings(record: Record, records: Iterable[Record]) -> list[Record]:
    """Return the records that differ from one in nothing but seeds, itself among them."""
    changes = (record.profile, record.overrides)
    setting = CellId.of(record).setting
    found = {
        one.key: one
        for one in records
        if (one.profile, one.overrides) == changes and one.status == "done" and CellId.of(one).setting == setting
    }
    return list(({record.key: record} | found).values())


def _compared(setting: Setting, ours: Sequence[Record], theirs: Sequence[Record], value: str) -> Compared:
    sides = (ours, theirs)
    replicated = all(len({(one.surrogate_seed, one.craft_seed) for one in side}) > 1 for side in sides)
    first, second = (samples_of(side, value, replicated) for side in sides)
    means = [summarise_cell(side, value) for side in sides]
    pairs = [second[seeds] - first[seeds] for seeds in first if seeds in second]
    difference = fmean(pairs) if pairs else means[1].mean - means[0].mean
    return Compared(setting, means[0], means[1], len(pairs), difference, paired_p_value(first, second))


def _settings(records: Sequence[Record], value: str) -> dict[Setting, list[Record]]:
    found: defaultdict[Setting, list[Record]] = defaultdict(list)
    for one in records:
        if one.status == "done" and getattr(one, value) is not None:
            found[CellId.of(one).setting].append(one)
    return dict(found)


def _flat(record: Record) -> dict[str, Any]:
    fields = record.model_dump(mode="json")
    params = fields.pop("method_params")
    return {**fields, **{f"method.{name}": value for name, value in params.items()}}


def _group(field: str) -> str:
    return next((name for name, fields in _GROUPS.items() if field in fields.split()), "spec")
