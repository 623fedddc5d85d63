"""From the runs of one table cell to a mean with its confidence interval."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import sqrt
from statistics import mean, stdev

from bench.record.record import Record

CONFIDENCE = 0.95

# Measured once for a protected set and copied into the record of each of its victims.
OF_THE_PROTECTED_SET = frozenset(
    {"linf_levels", "l2", "l0", "psnr", "ssim", "craft_passes", "craft_seconds", "surrogate_seconds"}
)


# The independent samples of a cell by what was drawn for them: (surrogate_seed, craft_seed) where crafting replicates
# count, (surrogate_seed, craft_seed, seed) where victims do. Equal seeds pair the samples of two cells.
Samples = Mapping[tuple[int, ...], float]


@dataclass(frozen=True)
class Summary:
    """Mean of `n` independent values and the half-width of its confidence interval, None for n = 1."""

    mean: float
    half_width: float | None
    n: int


def summarise(values: Sequence[float], confidence: float = CONFIDENCE) -> Summary:
    """Return the mean of independent samples with its two-sided Student-t half-width (ddof = 1).

    The order of the values does not matter, not even in the last bit.

    Parameters
    ----------
    values
        At least one number.
    confidence
        Coverage of the interval, strictly between 0 and 1.

    Raises
    ------
    ValueError
        There are no values, or the confidence is out of range.

    """
    if not values:
        raise ValueError("nothing to summarise: no values")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} is not between 0 and 1")
    n = len(values)
    if n == 1:
        return Summary(float(values[0]), None, 1)
    return Summary(mean(values), _quantile((1 + confidence) / 2, n - 1) * stdev(values) / sqrt(n), n)


@cache
def _quantile(share: float, df: int) -> float:
    """Return a quantile of Student's t; cells of a table have few numbers of runs, and each takes scipy a while."""
    from scipy.stats import t  # most of a second to import: paid when a table is made, not by every command

    return round(float(t.ppf(share, df=df)), 7)  # beyond that versions of scipy differ


def samples_of(records: Sequence[Record], value: str, replicated: bool | None = None) -> Samples:
    """Return the independent samples of the field `value` in the runs of one table cell, all of which have it.

    The runs of a cell are several crafting replicates, that is distinct (surrogate_seed, craft_seed), times
    several victim seeds. Victims that share one protected set are no independent samples of the method: with
    several replicates, victims are averaged within each first, every replicate counts once whatever its
    number of victims, and n is the number of replicates. With a single replicate n is the number of victim
    seeds, and the interval speaks about that one protected set only. The audit and the cost of crafting are
    the same in all records of a protected set: for them n is always the number of replicates.

    `replicated` says which of the two n counts where the records cannot: a cell that was planned with several
    replicates and has lost all but one is a sample of one, not of its victims.
    """
    victims: defaultdict[tuple[int, int], dict[int, float]] = defaultdict(dict)
    for record in records:
        victims[record.surrogate_seed, record.craft_seed][record.seed] = getattr(record, value)
    if counts_replicates(victims, value) if replicated is None else replicated:
        return {replicate: mean(values.values()) for replicate, values in victims.items()}
    return {(*replicate, seed): number for replicate, values in victims.items() for seed, number in values.items()}


def summarise_cell(records: Sequence[Record], value: str, replicated: bool | None = None) -> Summary:
    """Summarise `samples_of` one table cell; raises `ValueError` where there are no records."""
    return summarise(list(samples_of(records, value, replicated).values()))


def counts_replicates(replicates: Collection[tuple[int, int]], value: str) -> bool:
    """Return whether n counts these (surrogate_seed, craft_seed) pairs of a cell rather than victim seeds."""
    return value in OF_THE_PROTECTED_SET or len(replicates) > 1
