"""Defenses that read files from outside: purified copies of a release, and pretrained weights."""

import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from bench.cli.options import planned
from bench.data.loading import load
from bench.data.spec import DatasetSpec
from bench.record.record import Record, read_records
from tests.making.asking import Finished, ask, changed, done, refusal, write
from tests.making.experiments import TINY

pytestmark = pytest.mark.usefixtures("own_place")

NOISE_ONLY = "methods:\n  - none\n  - random-noise\n"


def noise_only(defense: str) -> str:
    """Return the tiny experiment without sep and with another defense, given as YAML."""
    before = TINY[TINY.index("methods:") : TINY.index("victims:")]
    return changed(changed(TINY, before, NOISE_ONLY), "[plain]", f"[{defense}]")


def exported(folder: str = "sets") -> list[Path]:
    return [Path(line.split()[0]) for line in done("export", "tiny.yaml", "--out", folder).splitlines()]


def records(name: str = "tiny") -> list[Record]:
    return read_records(Path("results") / "records" / name)


def test_export_writes_every_protected_set_as_an_archive_that_is_a_data_set(finished: Finished, tmp_path: Path) -> None:
    lines = done("export", "tiny.yaml", "--out", tmp_path / "sets").splitlines()
    assert [line.split("  ", 1)[1] for line in lines] == ["none", "random-noise linf-32", "sep linf-32"]
    clean, noise, sep = (np.load(line.split()[0]) for line in lines)
    assert clean["images"].shape == (200, 16, 16, 3)
    assert clean["images"].dtype == np.uint8
    for released in (noise, sep):
        difference = released["images"].astype(int) - clean["images"]
        assert 0 < abs(difference).max() <= 32
        assert np.array_equal(released["labels"], clean["labels"])
    data = {"name": "exported", "format": "npz", "train": lines[2].split()[0], "test": lines[0].split()[0]}
    read = load(DatasetSpec.parse(data))
    assert np.array_equal(read.train.images.permute(0, 2, 3, 1).numpy(), sep["images"])
    assert np.array_equal(read.test.images.permute(0, 2, 3, 1).numpy(), clean["images"])


def test_what_is_not_crafted_yet_is_said_and_the_rest_is_written() -> None:
    write(TINY)
    done("run", "tiny.yaml", "--no-mlflow", "--only", "method=none")
    answer = ask("export", "tiny.yaml", "--out", "sets")
    assert answer.code == 1
    assert answer.err == (
        "sepbench: 2 protected sets are not crafted yet: run the experiment first, then export again\n"
    )
    assert len(list(Path("sets").glob("*.npz"))) == 1
    assert len(answer.out.splitlines()) == 1


def test_a_victim_trains_on_the_purified_copy_of_its_own_release(monkeypatch: pytest.MonkeyPatch) -> None:
    write(noise_only("plain"))
    done("run", "tiny.yaml", "--no-mlflow", "--results", "results")
    clean, noise = exported()
    plain = {record.method: record.test_acc for record in records()}
    Path("cleaned").mkdir()
    for name in (clean.name, noise.name):  # a perfect purifier
        np.savez(Path("cleaned") / name, images=np.load(clean)["images"])
    monkeypatch.setenv("SEPBENCH_PURIFIED", "cleaned")
    done("run", write(noise_only("purified-magic")), "--no-mlflow", "--results", "results")
    purified = {record.method: record for record in records()}
    assert {record.defense for record in purified.values()} == {"purified-magic"}
    assert purified["none"].test_acc == purified["random-noise"].test_acc == plain["none"]


