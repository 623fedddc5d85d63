"""Where another accuracy of the same victims is far above that of the last epoch, which tables show."""

from collections.abc import Mapping, Sequence

from bench.read.stats import summarise_cell
from bench.record.record import Record

OTHERS: Mapping[str, str] = {"peak_acc": "peak", "relabelled_acc": "relabelled"}
"""Record fields that hold them, and what they are called."""

_FAR = 5.0
"""In percentage points."""


def far_above_last(records: Sequence[Record]) -> dict[str, float]:
    """Return those means, in percent by their fields, that are 5 points or more above the mean of the last epochs.

    `records` are those of one number; one that lacks a field tells nothing of it.
    """
    found = {}
    for field in OTHERS:
        both = [one for one in records if one.test_acc is not None and getattr(one, field) is not None]
        if both:
            other, last = (summarise_cell(both, name).mean for name in (field, "test_acc"))
            if other >= last + _FAR:
                found[field] = other
    return found
