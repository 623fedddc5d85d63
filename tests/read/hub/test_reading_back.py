"""Who reads a set that was handed on gets the very images, labels and classes, from one file or from several."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from bench.cli.options import planned
from bench.data.images import ImageSet
from bench.data.loading import load
from bench.data.spec import DatasetSpec
from bench.read.hub import hub_shards
from bench.record.record import read_records
from bench.store.home import Home
from tests.making.asking import Finished
from tests.making.handed_on import SAME_FILES, SETS
from tests.making.images import noise

pytestmark = pytest.mark.usefixtures("own_place")

DIGITS = tuple(str(number) for number in range(10))


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The library `datasets`, which keeps to itself and asks nobody for anything."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("huggingface")))
        library = pytest.importorskip("datasets", reason="needs datasets, which is not installed")
        library.disable_progress_bars()
        yield library


def released(config: str) -> ImageSet:
    """Return a protected set of the tiny experiment as the store has it."""
    home, method = Home.find(), config.removesuffix("-linf-32")
    plan = planned("tiny.yaml", (), None, (f"method={method}",))
    tensors = home.store.tensors("craft", plan.cells[-1].craft, "protected")
    return ImageSet(tensors["images"], tensors["labels"], plan.card.classes)


def as_read(rows: Any) -> tuple[np.ndarray, list[int]]:
    """Return images, uint8 [N, H, W, 3], and labels of a split that `datasets` has loaded."""
    return np.stack([np.asarray(row["image"]) for row in rows]), list(rows["label"])


def np_labels(count: int) -> Any:
    import torch

    return torch.arange(count) % 2


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
    read = load(DatasetSpec.parse({"name": "x", "format": "parquet", "train": files, "test": files, **SAME_FILES}))
    assert read.train.sha256 == images.sha256


def test_two_classes_of_one_name_are_refused() -> None:
    images = ImageSet(noise(2, side=8), np_labels(2), ("cat", "cat"))
    with pytest.raises(
        ValueError, match=r"^two classes are called 'cat', and the Hub's ClassLabel takes each name once"
    ):
        next(hub_shards.shards(images, "train"))
