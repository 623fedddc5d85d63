"""`plan`: a summary by kind and method, times that two plans agree on, data sets that are not here."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from bench.data.loading import DataCard
from bench.plan.make import make_plan
from bench.spec.file import experiment_names, load_experiment
from tests.making.asking import Finished, ask, changed, done, refusal, write
from tests.making.experiments import TINY

pytestmark = pytest.mark.usefixtures("own_place")

SEEN = DataCard(
    train_sha256="a" * 64,
    test_sha256="b" * 64,
    classes=tuple("0123456789"),
    n_train=50_000,
    n_protected=50_000,
    n_test=10_000,
    height=32,
    width=32,
)


@pytest.fixture(autouse=True)
def _idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))


@pytest.fixture
def _quick_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time no batch: big networks are slow."""
    monkeypatch.setattr("bench.plan.estimate.time_batch", lambda work, device: 1e-3)


def rows(shown: str) -> list[list[str]]:
    """Return the cells of the table of a plan, by the wide gaps between them."""
    lines = [line for line in shown.splitlines() if line.startswith("  ")]
    return [re.split(r"\s{2,}", line.strip()) for line in lines]


def plan(*options: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done("plan", *options, "--json"))
    return found


def test_a_plan_is_summed_up_by_kind_and_method() -> None:
    shown = rows(done("plan", write(changed(TINY, "seeds: [0]", "seeds: [0, 1]"))))
    assert shown[0] == ["stages", "there", "to do", "passes", "time"]
    assert [row[:-1] for row in shown[1:]] == [
        ["surrogate", "resnet8", "0", "1", "2"],
        ["craft", "none", "0", "1", "0"],
        ["craft", "random-noise", "0", "1", "0"],
        ["craft", "sep", "0", "1", "4"],
        ["victim", "none", "0", "2", "4"],
        ["victim", "random-noise", "0", "2", "4"],
        ["victim", "sep", "0", "2", "4"],
    ]
    assert all(row[-1].startswith("~") for row in shown[1:])


def test_rows_of_one_method_are_one_line_of_the_summary() -> None:
    write(changed(TINY, "      steps: 2", "      steps: [2, 3]"))
    assert ["craft", "sep", "0", "2", "10"] in [row[:-1] for row in rows(done("plan", "tiny.yaml"))]


def test_the_columns_of_the_summary_are_aligned() -> None:
    lines = [line for line in done("plan", write(TINY)).splitlines() if line.startswith("  ")]
    assert len({len(line) for line in lines}) == 1


def test_the_summary_counts_what_is_there_and_costs_only_what_is_not(finished: Finished) -> None:
    shown = rows(done("plan", "tiny.yaml", "--set", "seeds=[0,1]"))
    assert ["surrogate", "resnet8", "1", "0"] in shown
    assert ["victim", "sep", "1", "1", "2"] in [row[:-1] for row in shown]


EM = "{em: {rounds: 4, steps: 3, batches: 2, batch_size: 25}}"


def test_what_a_method_that_trains_takes_at_most_is_told() -> None:
    write(changed(TINY, "  - random-noise", f"  - {EM}"))
    shown = done("plan", "tiny.yaml")
    (craft,) = [row for row in rows(shown) if row[:2] == ["craft", "em"]]
    assert craft[2:5] == ["0", "1", "13"]  # 4 rounds of 3 steps, and 4 times 50 images are another of all 200
    assert "\nof em passes and time are the most there may be: " in shown
    (stage,) = [stage for stage in plan("tiny.yaml")["stages"] if stage["label"].startswith("craft em")]
    assert stage["at_most"]
    assert stage["seconds"] > 0
    assert stage["flops"] > 0
    assert "the most there may be" not in done("plan", write(TINY))


def test_passes_that_go_forward_alone_are_told_and_take_time() -> None:
    method = "{dune: {steps: 1, checkpoints: 1, particles: 10, iterations: %d}}"
    tiny = changed(TINY, "[linf-32]", "[linf-32, unbounded]")
    seconds, flops = [], []
    for iterations in (1, 201):
        write(changed(tiny, "  - random-noise", f"  - {method % iterations}"))
        (stage,) = [one for one in plan("tiny.yaml")["stages"] if one["label"].startswith("craft dune")]
        assert (stage["passes"], stage["forward_passes"]) == (1, 10 * iterations)
        seconds.append(stage["seconds"])
        flops.append(stage["flops"])
    assert "\ndune takes up to 2,010 passes forward alone before, which its time counts\n" in done("plan", "tiny.yaml")
    both = f"{method % 201}\n  - {method % 1}"
    write(changed(tiny, "  - random-noise", f"  - {both}"))
    assert "\ndune takes up to 2,010 passes forward alone before, " in done("plan", "tiny.yaml"), "the most of two rows"
    assert seconds[1] / seconds[0] == pytest.approx((0.35 * 2010 + 1) / (0.35 * 10 + 1))
    assert flops[1] / flops[0] == pytest.approx((0.5 * 2010 + 1) / (0.5 * 10 + 1))


def test_passes_are_told_in_four_figures_and_one_cell_is_one() -> None:
    write(changed(TINY, "  - random-noise", "  - em: {rounds: 41, steps: 3, batches: 1, batch_size: 23}"))
    shown = done("plan", "tiny.yaml", "--only", "method=em")
    assert shown.startswith("tiny: 1 cell on digits, ")
    (craft,) = [row for row in rows(shown) if row[:2] == ["craft", "em"]]
    assert craft[4] == "127.7"  # 123 and 41 * 23 / 200


