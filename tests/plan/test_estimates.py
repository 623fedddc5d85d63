"""Estimates of time: what this home has measured, timed batches where it has not, and no harm from what is damaged."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.data.loading import DataCard
from bench.plan import estimate
from bench.plan.cost import Costs
from bench.plan.estimate import Estimator, images_of, measured_seconds, note_pace, threads_of_each, work_of
from bench.plan.make import make_plan
from bench.plan.paces import Paces, Work
from bench.plan.plan import Plan
from bench.plan.stage import Stage
from bench.run.progress import Clock
from bench.spec.experiment import Experiment

CPU = torch.device("cpu")
CARD = DataCard(
    train_sha256="a" * 64,
    test_sha256="b" * 64,
    classes=tuple("0123456789"),
    n_train=1000,
    n_protected=1000,
    n_test=200,
    height=16,
    width=16,
)
WORK = Work(
    kind="train",
    networks=("resnet8",),
    detail="plain, batches of 64",
    classes=10,
    height=16,
    width=16,
    precision="fp32",
    device="cpu",
    threads=1,
)
Timer = Callable[[Work], float]


def plan(**changes: Any) -> Plan:
    fields = {
        "name": "small",
        "recipe": {"name": "digits", "epochs": 2},
        "dataset": "digits",
        "surrogate": "resnet8",
        "budgets": ["linf-32"],
        "methods": [{"sep": {"checkpoints": 2, "steps": 5}}, "random-noise"],
        "victims": ["resnet8"],
    }
    return make_plan(Experiment.model_validate({**fields, **changes}), CARD)


def stage(planned: Plan, kind: str, label: str = "") -> Stage:
    return next(one for one in planned.stages.values() if one.kind == kind and label in one.label)


def changed(work: Work, **fields: Any) -> Work:
    return work.model_copy(update=fields)


@pytest.fixture(autouse=True)
def batches(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let every image of a timed batch take a thousandth of a second, and note which networks were timed."""
    timed: list[str] = []

    def time_batch(work: Work, device: torch.device) -> float:
        timed.extend(work.networks)
        return 1e-3

    monkeypatch.setattr(estimate, "time_batch", time_batch)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    return timed


def about(found: estimate.Estimate) -> tuple[Any, str]:
    """Return an estimate so that it can be compared approximately."""
    return found.seconds, found.basis


def ask(planned: Plan, one: Stage, folder: Path) -> estimate.Estimate:
    return Estimator(planned, list(planned.stages.values()), CPU, Paces(folder))(one)


def test_the_median_of_the_newest_five_measurements_counts(tmp_path: Path) -> None:
    for seconds in (9.0, 9.0, 9.0, 1.0, 2.0, 3.0, 4.0, 5.0):
        Paces(tmp_path).note(WORK, seconds)
    assert Paces(tmp_path).of(WORK) == 3.0


def test_equal_work_counts_before_work_of_other_detail_and_no_other_at_all(tmp_path: Path) -> None:
    Paces(tmp_path).note(WORK, 1.0)
    Paces(tmp_path).note(changed(WORK, detail="cutmix, batches of 64"), 3.0)
    paces = Paces(tmp_path)
    assert paces.of(WORK) == 1.0
    assert paces.of(changed(WORK, detail="mixup, batches of 64")) == 2.0
    others: list[dict[str, Any]] = [
        {"kind": "craft"},
        {"networks": ("vgg7",)},
        {"height": 32},
        {"classes": 100},
        {"precision": "bf16"},
        {"device": "a GPU"},
        {"threads": 2},
        {"compiled": True},
    ]
    assert [paces.of(changed(WORK, **fields)) for fields in others] == [None] * len(others)


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"work": {}, "seconds": []}', "\x00" * 40])
def test_a_damaged_measurement_is_as_none(damage: str, tmp_path: Path) -> None:
    Paces(tmp_path).note(WORK, 1.0)
    (file,) = tmp_path.iterdir()
    file.write_text(damage)
    assert Paces(tmp_path).of(WORK) is None
    Paces(tmp_path).note(WORK, 2.0)
    assert Paces(tmp_path).of(WORK) == 2.0


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1.0])
def test_a_number_no_stage_can_take_cannot_be_read_back(seconds: float, tmp_path: Path) -> None:
    Paces(tmp_path).note(WORK, 1.0)
    (file,) = tmp_path.iterdir()
    file.write_text(json.dumps({**json.loads(file.read_text()), "seconds": [seconds]}))
    assert Paces(tmp_path).of(WORK) is None
    Paces(tmp_path / "other").note(WORK, seconds)
    assert Paces(tmp_path / "other").of(WORK) is None


def test_a_folder_that_cannot_be_written_to_costs_the_measurement_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    Paces(tmp_path / "file" / "paces").note(WORK, 1.0)
    assert Paces(tmp_path / "file" / "paces").of(WORK) is None


