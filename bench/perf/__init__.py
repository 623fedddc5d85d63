"""Throughput against what public scripts do, measured in one run."""

from bench.perf.craft_steps import craft_throughput
from bench.perf.train_epochs import train_throughput
from bench.perf.turns import read_list

__all__ = ["craft_throughput", "read_list", "train_throughput"]
