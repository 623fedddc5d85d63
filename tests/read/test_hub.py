"""Protected sets as they are handed on: `datasets` reads them, the card tells what is known, nothing is overwritten."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from bench.cli.options import planned
from bench.core.disk import write_atomically
from bench.data.images import ImageSet
from bench.data.loading import load
from bench.data.spec import DatasetSpec
from bench.read.hub import data_card, given_back, hub_shards, ready_sets
from bench.read.hub.given_back import judged
from bench.record.record import Record, read_records
from bench.spec.names import NOTHING
from bench.store.home import Home
from tests.making.asking import Finished, ask, changed, done, refusal, write
from tests.making.experiments import TINY
from tests.making.images import noise
from tests.making.plugin_sources import GOOD, write_plugin
from tests.making.records import record, runs

pytestmark = pytest.mark.usefixtures("own_place")

_SAME_FILES = {"allow_same_files": True}
SETS = ["sep-linf-32", "random-noise-linf-32"]
DIGITS = tuple(str(number) for number in range(10))


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The library `datasets`, which keeps to itself and asks nobody for anything."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("huggingface")))
        import datasets as library

        library.disable_progress_bars()
        yield library


@pytest.fixture
def folder(finished: Finished, tmp_path: Path) -> Path:
    """The protected sets of the tiny experiment, with its clean test images."""
    done("export", "tiny.yaml", "--hub", tmp_path / "hub", "--with-test")
    return tmp_path / "hub"


def released(config: str) -> ImageSet:
    """Return a protected set of the tiny experiment as the store has it."""
    home, method = Home.find(), config.removesuffix("-linf-32")
    plan = planned("tiny.yaml", (), None, (f"method={method}",))
    tensors = home.store.tensors("craft", plan.cells[-1].craft, "protected")
    return ImageSet(tensors["images"], tensors["labels"], plan.card.classes)


def as_read(rows: Any) -> tuple[np.ndarray, list[int]]:
    """Return images, uint8 [N, H, W, 3], and labels of a split that `datasets` has loaded."""
    return np.stack([np.asarray(row["image"]) for row in rows]), list(rows["label"])


def state(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def front_matter(folder: Path) -> dict[str, Any]:
    _, text, _ = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def row(card: str, *cells: str) -> list[str]:
    """Return the cells of the one line of a table that starts with these."""
    (line,) = [line for line in card.splitlines() if line.startswith(f"| {' | '.join(cells)} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.parametrize("config", SETS)
def test_datasets_reads_the_very_images_labels_and_classes(
    config: str, folder: Path, datasets: Any, tmp_path: Path
) -> None:
    loaded = datasets.load_dataset(str(folder), config, cache_dir=str(tmp_path / "cache"))
    images, labels = as_read(loaded["train"])
    wanted = released(config)
    assert np.array_equal(images, wanted.images.permute(0, 2, 3, 1).numpy())
    assert labels == wanted.labels.tolist()
    assert loaded["train"].features["label"].names == list(DIGITS)
    assert {image.mode for image in loaded["train"]["image"]} == {"RGB"}


def test_datasets_reads_the_clean_test_images_beside_every_set(folder: Path, datasets: Any, tmp_path: Path) -> None:
    clean = load(planned("tiny.yaml", (), None, ()).experiment.dataset).test
    for config in SETS:
        loaded = datasets.load_dataset(str(folder), config, split="test", cache_dir=str(tmp_path / "cache"))
        images, labels = as_read(loaded)
        assert np.array_equal(images, clean.images.permute(0, 2, 3, 1).numpy())
        assert labels == clean.labels.tolist()


def test_the_first_protection_is_what_one_gets_who_names_no_set(folder: Path, datasets: Any, tmp_path: Path) -> None:
    names = datasets.get_dataset_config_names(str(folder))
    assert names == SETS
    loaded = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert np.array_equal(as_read(loaded)[0], released("sep-linf-32").images.permute(0, 2, 3, 1).numpy())


def test_the_schema_says_what_datasets_would_write(folder: Path, datasets: Any) -> None:
    label = datasets.ClassLabel(names=list(DIGITS))
    wanted = datasets.Features({"image": datasets.Image(), "label": label}).arrow_schema
    (file,) = (folder / "sep-linf-32").iterdir()
    assert pq.read_schema(file).equals(wanted, check_metadata=True)


@pytest.mark.parametrize("config", SETS)
def test_the_set_that_is_read_back_has_the_digest_of_the_record(config: str, folder: Path, finished: Finished) -> None:
    method = config.removesuffix("-linf-32")
    (of_set,) = [one for one in read_records(finished.results / "records") if one.method == method]
    parts = {"train": str(folder / config), "test": str(folder / "test")}
    read = load(DatasetSpec.parse({"name": "handed-on", "format": "parquet", **parts}))
    assert read.train.sha256 == of_set.protected_sha256
    assert read.test.sha256 == of_set.test_sha256
    assert f"`{of_set.protected_sha256}`" in (folder / "README.md").read_text(encoding="utf-8")


def test_a_large_set_lies_in_several_files_in_the_order_of_its_images(monkeypatch: pytest.MonkeyPatch) -> None:
    images = ImageSet(noise(7, side=8), np_labels(7), ("cat", "dog"))
    monkeypatch.setattr(hub_shards, "_SHARD_BYTES", 3 * 3 * 8 * 8)  # of three images
    Path("sets").mkdir()
    names = []
    for name, data in hub_shards.shards(images, "train"):
        (Path("sets") / name).write_bytes(data)
        names.append(name)
    assert names == [f"train-0000{n}-of-00003.parquet" for n in range(3)]
    assert [pq.read_metadata(Path("sets") / name).num_rows for name in names] == [3, 3, 1]
    stored = [row["path"] for name in names for row in pq.read_table(Path("sets") / name)["image"].to_pylist()]
    assert stored == [f"000000{n}.png" for n in range(7)]
    files = "sets/train-*.parquet"
    read = load(DatasetSpec.parse({"name": "x", "format": "parquet", "train": files, "test": files, **_SAME_FILES}))
    assert read.train.sha256 == images.sha256


def np_labels(count: int) -> Any:
    import torch

    return torch.arange(count) % 2


def test_two_classes_of_one_name_are_refused() -> None:
    images = ImageSet(noise(2, side=8), np_labels(2), ("cat", "cat"))
    with pytest.raises(
        ValueError, match=r"^two classes are called 'cat', and the Hub's ClassLabel takes each name once"
    ):
        next(hub_shards.shards(images, "train"))


def test_the_card_names_each_set_with_its_files_and_leaves_the_licence_to_the_user(folder: Path) -> None:
    found = front_matter(folder)
    assert [one["config_name"] for one in found["configs"]] == SETS
    for one in found["configs"]:
        assert {file["split"]: file["path"] for file in one["data_files"]} == {
            "train": f"{one['config_name']}/train-*.parquet",
            "test": "test/test-*.parquet",
        }
    assert found["license"] == "unknown"
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "look it up, fill in `license:` above" in card
    assert "&id" not in card  # YAML's references, which not every reader of front matter knows


def test_the_card_tells_method_budget_seeds_surrogate_and_paper(folder: Path, finished: Finished) -> None:
    card = (folder / "README.md").read_text(encoding="utf-8")
    (sep,) = [one for one in read_records(finished.results / "records") if one.method == "sep"]
    made = card.partition("\n### sep-linf-32\n")[2].partition("\n### ")[0]
    assert "* method: `sep`, version 2: Self-Ensemble Protection" in made
    assert "checkpoints=2" in made
    assert f"* budget: `linf-32`; spent: {sep.linf_levels} levels of 1/255, l2 {sep.l2:.4g}, {sep.l0} changed" in made
    assert f"* surrogates: resnet8 · seed 0, 2 checkpoints, key `{sep.surrogate_keys[0][:16]}…`" in made
    assert "* seeds: surrogate 0, craft 0" in made
    assert "the recipe `digits[epochs=2]`, 2 epochs" in card
    assert "@inproceedings{chen2023selfensemble,\n" in card
    assert row(card, "`sep-linf-32`")[1:4] == ["sep linf-32", "16 of 32 levels", f"{sep.psnr:.1f} dB"]
    assert "a control that is not meant to protect" in row(card, "`random-noise-linf-32`")[1]


def test_the_card_says_what_was_measured_and_that_no_defense_was(folder: Path, finished: Finished) -> None:
    card = (folder / "README.md").read_text(encoding="utf-8")
    accuracy = {one.method: one.test_acc for one in read_records(finished.results / "records")}
    found = card.partition("## What defenses give back")[2].partition("### random-noise-linf-32")[0]
    assert row(found, "resnet8", "plain")[2:] == [f"{accuracy['none']:.1f}", f"{accuracy['sep']:.1f}", "1", NOTHING]
    assert "No defense was measured on this set" in found


def test_nothing_is_made_up_where_nothing_was_measured(finished_copy: Finished) -> None:
    for path in finished_copy.home.rglob("records/**/*.json"):
        path.unlink()
    done("export", "tiny.yaml", "--hub", "hub")
    card = Path("hub/README.md").read_text(encoding="utf-8")
    assert card.count("Nothing was measured on this set: neither that it protects, nor what a defense gives back.") == 2
    assert "| victim |" not in card
    done("export", "tiny.yaml", "--hub", "again", "--records", "results/records")
    assert "Nothing was measured" not in Path("again/README.md").read_text(encoding="utf-8")


def of_set(key: str, accuracies: list[float], **changes: Any) -> list[Record]:
    return runs(list(accuracies), protected_key=key, **changes)


def test_what_a_defense_gives_back_is_its_share_of_what_plain_training_loses() -> None:
    known = [
        *of_set("clean", [88.0, 92.0], method="none"),
        *of_set("clean", [80.0], method="none", defense="jpeg-10"),
        *of_set("mine", [8.0, 12.0]),
        *of_set("mine", [70.0, 70.0], defense="jpeg-10"),
        *of_set("other", [50.0], craft_seed=1),
    ]
    plain, jpeg = judged(known, "mine")
    assert (plain.victim, plain.defense, plain.protected.mean, plain.protected.n) == ("resnet8", "plain", 10.0, 2)
    assert plain.clean is not None
    assert (plain.clean.mean, plain.given_back) == (90.0, None)
    assert jpeg.clean is not None
    assert (jpeg.defense, jpeg.clean.mean, jpeg.protected.mean) == ("jpeg-10", 80.0, 70.0)
    assert jpeg.given_back == pytest.approx((70 - 10) / (90 - 10))


def test_no_share_is_told_of_a_loss_of_less_than_five_points() -> None:
    known = [
        *of_set("clean", [90.0], method="none"),
        *of_set("mine", [86.0]),
        *of_set("mine", [88.0], defense="jpeg-10"),
    ]
    assert [one.given_back for one in judged(known, "mine")] == [None, None]


def test_victims_of_other_data_recipes_or_mixtures_are_none_of_this_sets(finished: Finished, tmp_path: Path) -> None:
    plan = planned("tiny.yaml", (), None, ())
    same = {
        "train_sha256": plan.card.train_sha256,
        "test_sha256": plan.card.test_sha256,
        "recipe": plan.experiment.recipe.name,
        "test_acc": 50.0,
    }
    right = record(**same, key="right")
    others = [
        record(**{**same, "recipe": "digits"}, key="recipe"),
        record(**{**same, "train_sha256": "a" * 64}, key="data"),
        record(**same, protected_fraction=0.5, key="fraction"),
        record(**same, clean_images=20, key="clean"),
        record(**{**same, "test_acc": None}, status="failed", reason="it fell", key="failed"),
    ]
    own = {one.key for one in given_back.known_records(plan, Home.find(), None)}
    assert len(own) == 3
    for number, one in enumerate([right, *others]):
        (tmp_path / f"{number}.json").write_text(one.to_json(), encoding="utf-8")
    assert {one.key for one in given_back.known_records(plan, Home.find(), tmp_path)} == own | {"right"}


def test_the_command_ends_with_how_to_upload_and_leaves_clean_images_out(finished: Finished, tmp_path: Path) -> None:
    lines = done("export", "tiny.yaml", "--hub", tmp_path / "hub").splitlines()
    assert [line.split("  ", 1)[1] for line in lines[:-1]] == ["sep linf-32", "random-noise linf-32", "data card"]
    assert lines[-1] == (
        f"fill in the licence, then upload it: hf upload YOUR-NAME/digits-protected {tmp_path / 'hub'} . "
        f"--repo-type dataset"
    )
    assert sorted(path.name for path in (tmp_path / "hub").iterdir()) == ["README.md", *sorted(SETS), "sepbench.json"]
    assert [file["split"] for one in front_matter(tmp_path / "hub")["configs"] for file in one["data_files"]] == [
        "train",
        "train",
    ]


def test_the_clean_images_alone_are_no_protected_set(finished: Finished) -> None:
    assert refusal("export", "tiny.yaml", "--hub", "hub", "--only", "method=none") == (
        "no protected set is left to hand on: the clean images of 'none' are none, name another method with --only"
    )
    assert not Path("hub").exists()


def test_a_folder_that_holds_anything_else_is_refused_and_stays_as_it_is(finished: Finished, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "README.md").write_text("mine\n", encoding="utf-8")
    assert refusal("export", "tiny.yaml", "--hub", tmp_path / "photos") == (
        f"{tmp_path / 'photos'} is not empty and no earlier export of this kind, as it holds README.md: give --hub an "
        f"empty folder or a new one"
    )
    assert state(tmp_path / "photos") == {"README.md": b"mine\n"}


def test_sets_of_another_request_are_refused(folder: Path) -> None:
    before = state(folder)
    assert refusal("export", "tiny.yaml", "--hub", folder, "--with-test", "--only", "method=sep") == (
        f"{folder} holds random-noise-linf-32 of another request: ask for the same sets, or give --hub an empty folder"
    )
    assert state(folder) == before


@pytest.mark.parametrize("text", ["{", "[]", '{"sets": {"a": 1}}'])
def test_what_no_export_has_written_is_refused(text: str, finished: Finished, tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "sepbench.json").write_text(text, encoding="utf-8")
    sentence = refusal("export", "tiny.yaml", "--hub", tmp_path / "hub")
    assert sentence == f"{tmp_path / 'hub' / 'sepbench.json'} is not what an export writes: give --hub an empty folder"


def test_the_same_request_again_writes_only_what_is_missing_or_damaged(folder: Path) -> None:
    whole = state(folder)
    (damaged,), (kept,) = ((folder / name).iterdir() for name in ("random-noise-linf-32", "sep-linf-32"))
    damaged.write_bytes(damaged.read_bytes()[:-7])
    written = kept.stat().st_mtime_ns
    done("export", "tiny.yaml", "--hub", folder, "--with-test")
    assert state(folder) == whole
    assert kept.stat().st_mtime_ns == written


def test_an_export_that_was_interrupted_goes_on(
    finished: Finished, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = hub_shards.shards
    calls: list[str] = []

    def stops_at_the_second(images: ImageSet, split: str) -> Iterator[tuple[str, bytes]]:
        calls.append(split)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return sets(images, split)

    with monkeypatch.context() as patch:
        patch.setattr(ready_sets, "shards", stops_at_the_second)
        assert ask("export", "tiny.yaml", "--hub", tmp_path / "again", "--with-test").code == 3
    assert not (tmp_path / "again" / "README.md").exists()
    done("export", "tiny.yaml", "--hub", tmp_path / "again", "--with-test")
    assert state(tmp_path / "again") == state(folder)


def licensed(card: Path) -> str:
    """Fill in the licence of a card, as its person has to, and return the card."""
    text = card.read_text(encoding="utf-8")
    head, _, rest = text.partition("## Licence\n")
    mine = f"{head}## Licence\n\nCC BY 4.0, as the digits.\n\n## How to cite{rest.partition('## How to cite')[2]}"
    mine = changed(mine, "license: unknown\n", "license: other\nlicense_name: cc-by-4.0\n")
    card.write_text(mine, encoding="utf-8")
    return mine


def test_a_licence_that_somebody_has_filled_in_stays_and_all_else_is_as_it_is_now(finished_copy: Finished) -> None:
    folder, card = Path("hub"), Path("hub/README.md")
    done("export", "tiny.yaml", "--hub", folder, "--with-test")
    mine = licensed(card)
    assert f"{card}  data card\n" in done("export", "tiny.yaml", "--hub", folder, "--with-test")
    assert card.read_text(encoding="utf-8") == mine
    for path in (Path("home") / "records").rglob("*.json"):
        path.unlink()
    done("export", "tiny.yaml", "--hub", folder, "--with-test")
    assert "Nothing was measured on this set" in card.read_text(encoding="utf-8")
    assert (front_matter(folder)["license"], front_matter(folder)["license_name"]) == ("other", "cc-by-4.0")
    assert "license: unknown" not in card.read_text(encoding="utf-8")
    assert "## Licence\n\nCC BY 4.0, as the digits.\n\n## How to cite\n" in card.read_text(encoding="utf-8")


def test_a_card_of_which_more_was_changed_stays_and_the_new_one_stands_beside_it(finished_copy: Finished) -> None:
    folder, card, beside = Path("hub"), Path("hub/README.md"), Path("hub/README.new.md")
    done("export", "tiny.yaml", "--hub", folder, "--with-test")
    mine = changed(licensed(card), "# Protected sets of digits\n", "# Mine\n")
    card.write_text(mine, encoding="utf-8")
    assert f"{card}  data card, changed by hand and left so\n" in done(
        "export", "tiny.yaml", "--hub", folder, "--with-test"
    )
    assert not beside.exists()
    for path in (Path("home") / "records").rglob("*.json"):
        path.unlink()
    printed = done("export", "tiny.yaml", "--hub", folder, "--with-test")
    assert f"{card}  data card, changed by hand and left so; README.new.md beside it is the new one\n" in printed
    assert card.read_text(encoding="utf-8") == mine
    assert "Nothing was measured on this set" in beside.read_text(encoding="utf-8")
    beside.replace(card)
    assert f"{card}  data card\n" in done("export", "tiny.yaml", "--hub", folder, "--with-test")
    assert "license: unknown" in card.read_text(encoding="utf-8")


def test_an_export_that_was_killed_in_its_first_file_goes_on(
    finished: Finished, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_killed(path: Path, data: bytes) -> None:
        if path.suffix == ".parquet":
            path.with_name(f".{path.name}.0.tmp").write_bytes(data[:7])
            raise KeyboardInterrupt
        write_atomically(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(ready_sets, "write_atomically", is_killed)
        assert ask("export", "tiny.yaml", "--hub", tmp_path / "again", "--with-test").code == 3
    done("export", "tiny.yaml", "--hub", tmp_path / "again", "--with-test")
    finished_files = {name: data for name, data in state(tmp_path / "again").items() if not name.endswith(".tmp")}
    assert finished_files == state(folder)


def test_records_that_are_not_there_are_refused_before_anything_is_written(finished: Finished) -> None:
    assert "gone" in refusal("export", "tiny.yaml", "--hub", "hub", "--records", "gone")
    assert not Path("hub").exists()


def test_a_set_that_was_crafted_anew_and_came_out_other_is_written_anew(plugins_as_before: None) -> None:
    text = changed(changed(TINY, "  - random-noise\n", ""), "limit: 200", "limit: 40")
    text = text[: text.index("methods:")] + "methods: [none, mine]\nvictims: [resnet8]\nseeds: [0]\n"
    mine = ["--plugin", write_plugin(GOOD)]
    done("run", write(text), "--no-mlflow", *mine)
    done("export", write(text), "--hub", "hub", *mine)
    card = Path("hub/README.md").read_text(encoding="utf-8")
    source = hashlib.sha256(GOOD.encode()).hexdigest()
    assert (
        f"* the method mine did not come with sepbench: it is of `mine.py`, digest of its source `{source}`\n" in card
    )
    write_plugin(GOOD.replace("+ budget.radius", "- budget.radius"))
    assert ask("run", write(text), "--no-mlflow", *mine, "--force", "craft").code == 0
    done("export", write(text), "--hub", "hub", *mine)
    part = str(Path("hub") / "mine-linf-32" / "train-*.parquet")
    read = load(DatasetSpec.parse({"name": "x", "format": "parquet", "train": part, "test": part, **_SAME_FILES}))
    assert f"digest of the protected set: `{read.train.sha256}`" in Path("hub/README.md").read_text(encoding="utf-8")


def test_a_set_whose_method_does_not_keep_its_promises_is_in_doubt(finished: Finished) -> None:
    plan = planned("tiny.yaml", (), None, ("method=sep",))
    one = ready_sets._ready_sets(plan)[0]
    meta = Home.find().store.meta("craft", one.key)
    doubted = one.with_meta({**meta, "doubt": "the method 'sep' is not deterministic"})
    assert "* **in doubt**: the method 'sep' is not deterministic\n" in data_card._made(plan, doubted)
    assert "in doubt" not in data_card._made(plan, one.with_meta(meta))


def test_the_manifest_has_the_digest_of_every_file(folder: Path) -> None:
    document = json.loads((folder / "sepbench.json").read_bytes())
    listed = {
        f"{name}/{file}": digest for name, one in document["sets"].items() for file, digest in one["files"].items()
    }
    files = {path: data for path, data in state(folder).items() if path.endswith(".parquet")}
    assert listed == {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}


def test_what_is_not_crafted_yet_is_said_and_comes_in_later() -> None:
    write(TINY)
    done("run", "tiny.yaml", "--no-mlflow", "--only", "method=random-noise")
    answer = ask("export", "tiny.yaml", "--hub", "hub")
    assert answer.code == 1
    assert answer.err.startswith("sepbench: 1 protected sets are not crafted yet: run the experiment first")
    assert [one["config_name"] for one in front_matter(Path("hub"))["configs"]] == ["random-noise-linf-32"]


def test_one_place_to_write_to_has_to_be_given(finished: Finished) -> None:
    advice = "give --out FOLDER for NumPy archives, or --hub FOLDER for the layout of the Hub"
    assert refusal("export", "tiny.yaml") == refusal("export", "tiny.yaml", "--out", "a", "--hub", "b") == advice
    assert (
        refusal("export", "tiny.yaml", "--out", "a", "--with-test") == "--with-test goes with --hub: add --hub FOLDER"
    )
    assert refusal("export", "tiny.yaml", "--out", "a", "--records", "results") == (
        "--records goes with --hub: add --hub FOLDER"
    )


def test_replicates_and_variants_are_sets_of_their_own() -> None:
    text = TINY.replace("seeds: [0]", "seeds: [0]\ncraft_seeds: [0, 1]").replace("steps: 2", "steps: [2, 3]")
    plan = planned(write(text), (), None, ())
    names = [one.config for one in ready_sets._ready_sets(plan)]
    assert names == [
        *(f"sep-steps-{steps}-linf-32-craft-seed-{seed}" for steps in (2, 3) for seed in (0, 1)),
        *(f"random-noise-linf-32-craft-seed-{seed}" for seed in (0, 1)),
    ]


def test_a_card_on_some_protected_classes_says_which(finished: Finished) -> None:
    plan = planned("tiny.yaml", ("dataset.protected_classes=3",), None, ())
    assert data_card._of_some_classes(plan).strip() == "Only the first 3 of 10 classes are protected: 0, 1, 2."
