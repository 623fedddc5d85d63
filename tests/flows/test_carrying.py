"""A run is carried to another home: what comes there is what was here, or it is refused; what is there stays."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bench.core.keys import key
from bench.store.artifacts import Store
from bench.store.home import Home
from bench.store.lock import acquire
from bench.store.state_files import StateWriter, state_files
from tests.making.asking import Finished, ask, changed, done, refusal, write
from tests.making.experiments import TINY

SEEDS = ("--set", "seeds=[0, 1]")
ALL_OF_IT = ("--set", "budgets=[linf-32, linf-16]")
"""Of this the finished run has the surrogate, but not all protected sets."""


@pytest.fixture
def store(finished: Finished) -> Store:
    """The store of the home that the tiny experiment has run in."""
    return Store(finished.home / "store")


@pytest.fixture
def elsewhere(finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Store]:
    """Go to another home, in a folder that holds the same experiment; return its store."""

    def go() -> Store:
        monkeypatch.setenv("SEPBENCH_HOME", str(tmp_path / "there"))
        return Store(tmp_path / "there" / "store")

    return go


def export(out: Path, *options: str) -> str:
    return done("export", "tiny.yaml", "--state", "--out", out, *options)


def held(store: Store, kind: str) -> dict[str, dict[str, bytes]]:
    """Return the bytes of every file of every artifact of a kind, by key and name."""
    folders = (store.root / kind).glob("*/*")
    return {one.name: {path.name: path.read_bytes() for path in one.iterdir()} for one in folders}


def altered(path: Path, alter: Callable[[dict[str, Any]], None]) -> Path:
    """Write a state file anew, all digests right, with an altered catalogue."""
    (found,) = state_files([path])
    writer = StateWriter(path, None)
    for number in range(len(found.pieces)):
        writer.add(found.block(number))
    alter(found.catalogue)
    (new,) = writer.finish(found.catalogue)
    return new


def test_what_has_run_is_there_after_an_import_and_nothing_runs_again(
    finished: Finished, store: Store, elsewhere: Callable[[], Store], tmp_path: Path
) -> None:
    printed = export(tmp_path / "out")
    there = elsewhere()
    brought = done("import", tmp_path / "out")
    assert "craft sep linf-32 is brought\n" in brought
    assert "3 victims: is brought\n" in brought
    assert brought.endswith("to go on from here: sepbench run tiny.yaml\n")
    assert "3 finished victims" in printed
    for kind in ("craft", "victim"):
        assert held(there, kind) == held(store, kind)
    again = ask("run", "tiny.yaml", "--no-mlflow")
    assert again.code == 0
    assert "[1/" not in again.err, "a stage ran again"
    records = sorted((tmp_path / "there" / "records" / "tiny" / "default").iterdir())
    assert [path.name for path in records] == [f"{name}.json" for name in finished.keys]
    for path in records:
        assert path.read_bytes() == (finished.home / "records" / "tiny" / "default" / path.name).read_bytes()


def test_an_import_can_be_repeated(elsewhere: Callable[[], Store], tmp_path: Path) -> None:
    export(tmp_path / "out.sepstate")
    there = elsewhere()
    done("import", tmp_path / "out.sepstate")
    before = held(there, "craft")
    assert "craft sep linf-32 is here already\n" in done("import", tmp_path / "out.sepstate")
    assert held(there, "craft") == before
    assert not (there.root / "incoming").exists()


def test_what_stands_there_stays_and_what_is_damaged_there_makes_room(
    store: Store, elsewhere: Callable[[], Store], tmp_path: Path
) -> None:
    export(tmp_path / "out")
    there = elsewhere()
    done("import", tmp_path / "out")
    theirs = held(store, "craft")
    first, second, _ = (there.root / "craft").glob("*/*")
    (first / "protected.safetensors").write_bytes(b"short")
    before = (second / "meta.json").stat().st_mtime_ns
    printed = ask("import", tmp_path / "out")
    assert printed.out.count("is brought\n") == 1
    assert held(there, "craft") == theirs
    assert (second / "meta.json").stat().st_mtime_ns == before
    assert "set aside the craft artifact" in printed.err


def test_a_stage_that_another_process_works_on_is_left_to_it(
    store: Store, elsewhere: Callable[[], Store], tmp_path: Path
) -> None:
    export(tmp_path / "out")
    there = elsewhere()
    name = next(iter(held(store, "craft")))
    lock = acquire(Home(tmp_path / "there").locks, name)
    assert lock is not None
    with lock:
        assert "is left out: " in done("import", tmp_path / "out")
    assert name not in held(there, "craft")
    assert len(held(there, "craft")) == 2


def test_checkpoints_are_carried_that_are_still_needed_and_no_others(
    store: Store, elsewhere: Callable[[], Store], tmp_path: Path
) -> None:
    assert "surrogate resnet8" not in export(tmp_path / "finished")
    write(changed(TINY, "      checkpoints: 2", "      checkpoints: 1"))
    assert "surrogate resnet8 · seed 0\n" in export(tmp_path / "out", "--set", "budgets=[linf-16]")
    there = elsewhere()
    done("import", tmp_path / "out")
    ((name, files),) = held(there, "surrogate").items()
    assert set(files) == {"epoch-001.safetensors", "meta.json"}
    assert files["epoch-001.safetensors"] == held(store, "surrogate")[name]["epoch-001.safetensors"]
    assert there.meta("surrogate", name)["left_out"] == ["epoch-000"]
    # Who needs the others finds that they are not there, and has them made.
    done("run", write(TINY), "--no-mlflow")
    for epoch in ("epoch-000.safetensors", "epoch-001.safetensors"):
        assert held(there, "surrogate")[name][epoch] == held(store, "surrogate")[name][epoch]
    assert held(there, "craft").keys() == held(store, "craft").keys()


@pytest.mark.parametrize("bf16", [False, True])
def test_what_is_crafted_from_rounded_checkpoints_says_so_and_from_exact_ones_does_not(
    bf16: bool, store: Store, elsewhere: Callable[[], Store], tmp_path: Path
) -> None:
    only = (*ALL_OF_IT, "--only", "method=sep", "--only", "budget=linf-16")
    exported = export(tmp_path / "out", *only, *(["--bf16"] if bf16 else []))
    assert "surrogate" in exported
    there = elsewhere()
    done("import", tmp_path / "out")
    ((name, _),) = held(there, "surrogate").items()
    weights = [there.tensors("surrogate", name, f"epoch-00{n}") for n in (0, 1)]
    exact = [store.tensors("surrogate", name, f"epoch-00{n}") for n in (0, 1)]
    same = all(torch.equal(a[key], b[key]) for a, b in zip(weights, exact, strict=True) for key in a)
    assert same != bf16
    done("run", "tiny.yaml", *only, "--no-mlflow")
    (path,) = (tmp_path / "there" / "records").rglob("*.json")
    record = json.loads(path.read_text())
    assert record.get("rounded_checkpoints", False) == bf16
    assert record["deterministic"] != bf16
    # The mark goes along.
    export(tmp_path / "again", *ALL_OF_IT, "--set", "methods=[{sep: {checkpoints: 2}}]")
    (further,) = state_files([tmp_path / "again"])
    (carried,) = [one for one in further.catalogue["work"] if one["kind"] == "surrogate"]
    assert ("rounded" in carried["meta"]) == bf16


def test_what_is_to_stay_behind_stays_behind(elsewhere: Callable[[], Store], tmp_path: Path) -> None:
    export(tmp_path / "all", *ALL_OF_IT)
    export(tmp_path / "less", *ALL_OF_IT, "--leave-out", "protected", "--leave-out", "checkpoints")
    size = {name: (tmp_path / name / "tiny.sepstate").stat().st_size for name in ("all", "less")}
    assert size["less"] < 0.1 * size["all"]
    there = elsewhere()
    done("import", tmp_path / "less")
    assert len(held(there, "victim")) == 3
    assert not held(there, "craft")
    assert not held(there, "surrogate")


def test_protected_sets_take_what_their_perturbations_take(
    store: Store, elsewhere: Callable[[], Store], tmp_path: Path
) -> None:
    export(tmp_path / "out")
    before = sum(map(len, (data for files in held(store, "craft").values() for data in files.values())))
    assert (tmp_path / "out" / "tiny.sepstate").stat().st_size < 0.4 * before


def test_a_draft_from_another_machine_is_left_out(elsewhere: Callable[[], Store], tmp_path: Path, store: Store) -> None:
    shutil.copytree(os.environ["SEPBENCH_HOME"], tmp_path / "here")
    os.environ["SEPBENCH_HOME"] = str(tmp_path / "here")
    here = Store(tmp_path / "here" / "store")
    wanted = json.loads(done("plan", "tiny.yaml", *SEEDS, "--json"))["stages"]
    (victim,) = [one["key"] for one in wanted if one["label"] == "victim sep linf-32 · resnet8 · plain · seed 1"]
    here.draft("victim", victim).put("state", {"weight": torch.ones(3)}, {"history": {}})
    assert "victim sep linf-32 · resnet8 · plain · seed 1, under way\n" in export(tmp_path / "out", *SEEDS)
    other = shutil.copytree(tmp_path / "out", tmp_path / "other")

    def of_a_gpu(catalogue: dict[str, Any]) -> None:
        catalogue["device"] = "NVIDIA H200"

    altered(other / "tiny.sepstate", of_a_gpu)
    there = elsewhere()
    assert "is left out: it was under way with torch" in done("import", other)
    assert there.draft("victim", victim).names() == []
    assert "goes on from where it was" in done("import", tmp_path / "out")
    assert there.draft("victim", victim).info("state") == {"history": {}}
    assert "is under way here already" in done("import", tmp_path / "out")


@pytest.mark.parametrize("name", ["../../stolen", "/tmp/stolen", "a/b", ""])
def test_a_file_never_leads_out_of_the_store(name: str, elsewhere: Callable[[], Store], tmp_path: Path) -> None:
    export(tmp_path / "out")

    def lead_out(catalogue: dict[str, Any]) -> None:
        craft = next(one for one in catalogue["work"] if one["kind"] == "craft")
        craft["files"] = {name: craft["files"]["protected"]}

    path = altered(tmp_path / "out" / "tiny.sepstate", lead_out)
    elsewhere()
    assert "carries an experiment that cannot be read here" in refusal("import", path)


Alter = Callable[[dict[str, Any]], None]


def _other_data(catalogue: dict[str, Any]) -> None:
    catalogue["train_sha256"] = "0" * 64


def _other_key(catalogue: dict[str, Any]) -> None:
    catalogue["work"][0]["key"] = key("another version")


def _other_size(catalogue: dict[str, Any]) -> None:
    next(one for one in catalogue["work"] if one["files"])["files"]["protected"]["size"] += 1


def _no_such_piece(catalogue: dict[str, Any]) -> None:
    next(one for one in catalogue["work"] if one["files"])["files"]["protected"]["pieces"] = [10**6]


def _too_large(catalogue: dict[str, Any]) -> None:
    file = next(one for one in catalogue["work"] if one["files"])["files"]["protected"]
    file["pieces"] = file["pieces"] * 2**17
    file["size"] = file["size"] * 2**17


@pytest.mark.parametrize(
    ("alter", "says"),
    [
        (_other_data, "was made with other training images of 'digits' (digest 00000000 there, "),
        (_other_key, "is another result than here: a method, a network, or sepbench itself ("),
        (_other_size, "has other pieces than it says"),
        (_no_such_piece, "has other pieces than it says"),
        (_too_large, "free some space, or set SEPBENCH_HOME to another folder"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_taken_in(
    alter: Alter, says: str, elsewhere: Callable[[], Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=2**30))
    export(tmp_path / "out")
    path = altered(tmp_path / "out" / "tiny.sepstate", alter)
    there = elsewhere()
    done("plan", "tiny.yaml")  # knows the data by now
    assert says in refusal("import", path)
    assert not there.root.exists()


def test_other_bytes_under_right_digests_of_their_pieces_are_refused(
    elsewhere: Callable[[], Store], tmp_path: Path
) -> None:
    export(tmp_path / "out")

    def exchange(catalogue: dict[str, Any]) -> None:
        first, second, *_ = [one for one in catalogue["work"] if one["kind"] == "craft"]
        first["files"], second["files"] = second["files"], first["files"]

    path = altered(tmp_path / "out" / "tiny.sepstate", exchange)
    there = elsewhere()
    answer = ask("import", path)
    assert answer.code == 2
    assert "holds other images than it says): bring it again" in answer.err
    assert not held(there, "craft")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["export", "tiny.yaml", "--state"], "--state needs a place to write to: add --out FILE.sepstate, or"),
        (["export", "tiny.yaml", "--out", "o", "--bf16"], "go with --state: add --state"),
        (["export", "tiny.yaml", "--hub", "o", "--state"], "--state goes with --out: the Hub takes protected sets"),
        (["export", "tiny.yaml", "--state", "--out", "o", "--file-size", "16"], "write a size such as 16M or 2G"),
        (["export", "tiny.yaml", "--state", "--out", "o", "--file-size", "2M"], "a file takes at least 8M"),
        (
            ["export", "tiny.yaml", "--state", "--out", "o", "--set", "dataset.limit=100"],
            "has nothing of tiny to carry",
        ),
        (["import", "gone.sepstate"], "there is no file gone.sepstate"),
    ],
)
def test_a_wrong_request_is_refused(words: list[str], says: str, finished: Finished) -> None:
    done("plan", "tiny.yaml", "--set", "dataset.limit=100")  # knows the data by now
    assert says in refusal(*words)
    assert not Path("o").exists()


def test_an_import_changes_nothing_of_the_experiment(elsewhere: Callable[[], Store], tmp_path: Path) -> None:
    export(tmp_path / "out")
    elsewhere()
    assert refusal("import", tmp_path / "out", "--set", "recipe.epochs=3") == (
        "--set recipe.epochs=3: import takes only where the data lies, as in dataset.root=PATH"
    )


def test_a_run_with_changes_goes_on_with_the_same_changes(elsewhere: Callable[[], Store], tmp_path: Path) -> None:
    export(tmp_path / "out", *SEEDS)
    elsewhere()
    assert done("import", tmp_path / "out").endswith("sepbench run tiny.yaml --set 'seeds=[0, 1]'\n")
