"""What stages ask a Ray cluster for, and where a worker refuses; without Ray."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench.core.errors import SepbenchError
from bench.plan.make import plan_experiment
from bench.plan.stage import KINDS, Stage
from bench.run.executors.executor import choose_executor
from bench.run.executors.ray_request import Request, Requests
from bench.run.executors.ray_worker import Errand, work_on
from bench.spec.file import load_experiment
from bench.store.home import Home
from tests.making.asking import write
from tests.making.experiments import TINY

pytestmark = pytest.mark.usefixtures("own_place")

ONE_GPU = {"CPU": 8.0, "GPU": 1.0}
FOUR_GPUS = {"CPU": 64.0, "GPU": 4.0}
NO_GPU = {"CPU": 16.0}


@pytest.fixture
def stages() -> list[Stage]:
    plan = plan_experiment(load_experiment(write(TINY)), Home.find().cards)
    return list(plan.stages.values())


@pytest.fixture
def eight_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)


@pytest.mark.usefixtures("eight_threads")
@pytest.mark.parametrize(("jobs", "cores"), [(1, 8), (2, 4), (16, 1)])
def test_on_cpus_a_stage_asks_for_as_many_cores_as_the_process_that_does_it_here_has_threads(
    jobs: int, cores: int, stages: list[Stage]
) -> None:
    assert Requests("auto", jobs, [NO_GPU, NO_GPU]).of(stages[0]) == Request(cores, 0, cores)


@pytest.mark.usefixtures("eight_threads")
def test_a_stage_asks_for_no_more_cores_than_the_smallest_node_has(stages: list[Stage]) -> None:
    head_without_cores = {"memory": 1.0}
    assert Requests("cpu", 1, [head_without_cores, NO_GPU, {"CPU": 4.0}]).of(stages[0]) == Request(4, 0, 4)


def test_threads_that_the_user_has_set_are_what_every_stage_has(
    stages: list[Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert Requests("cpu", 2, [NO_GPU]).of(stages[0]) == Request(3, 0, 3)
    assert Requests("cuda", 2, [FOUR_GPUS]).of(stages[0]) == Request(8, 0.5, 3)


@pytest.mark.usefixtures("eight_threads")
def test_stages_share_a_gpu_once_the_memory_of_their_like_is_known(stages: list[Stage]) -> None:
    surrogate, craft, victim = (next(one for one in stages if one.kind == kind) for kind in KINDS)
    requests = Requests("auto", 1, [FOUR_GPUS, ONE_GPU, NO_GPU])
    assert requests.device == "cuda"
    assert requests.of(surrogate) == Request(8, 1, 8)
    requests.learn(surrogate, 9000, 40_000)
    assert requests.of(surrogate) == Request(2, 1 / 3, 2)
    assert requests.of(craft).gpus == requests.of(victim).gpus == 1
    requests.learn(surrogate, 20_000, 40_000)
    assert requests.of(surrogate).gpus == 1
    requests.learn(craft, 10, 40_000)
    assert requests.of(craft) == Request(2, 1 / 4, 2)


@pytest.mark.usefixtures("eight_threads")
def test_jobs_say_how_many_stages_share_a_gpu_and_no_memory_is_asked(stages: list[Stage]) -> None:
    requests = Requests("cuda", 16, [ONE_GPU])
    assert requests.of(stages[0]) == Request(0.5, 1 / 16, 1)
    requests.learn(stages[0], 1e6, 1e5)
    assert requests.of(stages[0]).gpus == 1 / 16


def test_only_nodes_that_have_all_of_a_request_count() -> None:
    request = Request(8, 0.5, 8)
    assert [request.fits(node) for node in (ONE_GPU, FOUR_GPUS, NO_GPU, {"CPU": 4.0, "GPU": 1.0})] == [
        *(True, True),
        *(False, False),
    ]
    assert request.at_once([ONE_GPU, FOUR_GPUS, NO_GPU]) == 1 + 8
    assert str(request) == "0.5 of a GPU and 8 cores"
    assert str(Request(1, 0, 1)) == "1 core"


def test_gpus_that_no_node_has_are_a_sentence() -> None:
    with pytest.raises(SepbenchError, match="no node of the Ray cluster has one: use --devices cpu"):
        Requests("cuda", 1, [NO_GPU])


def test_without_ray_the_executor_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.run.executors.on_ray.find_spec", lambda name: None)
    with pytest.raises(SepbenchError, match=r"--executor ray needs Ray: pip install 'sepbench\[ray\]'"):
        choose_executor("ray")


@pytest.mark.parametrize("names", ["cuda:1", "all", "cpu,cpu"])
def test_ray_chooses_among_devices_by_itself(names: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.run.executors.on_ray.find_spec", lambda name: object())
    with pytest.raises(SepbenchError, match="Ray chooses among the devices of its nodes; write auto, cpu or cuda"):
        choose_executor("ray").devices(names, 1)


def test_a_node_that_does_not_see_the_home_says_so_before_it_works_and_one_of_another_version_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # which a worker sets
    errand = Errand("{}", "/shared/home", str(tmp_path / "mark"), str(tmp_path), {})
    assert work_on(errand, "key", 1, mailbox=None).status == "apart"
    other = work_on(replace(errand, version="0.0"), "key", 1, mailbox=None)
    assert other.status == "refused"
    assert "and the run began with 0.0: install that" in (other.reason or "")
