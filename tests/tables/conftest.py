"""Records as a benchmark would leave them, made by hand."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from bench.record import Record

MakeRecord = Callable[..., Record]
MakeRuns = Callable[..., list[Record]]


def _record(**changes: Any) -> Record:
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
    fields |= changes
    if fields["method"] == "none":
        fields |= {"norm": None, "budget": None}
    identity = ("method", "method_params", "budget", "dataset", "recipe", "victim", "defense")
    seeds = ("surrogate_seed", "craft_seed", "seed")
    fields.setdefault("key", "/".join(str(fields[name]) for name in (*identity, *seeds)).replace(" ", ""))
    return Record(**fields)


def _runs(values: Sequence[float], value: str = "test_acc", **changes: Any) -> list[Record]:
    return [_record(seed=seed, **{value: number}, **changes) for seed, number in enumerate(values)]


@pytest.fixture(scope="session")
def record() -> MakeRecord:
    """Make one record; keywords replace its fields, and the method `none` has no budget."""
    return _record


@pytest.fixture(scope="session")
def runs() -> MakeRuns:
    """Make one record per number, with victim seeds 0, 1, ...; keywords replace fields of all of them."""
    return _runs
