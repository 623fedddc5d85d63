"""Where the plug-ins of each kind are found; nothing here imports one."""

from bench.core.registry import Place

METHODS = Place("method", "methods", "sepbench.methods", "METHODS")
ARCHITECTURES = Place("architecture", "victims.architectures", "sepbench.architectures", "ARCHITECTURES")
DEFENSES = Place("defense", "victims.defenses", "sepbench.defenses", "DEFENSES")
DATASETS = Place("data set", "bench.data.formats", "sepbench.datasets", "DATASETS")
