"""`--executor ray` on nodes that do not see the home: what they come to, what survives, and what they leave behind."""

import os
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.plan.make import plan_experiment
from bench.spec.experiment import Experiment
from bench.store import lock
from tests.making.experiments import LEARNING, STAGES
from tests.making.ray_nodes import RayNodes
from tests.making.whole_runs import Before, Ended, Running, Sepbench, Undisturbed

pytest.importorskip("ray", reason="Ray is not installed: pip install 'sepbench[ray]'")
from tests.run.test_on_ray import BROKEN, OnNodes, named, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]


@pytest.fixture(scope="session")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayNodes]:
    """Nodes that see no home of any test."""
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as folder:
        started = RayNodes(Path(folder), hidden=tmp_path_factory.getbasetemp())
        yield started
        started.close()


def start(sepbench: Sepbench, nodes: RayNodes, *options: str, **changes: Any) -> Running:
    return OnNodes(sepbench, nodes).start(*options, **changes)


def worker_on(key: str, nodes: RayNodes, run: Running) -> int:
    """Return the process of a node that works on a stage, once one does."""
    found: list[str] = []

    def has_owner() -> bool:
        assert run.is_alive(), run.finish().err
        found[:] = filter(None, (lock.owner(home / "locks", key) for home in homes(nodes)))
        return bool(found)

    wait_until(has_owner, "nobody works on it")
    return int(found[0].rpartition(" ")[2])


def homes(nodes: RayNodes) -> list[Path]:
    """Return the homes that nodes have of their own."""
    return [path for path in nodes.temporary.glob("sepbench-nodes-*/*") if path.is_dir()]


def check_is(undisturbed: Undisturbed, ended: Ended, sepbench: Sepbench) -> None:
    assert ended.code == 0, ended.err
    assert ended.table == undisturbed.table
    assert sepbench.outcomes() == undisturbed.outcomes
    assert sepbench.tensors() == undisturbed.home.tensors()


def told(ended: Ended, sepbench: Sepbench) -> list[str]:
    """Return the complaints besides the one that the nodes do not see the home."""
    first, *others = ended.complaints
    assert first.endswith(
        f", a node of the Ray cluster, does not see {sepbench.home}: what its stages read and make is sent by Ray"
    )
    return others


def test_nodes_that_do_not_see_the_home_come_to_the_same_tell_mlflow_of_every_stage_and_leave_nothing_behind(
    tracked: Sepbench, apart: RayNodes, undisturbed: Undisturbed
) -> None:
    ended = start(tracked, apart).finish()
    check_is(undisturbed, ended, tracked)
    assert told(ended, tracked) == []
    shown = [line.split("] ")[1].split(":")[0] for line in ended.err.splitlines() if line.startswith("[")]
    assert Counter(shown) == dict.fromkeys(STAGES, 1)
    labels = [label for (label,) in tracked.logged("select value from params where key = 'label'")]
    assert Counter(labels) == dict.fromkeys(STAGES, 1)
    assert not list((tracked.home / "outbox").rglob("*.json"))
    assert not list((tracked.home / "logs").iterdir())
    assert not list((tracked.home / "locks").glob("*.lock"))
    assert homes(apart) == []


def test_there_too_a_worker_killed_in_training_and_a_node_lost_in_crafting_change_nothing(
    sepbench: Sepbench, apart: RayNodes, undisturbed: Undisturbed
) -> None:
    run = start(sepbench, apart, "--no-mlflow")
    os.kill(worker_on(named(undisturbed, "surrogate"), apart, run), signal.SIGKILL)
    apart.lose(worker_on(named(undisturbed, "craft sep"), apart, run))
    ended = run.finish()
    check_is(undisturbed, ended, sepbench)
    (warning,) = told(ended, sepbench)
    assert "Ray lost workers or nodes, whose stages were begun again: see " in warning
    assert homes(apart) == []