def test_what_ran_decides_what_is_planned(tmp_path: Path, batches: list[str]) -> None:
    planned = plan(seeds=[0, 1])
    victim = stage(planned, "victim", "seed 0")
    # 2 epochs of 1000 images, and of 200 test images forwards alone.
    assert images_of(planned, victim) == pytest.approx(2 * 1000 + 2 * 0.35 * 200)
    note_pace(planned, victim, {"seconds": 10.0}, 12.0, CPU, tmp_path)
    other = stage(planned, "victim", "seed 1")
    assert about(ask(planned, other, tmp_path)) == (pytest.approx(12.0), "measured")
    assert batches == ["resnet8"]  # for the craft


def test_a_stage_that_went_on_from_an_earlier_process_counts_as_a_whole(tmp_path: Path) -> None:
    planned = plan()
    victim = stage(planned, "victim")
    note_pace(planned, victim, {"seconds": 30.0}, 12.0, CPU, tmp_path)
    assert ask(planned, victim, tmp_path).seconds == pytest.approx(30.0)


def test_a_method_without_networks_is_measured_by_its_images(tmp_path: Path) -> None:
    planned = plan()
    noise = stage(planned, "craft", "random-noise")
    assert about(ask(planned, noise, tmp_path)) == (0.5, "timed")
    note_pace(planned, noise, {"seconds": 2.0}, 2.0, CPU, tmp_path)
    assert about(ask(planned, noise, tmp_path)) == (pytest.approx(2.0), "measured")


def test_a_batch_is_timed_once_and_plans_agree(tmp_path: Path, batches: list[str]) -> None:
    planned = plan()
    craft = stage(planned, "craft", "sep")
    first = ask(planned, craft, tmp_path)
    # 2 checkpoints by 5 steps by 1000 images, without gradients of weights.
    assert about(first) == (pytest.approx(1e-3 * 10 * 1000 * 0.8), "timed")
    assert ask(planned, craft, tmp_path) == first
    assert batches == ["resnet8"]


def test_timed_batches_are_corrected_by_how_they_held(tmp_path: Path) -> None:
    planned = plan(victims=["resnet8", "vgg7"])
    known, unknown = stage(planned, "victim", "resnet8"), stage(planned, "victim", "vgg7")
    plain = ask(planned, unknown, tmp_path).seconds
    assert plain == pytest.approx(1e-3 * images_of(planned, unknown))
    note_pace(planned, known, {"seconds": 0.0}, 3 * 1e-3 * images_of(planned, known), CPU, tmp_path)
    assert about(ask(planned, unknown, tmp_path)) == (pytest.approx(3 * plain), "timed")


def test_time_with_other_threads_is_known_only_where_it_was_measured(tmp_path: Path) -> None:
    planned = plan()
    victims = [one for one in planned.stages.values() if one.kind == "victim"]
    assert measured_seconds(planned, victims, CPU, Paces(tmp_path), 1) is None
    note_pace(planned, victims[0], {"seconds": 4.0}, 4.0, CPU, tmp_path)
    seconds = measured_seconds(planned, victims, CPU, Paces(tmp_path), 1)
    assert seconds is not None
    assert list(seconds) == [one.key for one in victims]
    assert list(seconds.values()) == pytest.approx([4.0] * len(victims))
    assert measured_seconds(planned, victims, CPU, Paces(tmp_path), 2) is None


def test_processes_divide_the_threads_unless_the_environment_sets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [threads_of_each(CPU, jobs) for jobs in (1, 3, 16)] == [8, 2, 1]
    assert threads_of_each(torch.device("cuda"), 2) == 0
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert threads_of_each(CPU, 3) == 8


def test_the_precision_of_a_method_and_of_a_recipe_tell_work_apart() -> None:
    planned = plan(methods=[{"sep": {"checkpoints": 1, "precision": ["fp32", "bf16"]}}])
    works = [work_of(planned, one, CPU, 1, False) for one in planned.stages.values() if one.kind == "craft"]
    assert {work.precision for work in works if work.networks} == {"fp32", "bf16"}


def test_what_a_network_costs_is_counted_once_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Costs(tmp_path).of("resnet8", CARD)

    def fail(*arguments: Any) -> float:
        raise AssertionError("counted again")

    monkeypatch.setattr("bench.plan.cost.flops_of_a_pass", fail)
    assert Costs(tmp_path).of("resnet8", CARD) == counted
    with pytest.raises(AssertionError, match="counted again"):
        Costs(tmp_path).of("resnet8", CARD.model_copy(update={"height": 32}))


def test_the_clock_moves_from_the_estimate_to_the_pace_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("bench.run.progress.time.monotonic", lambda: now[0])
    planned = plan(seeds=list(range(10)))
    todo = [one for one in planned.stages.values() if one.kind == "victim" and "sep" in one.label]
    clock = Clock(todo, lambda one: 10.0)
    assert clock.seconds_left == 100.0
    left = []
    for one in todo:
        clock.begin(one)
        now[0] += 30.0  # three times as long
        clock.end(one)
        left.append(clock.seconds_left)
    assert left[0] == pytest.approx(90 * (30 + 5) / (10 + 5))
    assert left[4] == pytest.approx(50 * (150 + 5) / (50 + 5))
    assert left[-1] == 0.0
