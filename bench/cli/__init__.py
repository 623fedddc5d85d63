"""The commands of `sepbench`: one function each, that calls what does the work and prints what it returns.

Nothing here may import torch or MLflow before a command needs it: `--help` answers at once.
"""

from bench.cli.app import main

__all__ = ["main"]