def test_there_too_what_was_at_work_at_ctrl_c_is_kept_and_the_same_command_goes_on_from_it(
    sepbench: Sepbench, apart: RayNodes
) -> None:
    words: dict[str, Any] = {
        "recipe": {"name": "digits", "epochs": 40, "batch_size": 20},
        "methods": LEARNING["methods"][2:],
    }
    run = start(sepbench, apart, "--no-mlflow", **words)
    plan = plan_experiment(Experiment.model_validate({**LEARNING, **words}), sepbench.folder / "cards")
    (key,) = (stage.key for stage in plan.stages.values() if stage.kind == "surrogate")
    worker_on(key, apart, run)
    run.send(signal.SIGINT)
    stopped = run.finish()
    assert stopped.code == 3, stopped.err
    kept = sepbench.store.draft("surrogate", key).info("state")["history"]["seconds"]
    assert 0 < len(kept) < 40
    assert homes(apart) == []
    ended = start(sepbench, apart, "--no-mlflow", **words).finish()
    assert ended.code == 0, ended.err
    assert sepbench.store.meta("surrogate", key)["history"]["seconds"][: len(kept)] == kept


def test_there_too_a_run_goes_on_after_its_driver_was_killed_and_removes_what_that_has_left_on_nodes(
    sepbench: Sepbench, apart: RayNodes, undisturbed: Undisturbed
) -> None:
    run = start(sepbench, apart, "--no-mlflow")
    worker_on(named(undisturbed, "surrogate"), apart, run)
    run.kill()
    assert homes(apart)
    check_is(undisturbed, start(sepbench, apart, "--no-mlflow").finish(), sepbench)
    assert homes(apart) == []


def test_what_arrives_damaged_is_sent_again_and_damaged_each_time_is_a_sentence(
    before: Before, apart: RayNodes, undisturbed: Undisturbed
) -> None:
    sepbench = before("craft sep")
    apart.damaged.write_bytes(b"!" * 100)
    refused = start(sepbench, apart, "--no-mlflow").finish()
    assert refused.code == 2, refused.err
    assert " arrived damaged 3 times (its bytes do not match their digest): check memory and network" in refused.err
    assert not sepbench.store.has("craft", named(undisturbed, "craft sep"))
    apart.damaged.write_bytes(b"!")
    ended = start(sepbench, apart, "--no-mlflow").finish()
    assert not apart.damaged.read_bytes()
    check_is(undisturbed, ended, sepbench)
    (warning,) = told(ended, sepbench)
    assert " arrived damaged (its bytes do not match their digest): it is sent again (on " in warning


def test_there_too_what_is_damaged_in_the_home_is_set_aside_and_made_again(
    before: Before, apart: RayNodes, undisturbed: Undisturbed
) -> None:
    sepbench = before("craft sep")
    key = named(undisturbed, "surrogate")
    path = max(sepbench.store.folder("surrogate", key).glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    ended = start(sepbench, apart, "--no-mlflow").finish()
    check_is(undisturbed, ended, sepbench)
    (warning,) = told(ended, sepbench)
    assert warning.startswith(
        f"sepbench: craft sep linf-32: the surrogate artifact {key} is damaged: {path.name} was changed"
    )
    assert warning.endswith(": it is made again")
    assert [aside.name for aside in (sepbench.home / "store/set-aside").iterdir()] == [f"surrogate-{key}-1"]


def test_there_too_what_raises_is_tried_once_and_its_traceback_stands_in_the_home(
    sepbench: Sepbench, apart: RayNodes
) -> None:
    file = sepbench.folder / "broken.py"
    file.write_text(BROKEN)
    ended = start(sepbench, apart, "--no-mlflow", "--plugin", str(file), methods=["none", "raises"]).finish()
    assert ended.code == 1, ended.err
    assert Counter(file.with_name("attempts").read_text().split()) == {"raises": 1}
    statuses = {one.method: one.status for one in sepbench.records().values()}
    assert statuses == {"none": "done", "raises": "failed"}
    assert [path.read_text().count("generator network") for path in sepbench.home.glob("logs/craft-*")] == [2]
