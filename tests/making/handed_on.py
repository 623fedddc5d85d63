"""Protected sets of the tiny experiment in the layout of the Hub, and what lies in their folder."""

from pathlib import Path
from typing import Any

import yaml

SETS = ["sep-linf-32", "random-noise-linf-32"]
SAME_FILES = {"allow_same_files": True}


def front_matter(folder: Path) -> dict[str, Any]:
    _, text, _ = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    found: dict[str, Any] = yaml.safe_load(text)
    return found
