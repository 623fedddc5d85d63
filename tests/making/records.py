"""Records as a benchmark would leave them, made by hand."""

from collections.abc import Sequence
from typing import Any

from bench.read.tables import Table, build
from bench.record.record import Record
from bench.spec.layout import TableLayout


def record(**changes: Any) -> Record:
    """Make one record; keywords replace its fields, and the method `none` has no budget."""
    fields: dict[str, Any] = {
        "experiment": "small",
        "recipe": "digits",
        "dataset": "digits",
        "method": "sep",
        "method_params": {},
        "norm": "linf",
        "budget": 8.0,
        "victim": "resnet8",
        "defense": "plain",
        "seed": 0,
        "surrogate_seed": 0,
        "craft_seed": 0,
        "surrogate_keys": (),
        "protected_key": "protected",
        "train_sha256": "a" * 64,
        "test_sha256": "b" * 64,
        "status": "done",
        "version": "0.1.0",
        "started": "2024-05-01T12:00:00+00:00",
        "torch": "2.6.0",
        "device": "cpu",
        "precision": "float32",
        "deterministic": True,
        "host_cores": 2,
    }
    if changes.get("method") == "none":
        fields |= {"norm": None, "budget": None}
    fields |= changes
    identity = ("method", "method_params", "budget", "dataset", "recipe", "victim", "defense")
    seeds = ("surrogate_seed", "craft_seed", "seed")
    fields.setdefault("key", "/".join(str(fields[name]) for name in (*identity, *seeds)).replace(" ", ""))
    return Record(**fields)


def runs(values: Sequence[float | None], value: str = "test_acc", **changes: Any) -> list[Record]:
    """Make one record per number, with victim seeds 0, 1, ...; None is a failed run, keywords are for all of them."""
    return [
        record(seed=seed, status="failed", reason="it fell", **changes)
        if number is None
        else record(seed=seed, **{value: number}, **changes)
        for seed, number in enumerate(values)
    ]


def sep(checkpoints: int, accuracies: Sequence[float | None], **changes: Any) -> list[Record]:
    """Make the runs of `sep` with so many checkpoints."""
    return runs(accuracies, method_params={"checkpoints": checkpoints, "steps": 10}, **changes)


def checkpoint_table(*further: Record) -> Table:
    """Return a table of 1, 3 and 15 checkpoints, of which 3 is missing, and references."""
    return build(
        [
            *runs([90.0, 92.0], method="none"),
            *runs([88.0, 91.0], method="random-noise"),
            *sep(15, [20.0, 26.0]),
            *sep(1, [40.0, 44.0]),
            *sep(3, [None, None]),
            *further,
        ],
        TableLayout(),
    )