def test_many_passes_are_written_out() -> None:
    write(changed(TINY, "  - random-noise", "  - rem"))
    assert " 1,795,750 " in done("plan", "tiny.yaml")  # 550 and 5000 * 128 * 561 / 200


def test_every_stage_is_listed_where_that_is_asked_for() -> None:
    listed = done("plan", write(TINY), "--all").splitlines()
    labels = [stage["label"] for stage in plan("tiny.yaml")["stages"]]
    assert len(labels) == 7
    assert [line.endswith(f"  {label}") for line, label in zip(listed[1:8], labels, strict=True)] == [True] * 7


def test_two_plans_say_the_same_time_and_that_it_is_rough() -> None:
    first = done("plan", write(TINY))
    assert "12 passes, roughly " in first
    assert "from timed batches" in first
    assert done("plan", "tiny.yaml") == first


def test_a_home_that_has_run_says_what_it_has_measured(finished: Finished) -> None:
    more = ("tiny.yaml", "--set", "seeds=[0,1]")
    shown = done("plan", *more)
    assert re.search(r" passes, about .* on cpu, as this home has measured\n", shown)
    left = [stage for stage in plan(*more)["stages"] if not stage["done"]]
    assert [stage["basis"] for stage in left] == ["measured"] * 3


def test_a_busy_machine_is_said_to_be_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (7.25, 0.0, 0.0))
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    busy = done("plan", write(TINY))
    assert "cpu is busy now (7.2 programs on 4 cores): while it is, everything takes longer\n" in busy


def test_no_gain_of_several_processes_is_promised_that_nothing_measured_tells() -> None:
    shown = done("plan", write(TINY), "--jobs", "3")
    assert "3 processes of 1 thread each on cpu share what one has to itself" in shown
    assert "no gain is promised" in shown
    assert plan("tiny.yaml", "--jobs", "3")["sharing"] == {"jobs": 3, "threads": 1, "seconds": None}


def test_several_processes_take_what_was_measured_for_their_threads(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    more = ("tiny.yaml", "--set", "seeds=[0,1,2]", "--jobs", "2")
    found = plan(*more)
    seconds = [stage["seconds"] for stage in found["stages"] if not stage["done"]]
    assert len(seconds) == 6
    assert found["sharing"]["seconds"] == pytest.approx(sum(seconds) / 2)


def test_more_processes_than_stages_are_not_counted(finished: Finished) -> None:
    more = ("tiny.yaml", "--set", "seeds=[0,1]", "--only", "method=none")
    assert plan(*more, "--jobs", "4")["sharing"] is None
    assert "process" not in done("plan", *more, "--jobs", "4")


@pytest.mark.usefixtures("_quick_batches")
@pytest.mark.parametrize("name", experiment_names())
def test_every_shipped_experiment_is_planned_before_its_data_is_here(name: str) -> None:
    found = plan(name)
    here = name == "quickstart"
    assert (found["missing"] is None) == here
    assert all((stage["key"] is not None) == here for stage in found["stages"])
    same = make_plan(load_experiment(name), SEEN)
    assert found["cells"] == len(same.cells)
    assert [stage["label"] for stage in found["stages"]] == [stage.label for stage in same.stages.values()]
    assert all(stage["passes"] > 0 and stage["flops"] > 0 for stage in found["stages"] if stage["kind"] == "victim")


@pytest.mark.usefixtures("_quick_batches")
def test_a_plan_without_data_says_so_and_how_to_get_it() -> None:
    shown = done("plan", "cifar10-cpu")
    assert "\ncifar10-jpeg75 is not on this machine: " in shown
    assert "\nto run it: dataset.train uses ${SEPBENCH_DATA}, which is not set: " in shown
    assert "\n0 stages are there, " in shown


@pytest.mark.usefixtures("_quick_batches")
def test_published_sizes_follow_limits_and_protected_classes() -> None:
    stages = plan("paper-datasets-imagenet", "--profile", "cpu")["stages"]
    sep = next(stage for stage in stages if stage["label"].startswith("craft sep "))
    assert sep["bytes"] == 5000 * 3 * 64 * 64
    assert sep["passes"] == 5 * 10 * 10 / 50  # checkpoints, steps, protected share


def test_a_limit_beyond_the_published_size_is_refused_before_the_data_is_here() -> None:
    assert refusal("plan", "paper-headline", "--set", "dataset.limit=60000") == (
        "dataset.limit asks of the training set of 'cifar10' 60000 images, but it has 50000: lower it or leave it out"
    )


def test_a_place_that_somebody_named_wrongly_is_no_data_that_is_not_here(tmp_path: Path) -> None:
    assert refusal("plan", "paper-headline", "--set", f"dataset.root={tmp_path}").startswith("CIFAR-10 is missing ")


def test_data_of_unknown_size_is_asked_for() -> None:
    unknown = changed(TINY, "  name: digits\n  limit", "  name: pets\n  format: imagefolder\n  test: t\n  limit")
    write(changed(unknown, "  limit: 200\n", "  train: ${PETS_FOLDER}\n"))
    assert refusal("plan", "tiny.yaml").startswith("dataset.train uses ${PETS_FOLDER}, which is not set: ")


@pytest.mark.usefixtures("_quick_batches")
def test_nothing_runs_on_published_sizes() -> None:
    assert ask("run", "paper-headline").code == 2
