"""The statistics of the benchmark: intervals, paired comparisons, ranks."""

from bench.read.stats.comparison import (
    SMALLEST_N,
    TESTS,
    Test,
    best_and_ties,
    holm,
    paired_p_value,
)
from bench.read.stats.intervals import (
    CONFIDENCE,
    OF_THE_PROTECTED_SET,
    Samples,
    Summary,
    counts_replicates,
    samples_of,
    summarise,
    summarise_cell,
)
from bench.read.stats.power import POWER, Resolution, detectable, resolution
from bench.read.stats.ranking import MeanRanks, mean_ranks

__all__ = [
    "CONFIDENCE",
    "OF_THE_PROTECTED_SET",
    "POWER",
    "SMALLEST_N",
    "TESTS",
    "MeanRanks",
    "Resolution",
    "Samples",
    "Summary",
    "Test",
    "best_and_ties",
    "counts_replicates",
    "detectable",
    "holm",
    "mean_ranks",
    "paired_p_value",
    "resolution",
    "samples_of",
    "summarise",
    "summarise_cell",
]