def test_a_missing_copy_fails_its_cell_and_says_which_file_to_make(monkeypatch: pytest.MonkeyPatch) -> None:
    write(noise_only("plain"))
    done("run", "tiny.yaml", "--no-mlflow")
    clean, noise = exported()
    Path("cleaned").mkdir()
    np.savez(Path("cleaned") / clean.name, images=np.load(clean)["images"])
    answer = ask("run", write(noise_only("{purified: {by: magic, folder: cleaned}}")), "--no-mlflow")
    assert answer.code == 1
    assert f"there is no {noise.name} in cleaned" in answer.err
    assert "failed: none" not in answer.err
    (Path("cleaned") / noise.name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n")
    answer = ask("run", "tiny.yaml", "--no-mlflow")
    assert f"purified: cleaned/{noise.name} is a Git LFS pointer, not the data: fetch it" in answer.err


CASES = {
    "a part is protected": ("protected_fractions: [0.5, 1.0]\nseeds: [0, 1]\n", 4),
    "clean images besides": ("clean_images: [0, 20]\n", 4),
    "both": ("protected_fractions: [0.5]\nclean_images: [20]\n", 4),
    "some classes": ("protected_fractions: [0.5]\n", 3),
}


@pytest.mark.parametrize("case", CASES)
def test_who_does_what_the_sentence_says_gets_numbers(case: str) -> None:
    fields, sets = CASES[case]
    content = changed(noise_only("{purified: {by: blur, folder: cleaned}}"), "seeds: [0]\n", "")
    content += fields + ("" if "seeds" in fields else "seeds: [0]\n")
    if case == "some classes":
        content = changed(content, "  test_limit: 100\n", "  test_limit: 100\n  protected_classes: 4\n")
    Path("cleaned").mkdir()
    answer = ask("run", write(content), "--no-mlflow", "--results", "results")
    assert answer.code == 1
    assert all(record.status == "failed" for record in records())
    asked_for = set(re.findall(r"there is no (\w+\.npz) in cleaned: let sepbench export write it", answer.err))
    files = exported()
    assert asked_for <= {path.name for path in files}
    assert len(files) == len(set(files)) == sets
    for path in files:
        _blur(path, Path("cleaned"))
    done("run", "tiny.yaml", "--no-mlflow", "--results", "results")
    assert all(record.status == "done" for record in records())
    assert "nothing is left to do" in done("plan", "tiny.yaml")


def _blur(path: Path, folder: Path) -> None:
    images = np.load(path)["images"]
    np.savez(folder / path.name, images=(images // 2 + np.roll(images, 1, axis=2) // 2))


def test_export_writes_what_a_victim_trains_on_and_says_what_it_is() -> None:
    content = changed(noise_only("{purified: {by: blur, folder: .}}"), "seeds: [0]", "seeds: [3]")
    write(content + "protected_fractions: [0.5]\nclean_images: [20]\n")
    assert ask("run", "tiny.yaml", "--no-mlflow").code == 1
    lines = done("export", "tiny.yaml", "--out", "sets").splitlines()
    assert [line.split("  ", 1)[1] for line in lines] == [
        "none",
        "random-noise linf-32",
        "none · 20 clean images besides",
        "random-noise linf-32 · 50 % protected · 20 clean images besides · seed 3",
    ]
    clean, noise, clean_and_more, part_and_more = (np.load(line.split()[0]) for line in lines)
    assert np.array_equal(clean_and_more["images"][:200], clean["images"])
    assert np.array_equal(clean_and_more["images"][200:], part_and_more["images"][200:])
    assert np.array_equal(clean_and_more["labels"], part_and_more["labels"])
    assert len(clean_and_more["images"]) == len(part_and_more["labels"]) == 220
    seen = part_and_more["images"][:200]
    protected = (seen == noise["images"]).all((1, 2, 3)) & (seen != clean["images"]).any((1, 2, 3))
    left = (seen == clean["images"]).all((1, 2, 3))
    assert protected.sum() == 100
    assert (protected ^ left).all()


def test_export_tells_replicates_of_a_release_apart() -> None:
    write(changed(TINY, "seeds: [0]", "craft_seeds: [0, 1]\nsurrogate_seeds: [0, 1]\nseeds: [0]"))
    done("run", "tiny.yaml", "--no-mlflow", "--set", "recipe.epochs=1", "--set", "methods=[random-noise]")
    out = done("export", "tiny.yaml", "--out", "sets", "--set", "recipe.epochs=1", "--set", "methods=[random-noise]")
    told = [line.split("  ", 1)[1] for line in out.splitlines()]
    assert told == ["none", "random-noise linf-32 · craft seed 0", "random-noise linf-32 · craft seed 1"]


def test_a_copy_that_is_made_while_the_run_is_on_is_of_the_next_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key of the cell says that there is none."""
    write(noise_only("plain"))
    done("run", "tiny.yaml", "--no-mlflow")
    files = exported()
    Path("cleaned").mkdir()
    defenses = ["--set", "defenses=[{purified: {folder: cleaned}}]"]

    def plan_and_clean(*arguments: Any, **options: Any) -> Any:
        plan = planned(*arguments, **options)
        for path in files:
            _blur(path, Path("cleaned"))
        return plan

    with monkeypatch.context() as patch:
        patch.setattr("bench.cli.running.planned", plan_and_clean)
        answer = ask("run", "tiny.yaml", "--no-mlflow", *defenses)
    assert answer.code == 1
    for path in files:
        assert f"cleaned/{path.name} changed after the plan was made: run the same command again" in answer.err
    done("run", "tiny.yaml", "--no-mlflow", *defenses)


@pytest.mark.usefixtures("files_of_defenses")
def test_weights_that_change_after_the_plan_fail_the_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(os.environ["SEPBENCH_PRETRAINED"], "weights.safetensors")
    weights = load_file("weights.safetensors")
    write(noise_only("{pretrained: {weights: weights.safetensors}}"))

    def plan_and_train(*arguments: Any, **options: Any) -> Any:
        plan = planned(*arguments, **options)
        save_file({name: value + 1 for name, value in weights.items()}, "weights.safetensors")
        return plan

    with monkeypatch.context() as patch:
        patch.setattr("bench.cli.running.planned", plan_and_train)
        answer = ask("run", "tiny.yaml", "--no-mlflow", "--only", "method=none")
    assert answer.code == 1
    assert "weights.safetensors changed after the plan was made: run the same command again" in answer.err
    assert "1 to do" in done("plan", "tiny.yaml", "--only", "method=none")
    done("run", "tiny.yaml", "--no-mlflow", "--only", "method=none")


def test_a_folder_that_is_not_there_is_refused_before_anything_runs() -> None:
    write(noise_only("{purified: {folder: cleaned}}"))
    assert refusal("plan", "tiny.yaml") == "purified: folder: there is no cleaned: check the path"
    write(noise_only("purified"))
    assert refusal("plan", "tiny.yaml").startswith("purified: folder uses ${SEPBENCH_PURIFIED}, which is not set: ")


def trained_weights() -> dict[str, torch.Tensor]:
    """Return the weights of a surrogate of the tiny experiment."""
    store = Path("home/store/surrogate")
    network = load_file(next(store.rglob("epoch-001.safetensors")))
    prefix = "classifier."
    return {name.removeprefix(prefix): value for name, value in network.items() if name.startswith(prefix)}


@pytest.mark.parametrize("form", ["safetensors", "pt", "wrapped.pt"])
def test_training_goes_on_from_pretrained_weights(form: str, finished_copy: Finished, tmp_path: Path) -> None:
    weights, path = trained_weights(), tmp_path / f"weights.{form}"
    if form == "safetensors":
        save_file(weights, path)
    else:
        prefixed = {f"module.{name}": value for name, value in weights.items()}
        torch.save({"state_dict": prefixed} if form == "wrapped.pt" else prefixed, path)
    content = {**yaml.safe_load(noise_only("plain")), "name": "started", "seeds": [0]}
    content["recipe"] = {"name": "digits", "epochs": 1, "lr": 1e-30}
    content["defenses"] = ["plain", {"pretrained": {"on": "digits", "weights": str(path)}}]
    content["table"] = {"rows": "method", "columns": ["defense"]}
    written = write(yaml.safe_dump(content), str(tmp_path / "started.yaml"))
    done("run", written, "--no-mlflow", "--results", tmp_path / "out", "--only", "method=none")
    accuracy = {record.defense: record.test_acc for record in read_records(tmp_path / "out" / "records")}
    assert set(accuracy) == {"plain", "pretrained-digits"}
    assert accuracy["pretrained-digits"] is not None
    assert accuracy["plain"] is not None
    assert accuracy["pretrained-digits"] > accuracy["plain"]


def test_weights_of_another_network_fail_the_cell_with_the_tensor_that_is_missing(tmp_path: Path) -> None:
    save_file({"conv1.weight": torch.zeros(4, 3, 3, 3)}, tmp_path / "other.safetensors")
    written = write(noise_only(f"{{pretrained: {{weights: {tmp_path / 'other.safetensors'}}}}}"))
    answer = ask("run", written, "--no-mlflow", "--only", "method=none")
    assert answer.code == 1
    assert "does not hold the weights of this network: conv1.weight is 4x3x3x3 there and 16x3x3x3 here" in answer.err
