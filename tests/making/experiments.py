"""The tiny experiment: each kind of stage once, in seconds."""

from typing import Any

import yaml

TINY = """\
name: tiny
recipe:
  name: digits
  epochs: 2
dataset:
  name: digits
  limit: 200
  test_limit: 100
surrogate: resnet8
budgets: [linf-32]
methods:
  - none
  - random-noise
  - sep:
      checkpoints: 2
      steps: 2
      step_size: 16
victims: [resnet8]
defenses: [plain]
seeds: [0]
table:
  rows: method
  columns: [budget]
  value: test_acc
"""

FIELDS: dict[str, Any] = yaml.safe_load(TINY)

LEARNING: dict[str, Any] = {**FIELDS, "recipe": {"name": "digits", "epochs": 3, "batch_size": 20}}
"""The same with more steps: far enough from chance that a number that is off shows."""

SEP = ("surrogate resnet8 · seed 0", "craft sep linf-32", "victim sep linf-32 · resnet8 · plain · seed 0")
"""The labels of the stages that sep takes, each of which needs the one before."""

STAGES = {
    "craft none",
    "victim none · resnet8 · plain · seed 0",
    "craft random-noise linf-32",
    "victim random-noise linf-32 · resnet8 · plain · seed 0",
    *SEP,
}
"""The labels of all its stages."""
