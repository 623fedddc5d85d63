"""`sepbench clean` removes what nobody needs, nothing else, and only when told to; `du` counts all of it once."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from bench.core.sizes import size_text
from bench.record.record import read_records
from bench.spec.names import NOTHING
from bench.store.artifacts import Store
from bench.store.lock import Lock, acquire
from tests.making.asking import Finished, ask, done, refusal

ANOTHER = ("--set", "methods=[{sep: {checkpoints: 1, steps: 2, step_size: 8}}]")
"""Changes to the tiny experiment after which it has one more protected set to craft, from the same surrogate."""


@pytest.fixture
def home(finished_copy: Finished) -> Path:
    return finished_copy.home


@pytest.fixture
def store(home: Path) -> Store:
    return Store(home / "store")


def artifacts(store: Store) -> set[tuple[str, str]]:
    return {(path.parts[-4], path.parts[-2]) for path in store.root.glob("*/*/*/meta.json")}


def forget(home: Path, method: str) -> tuple[str, str, tuple[str, ...]]:
    """Remove the record of a method, as if its victim had not been trained; return the keys of what it rested on."""
    (made,) = (one for one in read_records(home / "records") if one.method == method)
    (path,) = home.rglob(f"records/**/{made.key}.json")
    path.unlink()
    return made.key, made.protected_key, made.surrogate_keys


def of(key: tuple[str, str, tuple[str, ...]]) -> set[tuple[str, str]]:
    victim, craft, surrogates = key
    return {("victim", victim), ("craft", craft), *(("surrogate", one) for one in surrogates)}


def test_a_home_of_records_alone_has_nothing_to_remove(home: Path, store: Store) -> None:
    before = artifacts(store)
    assert done("clean", "--yes") == f"nothing in {home} can go\n"
    assert artifacts(store) == before


def test_nothing_is_removed_that_was_only_shown(home: Path, store: Store) -> None:
    forget(home, "sep")
    before = artifacts(store)
    shown = ask("clean")
    assert shown.code == 0
    assert "protected sets that no record rests on" in shown.out
    assert "nothing was removed" in shown.err
    assert artifacts(store) == before


def test_what_no_record_rests_on_goes_and_everything_else_stays(home: Path, store: Store) -> None:
    before, free = artifacts(store), of(forget(home, "sep"))
    others = {path: path.read_bytes() for kind in ("records", "cards", "paces") for path in (home / kind).rglob("*.*")}
    freed = sum(store.size(*one) for one in free)
    printed = done("clean", "--yes")
    assert artifacts(store) == before - free
    assert {path: path.read_bytes() for path in others} == others
    assert f"removed {size_text(freed)}\n" in printed
    assert not list(store.root.glob("set-aside/*"))


def test_what_was_removed_is_made_again_with_the_same_bytes(home: Path, store: Store) -> None:
    key = forget(home, "sep")
    before = {one: store.data(*one) for one in (("craft", key[1], "protected"),)}
    done("clean", "--yes")
    done("run", "tiny.yaml", "--no-mlflow")
    assert {one: store.data(*one) for one in before} == before


def test_keep_keeps_what_an_experiment_still_needs(home: Path, store: Store) -> None:
    before = artifacts(store)
    forget(home, "sep")
    store.draft("victim", "0" * 64).put("state", {"x": torch.zeros(1)})
    done("clean", "--keep", "tiny.yaml", "--yes")
    assert artifacts(store) == before
    assert not list(store.root.glob("drafts/*")), "nobody asked to keep that draft"


def test_keep_keeps_what_was_begun(home: Path, store: Store) -> None:
    key, *_ = forget(home, "sep")
    shutil.rmtree(store.folder("victim", key))
    store.draft("victim", key).put("state", {"x": torch.zeros(1)})
    done("clean", "--keep", "tiny.yaml", "--yes")
    assert store.draft("victim", key).names() == ["state"]
    done("clean", "--yes")
    assert store.draft("victim", key).names() == []


def test_nothing_goes_that_a_process_at_work_may_need(home: Path, store: Store) -> None:
    before = artifacts(store)
    forget(home, "sep")
    with held(home):
        answer = ask("clean", "--checkpoints", "--yes")
    assert f"pid {os.getpid()} at work in {home}" in answer.err
    assert artifacts(store) == before


def test_what_a_process_begins_to_use_while_a_person_reads_stays(
    home: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.flows.cleaning import cleaning, remove
    from bench.store.home import Home

    before = artifacts(store)
    forget(home, "sep")
    found = cleaning(Home(home))
    assert found.removals
    with held(home):
        assert remove(found, Home(home)) == 0
    assert artifacts(store) == before


def held(home: Path) -> Lock:
    found = acquire(home / "locks", "some stage")
    assert found is not None
    return found


def test_leavings_go(home: Path, store: Store) -> None:
    key, *_ = forget(home, "sep")
    store.set_aside("victim", key, "a test did")
    (home / "logs").mkdir()
    (home / "logs" / "job-1-aaaa-2.log").write_text("printed\n")
    (home / "cards" / "other.json").write_text('{"train_sha256": "nobody\'s"}')
    half, fresh = home / "records" / ".0123abcd.tmp", home / "records" / ".4567abcd.tmp"
    half.write_text("{")
    fresh.write_text("{")
    os.utime(half, (time.time() - 7200,) * 2)
    dead = [
        sys.executable,
        "-c",
        f"import pathlib, bench.store.lock as one; one.acquire(pathlib.Path({str(home / 'locks')!r}), 'dead')",
    ]
    subprocess.run(dead, check=True)
    assert (home / "locks" / "dead.lock").is_file()
    done("clean", "--yes")
    left = {path.name for path in home.rglob("*") if path.is_file()}
    assert not left & {"job-1-aaaa-2.log", "other.json", half.name, "dead.lock", "reason.txt"}
    assert fresh.name in left, "a process may be writing it just now"


def test_the_traceback_of_a_failed_record_stays(home: Path) -> None:
    (home / "logs").mkdir()
    made = next(iter(read_records(home / "records")))
    (path,) = home.rglob(f"records/**/{made.key}.json")
    path.write_text(made.model_copy(update={"status": "failed", "reason": "it fell"}).to_json())
    for stem in (f"victim-{made.key[:16]}", f"victim-{'0' * 16}"):
        (home / "logs" / f"{stem}.log").write_text("Traceback\n")
    done("clean", "--yes")
    assert [path.stem for path in (home / "logs").iterdir()] == [f"victim-{made.key[:16]}"]


def test_nothing_is_removed_where_a_record_cannot_be_read(home: Path) -> None:
    (home / "records" / "tiny" / "default" / "broken.json").write_text("{")
    assert "broken.json is not a valid record" in refusal("clean", "--yes")


def test_changes_without_an_experiment_are_refused(own_place: None) -> None:
    assert "add --keep EXPERIMENT" in refusal("clean", "--set", "seeds=[0]")
    assert "a name is of one experiment's changes" in refusal("clean", "--called", "mine")


def test_checkpoints_go_where_nothing_is_left_to_craft_and_all_else_stays(home: Path, store: Store) -> None:
    before = artifacts(store)
    (surrogate,) = (key for kind, key in before if kind == "surrogate")
    freed = sum(store.entry("surrogate", surrogate, name)["size"] for name in store.names("surrogate", surrogate))
    history = store.meta("surrogate", surrogate)["history"]
    assert f"removed {size_text(freed)}\n" in done("clean", "--checkpoints", "--yes")
    assert artifacts(store) == before
    assert store.names("surrogate", surrogate) == []
    assert store.meta("surrogate", surrogate)["history"] == history
    assert "nothing is left to do" in done("plan", "tiny.yaml")
    assert done("clean", "--checkpoints", "--yes") == f"nothing in {home} can go\n"
    assert "no checkpoint of tiny was kept" in refusal("diagnose", "tiny.yaml", "--no-mlflow")


def test_checkpoints_that_a_protected_set_to_be_crafted_takes_stay(home: Path, store: Store) -> None:
    (surrogate,) = (key for kind, key in artifacts(store) if kind == "surrogate")
    assert store.names("surrogate", surrogate) == ["epoch-000", "epoch-001"]
    done("clean", "--keep", "tiny.yaml", *ANOTHER, "--checkpoints", "--yes")
    assert store.names("surrogate", surrogate) == ["epoch-001"]
    answer = ask("run", "tiny.yaml", *ANOTHER, "--no-mlflow")
    assert answer.code == 0, answer.err
    assert "surrogate" not in answer.err, "nothing was to be trained again"


def test_checkpoints_that_stay_are_rounded_and_what_is_crafted_from_them_says_so(home: Path, store: Store) -> None:
    (surrogate,) = (key for kind, key in artifacts(store) if kind == "surrogate")
    names, meta = store.names("surrogate", surrogate), store.meta("surrogate", surrogate)
    exact = {name: store.tensors("surrogate", surrogate, name) for name in names}
    size = sum(path.stat().st_size for path in store.folder("surrogate", surrogate).iterdir())
    shown = done("clean", "--keep", "tiny.yaml", *ANOTHER, "--bf16", "--yes")
    assert "of checkpoints that are rounded to bfloat16\n" in shown
    assert store.names("surrogate", surrogate) == names
    assert store.meta("surrogate", surrogate) == {**meta, "rounded": "bf16"}
    for name in names:
        for part, tensor in store.tensors("surrogate", surrogate, name).items():
            before = exact[name][part]
            matrix = before.dtype == torch.float32 and before.dim() > 1
            assert tensor.dtype == (torch.bfloat16 if matrix else before.dtype)
            assert tensor.equal(before.bfloat16() if matrix else before)
    saved = size - sum(path.stat().st_size for path in store.folder("surrogate", surrogate).iterdir())
    assert 0.4 * size < saved < 0.5 * size
    assert f"removed {size_text(saved)}"[:11] == re.findall("removed .*", shown)[0][:11]
    assert not [*(home / "store").glob("incoming/*"), *(home / "store").glob("set-aside/*")]
    assert done("clean", "--keep", "tiny.yaml", *ANOTHER, "--bf16", "--yes") == f"nothing in {home} can go\n"

    assert "nothing is left to do" in done("plan", "tiny.yaml"), "what was crafted before stays"
    answer = ask("run", "tiny.yaml", *ANOTHER, "--no-mlflow")
    assert answer.code == 0, answer.err
    assert "surrogate" not in answer.err, "nothing was to be trained again"
    told = {one.rounded_checkpoints for one in read_records(home / "records") if one.overrides and one.method == "sep"}
    assert told == {True}


def test_who_interrupts_the_rounding_of_checkpoints_has_the_exact_ones_back(
    home: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    (surrogate,) = (key for kind, key in artifacts(store) if kind == "surrogate")

    def end(*given: object) -> None:
        raise KeyboardInterrupt

    before = artifacts(store), store.meta("surrogate", surrogate)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "adopt", end)
        assert ask("clean", "--keep", "tiny.yaml", "--bf16", "--yes").code == 3
    assert (artifacts(store), store.meta("surrogate", surrogate)) == before
    assert not [*(home / "store").glob("set-aside/*")]


def test_checkpoints_that_are_damaged_or_that_a_set_goes_on_from_are_not_rounded(home: Path, store: Store) -> None:
    (surrogate,) = (key for kind, key in artifacts(store) if kind == "surrogate")
    draft = store.draft("craft", forget(home, "sep")[1])
    draft.put("shard-0000000-1024", {})
    kept = ("clean", "--keep", "tiny.yaml", "--bf16", "--yes")
    assert refusal(*kept) == (
        f"--bf16: a protected set has been begun in {home} and goes on from exact checkpoints alone: finish it first, "
        f"or remove {draft.folder}"
    )
    draft.discard()
    for name in store.names("surrogate", surrogate):
        path = store.folder("surrogate", surrogate) / f"{name}.safetensors"
        path.write_bytes(b"\xff" * path.stat().st_size)
    assert "rounded" not in done(*kept)


def test_a_plan_says_that_a_surrogate_without_its_checkpoints_is_to_be_trained_again(
    finished_copy: Finished, home: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done("run", "tiny.yaml", *ANOTHER, "--no-mlflow")
    sets = {one: store.data(*one, "protected") for one in artifacts(store) if one[0] == "craft"}
    for key in [path.name for path in (store.root / "craft").glob("*/*")]:
        if not any(one.protected_key == key and not one.overrides for one in read_records(home / "records")):
            shutil.rmtree(store.folder("craft", key))
    victims = [one.key for one in read_records(home / "records") if one.overrides and one.method == "sep"]
    for key in victims:
        shutil.rmtree(store.folder("victim", key))
    done("clean", "--checkpoints", "--yes")
    told = json.loads(done("plan", "tiny.yaml", *ANOTHER, "--json"))
    assert [one["kind"] for one in told["stages"] if not one["done"]] == ["surrogate", "craft", "victim"]
    answer = ask("run", "tiny.yaml", *ANOTHER, "--no-mlflow")
    assert answer.code == 0, answer.err
    assert "it was kept without checkpoints that are now needed" in answer.err
    assert {one: store.data(*one, "protected") for one in sets} == sets, "on a CPU it is the same surrogate again"


def test_du_counts_every_file_once_and_what_is_shared_as_shared(home: Path, store: Store) -> None:
    told = json.loads(done("du", "--json"))
    assert set(told["experiments"]) == {"tiny"}
    assert told["experiments"]["tiny"]["own"]["craft"]["count"] == 3
    assert told["shared"] == {}
    (made,) = (one for one in read_records(home / "records") if one.method == "sep")
    other = home / "records" / "other" / "default" / f"{made.key}.json"
    other.parent.mkdir(parents=True)
    other.write_text(made.model_copy(update={"experiment": "other"}).to_json())
    forget(home, "none")
    told = json.loads(done("du", "--json"))
    counts = {kind: amount["count"] for kind, amount in told["shared"].items()}
    assert counts == {"surrogate": 1, "craft": 1, "victim": 1}
    assert told["experiments"]["other"] == {"own": {}, "shared": told["shared"]}
    assert {kind: one["count"] for kind, one in told["experiments"]["tiny"]["own"].items()} == {"craft": 1, "victim": 1}
    assert {kind: one["count"] for kind, one in told["without_record"].items()} == {"craft": 1, "victim": 1}
    files = [path for path in home.rglob("*") if path.is_file()]
    assert told["total"] == sum(path.stat().st_size for path in files)


def test_du_is_a_table_for_a_person(home: Path) -> None:
    head, row, *_, last = done("du").splitlines()
    assert head.split()[:2] == ["experiment", "surrogates"]
    assert re.fullmatch(rf"tiny +1: [\d.]+ KiB +3: [\d.]+ KiB +3: [\d.]+ KiB +[\d.]+ MiB +{NOTHING}", row)
    assert last.endswith("MiB in all")


def test_du_of_a_home_that_is_not_there_is_empty(own_place: None) -> None:
    assert done("du").endswith("0.0 KiB in all\n")
