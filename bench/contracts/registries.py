"""The plug-ins of every kind."""

from typing import Any

from bench.contracts.dataset import DATASETS
from bench.contracts.defense import DEFENSES
from bench.contracts.method import METHODS
from bench.contracts.network import ARCHITECTURES
from bench.core.registry import Registry

REGISTRIES: dict[str, Registry[Any]] = {
    "methods": METHODS,
    "victims": ARCHITECTURES,
    "defenses": DEFENSES,
    "datasets": DATASETS,
}
"""The plug-ins of each kind, as `sepbench ls` calls it."""
