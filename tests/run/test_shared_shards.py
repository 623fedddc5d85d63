"""Shards of one protected set are crafted by several processes, each shard by one of them, to the same bytes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.api import METHODS
from bench.core.disk import DiskError
from bench.data.loading import load
from bench.plan.checkpoints import weights_of
from bench.plan.make import plan_experiment
from bench.plan.plan import Plan
from bench.plan.stage import Stage
from bench.run.executors.local import claiming
from bench.run.stages import shards
from bench.run.stages.craft import is_made, made_by
from bench.run.stages.crafter import Crafter
from bench.run.stages.dispatch import run_stage
from bench.run.stages.helping import help_with, may_be_helped
from bench.run.stages.workbench import Workbench
from bench.spec.experiment import Experiment
from bench.store import lock
from tests.making.alterations import Alteration, hold, in_workers, shards_of
from tests.making.experiments import LEARNING
from tests.making.networks import CPU
from tests.making.whole_runs import Before, Sepbench, Undisturbed

pytestmark = pytest.mark.slow

CRAFT = "craft sep"


@contextmanager
def begun(sepbench: Sepbench, *options: str) -> Iterator[Any]:
    """Yield a run that is held in the first of the seven shards of sep; it goes on afterwards."""
    run = sepbench.start(
        "run", sepbench.experiment(), "--no-mlflow", *options, alter=[shards_of(32), hold(CRAFT, 0.01)]
    )
    run.wait_for("held")
    yield run


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD", 32)


def planned(sepbench: Sepbench) -> tuple[Plan, Stage, Workbench]:
    """Return the plan, the stage that crafts sep, and a workbench of this process in the same home."""
    plan = plan_experiment(Experiment.model_validate(LEARNING), sepbench.home / "cards")
    (stage,) = (stage for stage in plan.stages.values() if stage.label.startswith(CRAFT))
    return (
        plan,
        stage,
        claiming(Workbench(load(plan.experiment.dataset), sepbench.store, CPU), stage, sepbench.home / "locks"),
    )


def assert_undisturbed(sepbench: Sepbench, undisturbed: Undisturbed) -> None:
    assert sepbench.outcomes() == undisturbed.outcomes
    assert sepbench.tensors() == undisturbed.home.tensors()
    assert not [*(sepbench.home / "store" / "drafts").glob("*")], "work was left that nobody finishes"


@pytest.mark.usefixtures("small_shards")
def test_who_helps_makes_what_nobody_has_begun_and_who_began_takes_it(before: Before, undisturbed: Undisturbed) -> None:
    sepbench = before(CRAFT)
    with begun(sepbench) as run:
        plan, stage, bench = planned(sepbench)
        assert may_be_helped(stage, plan.card, CPU)
        assert help_with(stage, bench) == 6, "all but the one that is held"
        assert help_with(stage, bench) == 0
        ended = run.finish()
    assert ended.code == 0
    shares = [one for one in ended.progress(CRAFT) if one < 1]
    assert max(shares, default=0) <= 1 / 7, "it crafted what was there already"
    assert ended.table == undisturbed.table
    assert_undisturbed(sepbench, undisturbed)


@pytest.mark.usefixtures("small_shards")
def test_what_another_has_taken_is_waited_for_and_made_where_it_never_comes(
    before: Before, undisturbed: Undisturbed
) -> None:
    sepbench = before(CRAFT)
    with begun(sepbench) as run:
        _, stage, bench = planned(sepbench)
        crafter = Crafter(stage.job, bench)  # type: ignore[arg-type]
        comes, never = lock_of(sepbench, stage, crafter, 96), lock_of(sepbench, stage, crafter, 128)
        assert help_with(stage, bench) == 4
        run.notes.let_go()
        draft = sepbench.store.draft(stage.kind, stage.key)
        until(lambda: is_made(draft, crafter.name(0)))
        time.sleep(0.5)
        assert run.is_alive(), "two shards are missing"
        crafter.put(96, draft, 5)
        comes.release()
        never.release()
        ended = run.finish()
    assert ended.code == 0
    assert_undisturbed(sepbench, undisturbed)


def lock_of(sepbench: Sepbench, stage: Stage, crafter: Crafter, start: int) -> lock.Lock:
    taken = lock.acquire(sepbench.home / "locks", f"{stage.key}-{crafter.name(start)}")
    assert taken is not None
    return taken


def until(done: Any) -> None:
    limit = time.monotonic() + 60
    while not done():
        assert time.monotonic() < limit
        time.sleep(0.01)


@pytest.mark.usefixtures("small_shards")
def test_nobody_helps_with_other_weights_or_before_it_has_begun_or_once_it_is_there(
    before: Before, undisturbed: Undisturbed
) -> None:
    sepbench = before(CRAFT)
    _, stage, bench = planned(sepbench)
    assert help_with(stage, bench) == 0, "nobody has begun"
    draft = sepbench.store.draft(stage.kind, stage.key)
    weights, by = weights_of(stage.job.checkpoints, bench.store), made_by(bench, 32)  # type: ignore[union-attr]
    for other in ({"weights": "others", "by": by}, {"weights": weights, "by": ["another GPU", 32, 0]}):
        draft.put("made-of", {}, other)
        assert help_with(stage, bench) == 0
        assert draft.names() == ["made-of"]
    run_stage(stage, bench)
    assert help_with(stage, bench) == 0
    assert not draft.folder.exists()


@pytest.mark.usefixtures("small_shards")
def test_what_takes_no_network_or_sees_all_images_at_once_is_made_by_one(before: Before) -> None:
    plan, _, bench = planned(before(CRAFT))
    helped = {stage.label for stage in plan.stages.values() if may_be_helped(stage, plan.card, CPU)}
    assert helped == {"craft sep linf-32"}
    methods = [{"em": {"rounds": 2}}, {"sep": {"checkpoints": 2, "steps": 2, "step_size": 16}}]
    other = plan_experiment(
        Experiment.model_validate({**LEARNING, "methods": methods}), Path(bench.store.root) / "cards"
    )
    labels = {stage.label for stage in other.stages.values() if may_be_helped(stage, other.card, CPU)}
    assert labels == {"craft sep linf-32"}
    one_shard = plan.card.model_copy(update={"n_protected": 32})
    assert not [stage for stage in plan.stages.values() if may_be_helped(stage, one_shard, CPU)]


def test_processes_of_one_run_share_the_shards_of_its_only_set(
    before: Before, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    sepbench = before(CRAFT)
    folder = tmp_path / "workers"
    options = ("--jobs", "2", "--only", "method=sep")
    alter: list[Alteration] = [shards_of(32), hold(CRAFT, 0.01), in_workers(folder, (shards_of(32),))]
    run = sepbench.start("run", sepbench.experiment(), "--no-mlflow", *options, alter=alter)
    run.wait_for("held")
    draft = sepbench.store.draft("craft", undisturbed.keys["craft sep linf-32"])
    until(lambda: len([name for name in draft.names() if name.startswith("shard")]) == 6)
    ended = run.finish()
    assert ended.code == 0, ended.err
    assert sepbench.run().code == 0
    assert_undisturbed(sepbench, undisturbed)


def test_who_helps_tells_of_it_and_is_the_one_who_makes_it_once_the_other_is_gone(
    before: Before, undisturbed: Undisturbed
) -> None:
    sepbench = before(CRAFT)
    _, stage, _ = planned(sepbench)
    with begun(sepbench) as run:
        helper = sepbench.start("run", sepbench.experiment(), "--no-mlflow", alter=[shards_of(32), hold(CRAFT, 0.2)])
        helper.wait_for("held")
        draft = sepbench.store.draft(stage.kind, stage.key)
        assert is_made(draft, "shard-0000192-32"), "as the first shard of who helps"
        run.kill()
    ended = helper.finish()
    assert ended.code == 0, ended.err
    events = [event for event in ended.events if event.what in ("started", "progress") and CRAFT in event.label]
    began, took_over = (number for number, event in enumerate(events) if event.what == "started")
    helped, made = ([one.fraction for one in part] for part in (events[began + 1 : took_over], events[took_over + 1 :]))
    assert helped == sorted(helped)
    assert helped[-1] == pytest.approx(2 / 7)
    assert min(made) < 3 / 7, "it went on as who helps"
    assert_undisturbed(sepbench, undisturbed)


def test_a_helper_whose_method_fails_leaves_the_stage_to_who_began_it(
    before: Before, undisturbed: Undisturbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.run.executors import local
    from bench.run.executors.executor import Workplace
    from bench.run.progress import Silence
    from bench.run.stopping import Stop
    from bench.store.home import Home

    sepbench = before(CRAFT)
    plan, stage, bench = planned(sepbench)
    place, hopeless = Workplace(Home(sepbench.home), CPU, Silence(), Stop()), set[str]()
    monkeypatch.setattr(shards, "SHARD", 32)
    monkeypatch.setattr(local, "help_with", lambda *given: 1 / 0)
    left = {stage.key: stage}
    assert not local._helped(plan, left, bench, place, hopeless), "nobody holds it"
    assert hopeless == set()
    held = lock.acquire(sepbench.home / "locks", stage.key)
    assert held is not None
    with held:
        assert not local._helped(plan, left, bench, place, hopeless)
        assert hopeless == {stage.key}
        monkeypatch.setattr(local, "help_with", lambda *given: 3)
        assert not local._helped(plan, left, bench, place, hopeless)
        assert local._helped(plan, left, bench, place, set())

        def refuse(*given: object) -> int:
            raise DiskError("cannot write to the draft") from cause

        monkeypatch.setattr(local, "help_with", refuse)
        cause: OSError = PermissionError()
        with pytest.raises(DiskError):
            local._helped(plan, left, bench, place, set())
        cause = FileNotFoundError()
        assert not local._helped(plan, left, bench, place, set()), "the draft went meanwhile"


@pytest.mark.usefixtures("small_shards")
def test_shards_that_are_damaged_or_of_unknown_weights_are_crafted_anew(
    before: Before, undisturbed: Undisturbed
) -> None:
    sepbench = before(CRAFT)
    with begun(sepbench) as run:
        _, stage, bench = planned(sepbench)
        assert help_with(stage, bench) == 6
        run.kill()
    folder = sepbench.store.draft(stage.kind, stage.key).folder
    (damaged,) = folder.glob("shard-0000064-32.*.safetensors")
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    again = sepbench.run(alter=[shards_of(32)])
    assert again.code == 0, again.err
    assert_undisturbed(sepbench, undisturbed)


@pytest.mark.usefixtures("small_shards")
def test_shards_of_a_draft_that_does_not_say_what_it_was_made_of_are_dropped(
    before: Before, undisturbed: Undisturbed
) -> None:
    sepbench = before(CRAFT)
    _, stage, bench = planned(sepbench)
    draft = sepbench.store.draft(stage.kind, stage.key)
    draft.put("shard-0000000-32", {"images": torch.zeros(32, 3, 16, 16, dtype=torch.uint8)}, {"seconds": 1, "spent": 0})
    run_stage(stage, bench)
    assert sepbench.store.data("craft", stage.key, "protected") == undisturbed.home.store.data(
        "craft", stage.key, "protected"
    )


@pytest.mark.usefixtures("small_shards")
def test_a_shard_whose_crafting_fails_is_free_for_others_at_once(
    before: Before, monkeypatch: pytest.MonkeyPatch
) -> None:
    sepbench = before(CRAFT)
    _, stage, bench = planned(sepbench)
    monkeypatch.setattr(METHODS.get("sep"), "craft", lambda *given: 1 / 0)
    with pytest.raises(ZeroDivisionError) as kept:  # with all that its traceback holds
        run_stage(stage, bench)
    assert kept.value is not None
    assert not lock.is_held(sepbench.home / "locks", f"{stage.key}-shard-0000000-32")
