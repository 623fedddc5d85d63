"""Methods that train while they craft, in an experiment on digits."""

from pathlib import Path
from typing import Any

import pytest

import bench

STEPWISE: dict[str, Any] = {"steps": 3, "batch_size": 8, "noise_steps": 2}
ROBUST: dict[str, Any] = {**STEPWISE, "samples": 1, "attack_steps": 2}
EPOCHWISE: dict[str, Any] = {"epochs": 2, "batch_size": 16, "steps": 2}
EM: dict[str, Any] = {"rounds": 2, "batches": 1, "batch_size": 16, "stop_error": 1.0}


@pytest.mark.slow
def test_a_run_releases_what_each_makes_and_records_what_it_took(tmp_path: Path) -> None:
    taken = {
        "em": (20 * 60 + 16) / 60,  # one round is enough, as any error is
        "em-online": 2 + 3 * 8 * 3 / 60,
        "rem": 2 * 3 + 3 * 8 * (2 * 3 + 3) / 60,
        "sem": 2 + 3 * 8 * (2 + 3) / 60,
        "aue": 2 * 2 + 2 * 48 / 60,  # 12 of 60 images do not fill a batch
        "mi-ue": 2 * 2 + 2 * 48 / 60,
    }
    methods: list[dict[str, Any]] = [
        {"em": EM},
        {"em-online": STEPWISE},
        {"rem": ROBUST},
        {"sem": ROBUST},
        {"aue": EPOCHWISE},
        {"mi-ue": EPOCHWISE},
    ]
    done = bench.run(
        {
            "name": "trained",
            "recipe": {"name": "digits", "epochs": 1},
            "dataset": {"name": "digits", "limit": 60, "test_limit": 40},
            "surrogate": "resnet8",
            "budgets": ["linf-8"],
            "methods": [*methods, {"em": {**EM, "noise": "class-wise", "portion": 1.0}}],
            "victims": ["resnet8"],
        },
        home=tmp_path,
        progress=False,
        mlflow=False,
    )
    records = [record for record in done.measured if record.method != "none"]
    assert len(records) == 7
    assert {record.surrogate_keys for record in records} == {()}
    assert len({record.protected_sha256 for record in records}) == 7
    for record in records:
        assert record.linf_levels is not None
        assert 0 < record.linf_levels <= 8
        if record.method_params.get("noise") != "class-wise":
            assert record.craft_passes == pytest.approx(taken[record.method])
