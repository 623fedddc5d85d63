"""Poisons that ask for networks trained otherwise, or for none, in an experiment on digits."""

from pathlib import Path

import pytest

import bench


@pytest.mark.slow
def test_a_run_trains_what_each_asks_for_and_releases_what_it_makes(tmp_path: Path) -> None:
    entangled = {"steps": 2, "surrogate": "recipe", "attack_steps": 1}
    done = bench.run(
        {
            "name": "more-poisons",
            "recipe": {"name": "digits", "epochs": 2},
            "dataset": {"name": "digits", "limit": 60, "test_limit": 40},
            "surrogate": "resnet8",
            "budgets": ["linf-8", "unbounded"],
            "methods": [
                {"entf-push": entangled},
                {"entf-pull": entangled},
                {"aap": {"steps": 2, "surrogate": "recipe"}},
                {"aap-untargeted": {"steps": 2, "surrogate": "recipe"}},
                {"ntga": {"steps": 2}},
                {"dune": {"steps": 2, "checkpoints": 2, "particles": 2, "iterations": 2, "images": 4}},
            ],
            "victims": ["resnet8"],
        },
        home=tmp_path,
        progress=False,
        mlflow=False,
    )
    by_method = {record.method: record for record in done.measured}
    push, pull, aap = (by_method[name] for name in ("entf-push", "entf-pull", "aap"))
    assert push.surrogate_keys == pull.surrogate_keys != aap.surrogate_keys
    assert by_method["aap-untargeted"].surrogate_keys == aap.surrogate_keys
    assert by_method["ntga"].surrogate_keys == ()
    assert [record.linf_levels for record in (push, pull, aap, by_method["ntga"])] == [8, 8, 8, 8]
    assert (by_method["dune"].norm, by_method["dune"].budget) == ("unbounded", None)
