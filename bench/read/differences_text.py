"""Differences of two results as people and programs read them."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from math import sqrt
from statistics import stdev
from typing import Any

from bench.read.differences import Compared, Difference, compare, differences, siblings
from bench.read.stats import Summary
from bench.read.tables.markdown import aligned
from bench.read.tables.table import CellId
from bench.record.record import Record
from bench.record.values import value_of
from bench.spec.axes import AXES, axes_in_order
from bench.spec.names import NOTHING, as_text

_GROUPS = {"spec": "What was asked", "versions": "Where it ran", "outcome": "What came out", "cost": "What it cost"}
_DIGITS = 12  # of a digest
_OF_SPREADS = 2.0
"""From this many standard deviations of a difference between two seeds on, one is told to be unusual."""


def diff_experiments(ours: Sequence[Record], theirs: Sequence[Record], names: tuple[str, str], value: str) -> str:
    """Return the comparison of two experiments, setting by setting, as text."""
    found = compare(ours, theirs, value)
    lines = [
        f"{AXES[axis].title}: {_label(axis, a)} in {names[0]}, {_label(axis, b)} in {names[1]}."
        for axis, (a, b) in found.apart.items()
    ]
    if found.shared:
        lines += ["", *_table(found.shared, names, value), ""]
        beyond = sum(bool(one.beyond_seeds) for one in found.shared)
        tested = sum(one.p is not None for one in found.shared)
        lines.append(
            f"{beyond} of {tested} settings with two seeds or more in common differ by more than these explain (paired "
            f"t-test at 5 %, Holm-corrected)."
            if tested
            else "No setting has two seeds in common: whether they differ by more than seeds explain cannot be told."
        )
    else:
        lines.append("They have no setting in common.")
    for name, count in ((names[0], found.only_ours), (names[1], found.only_theirs)):
        if count:
            lines.append(f"{count} setting{'s' * (count > 1)} only in {name}.")
    return "\n".join(lines).lstrip("\n")


def diff_records(ours: Record, theirs: Record, among: Sequence[Record]) -> str:
    """Return what two records differ in as text; `among` are records that tell how much seeds do."""
    lines: list[str] = []
    found = differences(ours, theirs)
    for group, title in _GROUPS.items():
        rows = [one for one in found if one.group == group]
        if rows:
            columns = [
                [title, *(one.field for one in rows)],
                ["first", *(_shown(one.ours) for one in rows)],
                ["second", *(_shown(one.theirs) for one in rows)],
                ["difference", *(_change(one) for one in rows)],
            ]
            lines += [*aligned(columns, 1), ""]
    return "\n".join([*lines, _verdict(ours, theirs, among, bool(found))])


def as_json(ours: Sequence[Record], theirs: Sequence[Record], value: str, *, single: bool) -> str:
    """Return the same as JSON: fields that differ where both are `single` records, and settings that they share."""
    found = compare(ours, theirs, value)
    told: dict[str, Any] = {
        "value": value,
        "apart": {axis: [_label(axis, a), _label(axis, b)] for axis, (a, b) in found.apart.items()},
        "settings": [_json(one) for one in found.shared],
        "only_first": found.only_ours,
        "only_second": found.only_theirs,
    }
    if single:
        told["fields"] = [asdict(one) for one in differences(ours[0], theirs[0])]
    return json.dumps(told, indent=1)


def _json(one: Compared) -> dict[str, Any]:
    told = {
        axis.name: _label(axis.name, one.setting[axis.name])
        for axis in AXES.values()
        if one.setting[axis.name] is not None
    }
    return {
        **told,
        "first": one.ours.mean,
        "second": one.theirs.mean,
        "n": [one.ours.n, one.theirs.n],
        "pairs": one.pairs,
        "difference": one.difference,
        "p": one.p,
        "beyond_seeds": one.beyond_seeds,
    }


def _verdict(ours: Record, theirs: Record, among: Sequence[Record], differ: bool) -> str:
    if ours.test_acc is None or theirs.test_acc is None:
        return "One of them has no outcome, so that there is nothing to compare."
    change = theirs.test_acc - ours.test_acc
    if ours.key == theirs.key:
        if not change:
            return (
                "The same victim with the same outcome."
                if not differ
                else "The same victim, with the same test accuracy."
            )
        return (
            f"The same victim, seeds and data: no seed explains the {abs(change):.2f} points between them, so that "
            f"versions, the device or the order of sums do."
        )
    families = [siblings(one, among) for one in (ours, theirs)]
    if CellId.of(ours).setting == CellId.of(theirs).setting and ours.overrides == theirs.overrides:
        return _of_seeds(change, families[0])
    shared = compare(families[0], families[1]).shared
    one = shared[0] if shared else None
    if one is None or one.p is None:
        n = " and ".join(str(len(family)) for family in families)
        return (
            f"Whether {abs(change):.2f} points are more than seeds explain cannot be told: of these settings there are "
            f"{n} runs, and at least two seeds in common are needed."
        )
    more = "more than" if one.beyond_seeds else "no more than"
    side = "above" if one.difference > 0 else "below"
    return (
        f"Over {one.pairs} seeds in common the second is {abs(one.difference):.2f} points {side} the first: {more} "
        f"seeds explain (paired t-test, p = {one.p:.2g})."
    )


def _of_seeds(change: float, family: Sequence[Record]) -> str:
    if len(family) < 3:
        return f"They differ in seeds alone, and {len(family)} runs do not tell how much seeds do: run more of them."
    spread = stdev(one.test_acc for one in family if one.test_acc is not None) * sqrt(2)
    times = abs(change) / spread if spread else 0.0
    told = "unusual for seeds" if times > _OF_SPREADS else "what seeds do"
    return (
        f"They differ in seeds alone: {abs(change):.2f} points are {times:.1f} standard deviations of a difference "
        f"between two of the {len(family)} runs of this setting, {told}."
    )


def _table(shared: Sequence[Compared], names: tuple[str, str], value: str) -> list[str]:
    axes = [
        axis
        for axis in axes_in_order("method", "budget")
        if len({one.setting[axis.name] for one in shared} - {None}) > 1
    ]
    axes = axes or [AXES["method"]]
    columns = [[axis.title, *_labels(axis.name, [one.setting[axis.name] for one in shared])] for axis in axes]
    columns.append([names[0], *(_mean(one.ours, value) for one in shared)])
    columns.append([names[1], *(_mean(one.theirs, value) for one in shared)])
    decimals = value_of(value).decimals
    columns.append(["seeds in common", *(str(one.pairs) for one in shared)])
    columns.append(
        ["difference there", *(f"{one.difference:+.{decimals}f}" if one.pairs else NOTHING for one in shared)]
    )
    columns.append(["more than seeds", *(_TOLD[one.beyond_seeds] for one in shared)])
    return [f"**{value_of(value).title}**", "", *aligned(columns, len(axes))]


_TOLD = {None: NOTHING, True: "yes", False: "no"}


def _labels(axis: str, values: Sequence[Any]) -> list[str]:
    different = list(dict.fromkeys(values))
    return [AXES[axis].label(one, different) for one in values]


def _label(axis: str, value: Any) -> str:
    return AXES[axis].label(value)


def _mean(found: Summary, value: str) -> str:
    decimals = value_of(value).decimals
    if found.half_width is None:
        return f"{found.mean:.{decimals}f} (n = 1)"
    return f"{found.mean:.{decimals}f} ± {found.half_width:.{decimals}f}"


def _shown(value: Any) -> str:
    if isinstance(value, str) and len(value) in (40, 64) and set(value) <= set("0123456789abcdef"):
        return value[:_DIGITS]
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_shown, value)) or NOTHING
    return NOTHING if value is None else as_text(value)


def _change(one: Difference) -> str:
    numbers = [
        value for value in (one.ours, one.theirs) if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    return f"{numbers[1] - numbers[0]:+.4g}" if len(numbers) == 2 and one.group in ("outcome", "cost") else ""
