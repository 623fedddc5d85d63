"""The data-set formats by name."""

from bench.data.plugin import DatasetPlugin
from bench.registry import Registry

DATASETS: Registry[type[DatasetPlugin]] = Registry("data set", "bench.data.formats", "sepbench.datasets")
