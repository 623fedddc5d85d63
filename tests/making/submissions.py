"""Records as somebody would submit them, made by hand."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.record.published import Published
from bench.record.record import Record
from tests.making import records as made_records


def submission(**changes: Any) -> Record:
    """Make a record that may be shown: sep at linf-8 on the digits; the method `none` has no budget."""
    fields: dict[str, Any] = {
        "method_params": {"checkpoints": 5},
        "surrogate_keys": ("surrogate",),
        "test_acc": 20.0,
        "linf_levels": 8,
        "l2": 1.5,
        "l0": 1000,
        "git_sha": "c" * 40,
        "precision": "fp32",
    }
    if changes.get("method", "sep") != "sep":
        fields["method_params"] = {}
    if changes.get("method") == "none":
        fields |= {"linf_levels": 0, "l2": 0.0, "l0": 0}
    fields |= changes
    fields.setdefault("key", hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest())
    return made_records.record(**fields)


def submissions(accuracies: Sequence[float], **changes: Any) -> list[Record]:
    """Make one record per accuracy, with victim seeds 0, 1, ..."""
    return [submission(seed=seed, test_acc=accuracy, **changes) for seed, accuracy in enumerate(accuracies)]


def write(records: Sequence[Record], folder: Path) -> Path:
    """Write each record to a file of its own below `folder`, and return that."""
    folder.mkdir(parents=True, exist_ok=True)
    for record in records:
        (folder / f"{record.key}.json").write_text(record.to_json(), encoding="utf-8")
    return folder


RECORDS = [
    *submissions([99.0, 98.0, 99.4], method="none"),
    *submissions([97.0, 96.5, 98.1], method="random-noise"),
    *submissions([12.0, 9.5, 14.5]),
    *submissions([30.25, 41.0], method="em"),
    *submissions([88.0, 86.0, 87.5], defense="jpeg-10"),
    *submissions([22.0, 24.0], victim="resnet18"),
    *submissions([40.0, 44.0], budget=16.0, linf_levels=16),
    *submissions([70.0, 72.0], recipe="digits[epochs=1]", profile="fast", overrides=("recipe.epochs=1",)),
]

PUBLISHED = Published(
    source="A paper, table 1",
    dataset="cifar10",
    victim="resnet18",
    recipe="sep-2023",
    method="sep",
    norm="linf",
    budget=8.0,
    defense="plain",
    test_acc=3.85,
    std=0.12,
    n=5,
    differs="other constants",
    note="on a GPU",
)
