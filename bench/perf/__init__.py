"""Throughput against what public scripts do, measured in one run, and what the harness costs."""

from bench.perf.craft_steps import craft_throughput
from bench.perf.harness import harness_costs
from bench.perf.side_by_side import victims_throughput
from bench.perf.train_epochs import train_throughput
from bench.perf.turns import read_list

__all__ = ["craft_throughput", "harness_costs", "read_list", "train_throughput", "victims_throughput"]
