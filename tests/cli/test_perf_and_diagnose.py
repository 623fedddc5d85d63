"""`perf` and `diagnose`: measurements on request."""

import json
import math

import pytest

from bench.record.tracking import default_uri
from bench.record.tracking.connection import connected
from tests.making.asking import Finished, changed, done, refusal, write
from tests.making.experiments import TINY

pytestmark = pytest.mark.usefixtures("own_place", "loops_in_forks")


@pytest.mark.slow
def test_perf_prints_a_ratio_for_every_number_of_checkpoints_and_format() -> None:
    shown = json.loads(
        done("perf", "craft", "--network", "resnet8", "--checkpoints", "1,2", "--size", "16", "--batch", "4")
    )
    assert (shown["what"], shown["architecture"], shown["image"], shown["batch"]) == ("craft", "resnet8", 16, 4)
    assert [(row["checkpoints"], row["precision"]) for row in shown["rows"]] == [
        (count, precision) for count in (1, 2) for precision in ("fp32", "bf16")
    ]
    for row in shown["rows"]:
        assert len(row["ratios"]) == 3
        assert min(row["ratios"]) <= row["ratio"] * 1.01 + 0.01
        # A median of ratios differs from the ratio of medians, but rates and ratio come from the same medians.
        assert math.isclose(row["passes_per_second"] / row["plain_passes_per_second"], row["ratio"], rel_tol=0.05)
        assert row["share_of_matmul_rate"] > 0
        assert math.isclose(row["microseconds_per_pass"] * row["passes_per_second"], 1e6, rel_tol=0.05)
    for precision in ("fp32", "bf16"):
        one, two = (row["passes_per_second"] for row in shown["rows"] if row["precision"] == precision)
        assert math.isclose(shown["spread"][precision], max(one, two) / min(one, two), abs_tol=0.01)


@pytest.mark.slow
def test_perf_of_training_prints_a_ratio_for_every_format() -> None:
    shown = json.loads(done("perf", "train", "--network", "resnet8", "--size", "16", "--batch", "8", "--images", "20"))
    assert (shown["what"], shown["architecture"], shown["image"]) == ("train", "resnet8", 16)
    assert (shown["batch"], shown["images"]) == (8, 20)
    assert [(row["precision"], row["compiled"]) for row in shown["rows"]] == [("fp32", False), ("bf16", False)]
    for row in shown["rows"]:
        assert len(row["ratios"]) == 3
        assert math.isclose(row["images_per_second"] / shown["plain_images_per_second"], row["ratio"], rel_tol=0.05)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["evaluate"], "no such command 'evaluate': see sepbench perf --help"),
        (["train", "--checkpoints", "5"], "no such option '--checkpoints': see sepbench perf train --help"),
        (["craft", "--images", "5"], "no such option '--images': see sepbench perf craft --help"),
        (
            ["craft", "--checkpoints", "1,x"],
            "--checkpoints 1,x: 'x' is not one of its values, see sepbench perf --help",
        ),
        (["craft", "--precision", "fp8"], "--precision fp8: 'fp8' is not one of its values, see sepbench perf --help"),
        (["craft", "--network", "resnet9"], "unknown architecture 'resnet9': did you mean resnet8 or resnet18?"),
    ],
)
def test_perf_refuses_what_it_does_not_know(arguments: list[str], sentence: str) -> None:
    assert refusal("perf", *arguments).startswith(sentence.split(" or ")[0])


def test_a_diagnosis_shows_gradients_and_what_checkpoints_recognise(finished: Finished) -> None:
    found = json.loads(done("diagnose", "tiny.yaml", "--images", "64", "--format", "json", "--no-mlflow"))
    (similarity,) = found["similarities"]
    assert similarity["networks"] == ["epoch 1", "epoch 2"]
    assert [round(similarity["cosine"][i][i], 4) for i in (0, 1)] == [1, 1]
    assert similarity["cosine"][0][1] == similarity["cosine"][1][0]
    assert all(norm > 0 for norm in similarity["norms"])
    clean, protected = found["recognitions"]
    assert clean["images"] == "clean"
    assert protected["images"] == "sep linf-32 (steps=2, step_size=16, checkpoints=2)"
    assert protected["as_target"] > clean["as_target"], "crafting moves images to the target class"


@pytest.mark.usefixtures("mlflow")
def test_a_diagnosis_goes_to_mlflow_with_its_figures(finished: Finished) -> None:
    shown = done("diagnose", "tiny.yaml", "--images", "16")
    assert "| clean | resnet8 · seed 0 |" in shown
    with connected(default_uri(finished.home)) as client:
        experiment = client.get_experiment_by_name("tiny")
        assert experiment is not None
        runs = [run for run in client.search_runs([experiment.experiment_id]) if run.info.run_name == "diagnosis"]
        files = {file.path: file.file_size for file in client.list_artifacts(runs[0].info.run_id)}
    assert set(files) == {"diagnosis.md", "diagnosis.json", "similarity-0.png"}
    assert (files["similarity-0.png"] or 0) > 5000


def test_a_diagnosis_needs_a_trained_surrogate() -> None:
    write(changed(TINY, "name: tiny", "name: untrained"))
    done("plan", "tiny.yaml")  # the data set's card is made by the first plan
    assert refusal("diagnose", "tiny.yaml", "--no-mlflow") == (
        "no surrogate of untrained is trained yet: run the experiment first"
    )
