"""A run that is stopped, carried to another home and run there ends with the bytes of an undisturbed one."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.making.alterations import hold, shards_of
from tests.making.whole_runs import Sepbench, Undisturbed

pytestmark = pytest.mark.slow


def stopped_in(stage: str, sepbench: Sepbench, share: float) -> list[float]:
    """Run until a stage is half done and is asked to stop; return how far it came."""
    request = ("run", sepbench.experiment(), "--no-mlflow")
    run = sepbench.start(*request, alter=[shards_of(32), hold(stage, share)])
    run.wait_for("held")
    run.send(signal.SIGTERM)
    stopped = run.finish()
    assert stopped.code == 3, stopped.err
    return stopped.progress(stage)


def carried(sepbench: Sepbench, to: Path) -> Sepbench:
    """Return another home that has what this one has of the experiment."""
    out = sepbench.folder / "out"
    packed = sepbench.call("export", sepbench.experiment(), "--state", "--out", str(out))
    assert packed.code == 0, packed.err
    to.mkdir()
    there = Sepbench(to)
    brought = there.call("import", str(out))
    assert brought.code == 0, brought.err
    assert "goes on from where it was" in brought.out
    return there


def test_a_run_that_is_carried_on_again_and_again_ends_with_the_same_bytes(
    before: Callable[[str], Sepbench], undisturbed: Undisturbed, tmp_path: Path
) -> None:
    first = before("surrogate")
    assert stopped_in("surrogate", first, 0.3) == [1 / 3]
    second = carried(first, tmp_path / "second")
    assert stopped_in("craft sep", second, 3.4 / 7)[-1] == pytest.approx(4 / 7)
    third = carried(second, tmp_path / "third")
    assert stopped_in("victim sep", third, 0.3) == [1 / 3]
    fourth = carried(third, tmp_path / "fourth")
    ended = fourth.run()
    assert ended.code == 0, ended.err
    assert ended.progress("victim sep") == [2 / 3, 1.0]
    assert ended.table == undisturbed.table
    assert fourth.outcomes() == undisturbed.outcomes
    whole = undisturbed.home.tensors()
    protected = {name: data for name, data in whole.items() if not name.startswith("surrogate")}
    assert fourth.tensors() == protected  # nothing was left to craft when it was last carried


def test_shards_of_other_checkpoints_are_not_gone_on_with(
    before: Callable[[str], Sepbench], undisturbed: Undisturbed, tmp_path: Path
) -> None:
    first = before("craft sep")
    stopped_in("craft sep", first, 3.4 / 7)
    there = carried(first, tmp_path / "there")
    (surrogate,) = (path.name for path in (there.home / "store" / "surrogate").glob("*/*"))
    for name in there.store.names("surrogate", surrogate):  # as another training run on a GPU would end
        weights = there.store.tensors("surrogate", surrogate, name)
        there.store.draft("surrogate", surrogate).put(name, {key: 1.01 * value for key, value in weights.items()})
    meta, names = there.store.meta("surrogate", surrogate), there.store.names("surrogate", surrogate)
    there.store.set_aside("surrogate", surrogate, "a test has others")
    there.store.draft("surrogate", surrogate).commit(meta, keep=names)
    again = there.run(alter=[shards_of(32)])
    assert again.code == 0
    assert "was made from other weights of its surrogate than these: it begins anew" in again.err
    assert len(again.progress("craft sep")) == 2 * 7 + 7
