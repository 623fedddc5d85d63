"""A data set is recognised by its content, and a plan that knows it decodes nothing."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.contracts.dataset import DATASETS
from bench.data import loading
from bench.data.images import ImageSet
from bench.data.loading import card, load_with_card
from tests.making.tiny_data import LABELS, encoded, pets, pixels, spec_of, write_parquet

pytestmark = pytest.mark.usefixtures("settled_files")


@pytest.fixture
def parquet(tmp_path: Path) -> dict[str, Any]:
    return pets(tmp_path)


@pytest.fixture
def small() -> ImageSet:
    images = torch.from_numpy(pixels(5).transpose(0, 3, 1, 2).copy())
    return ImageSet(images=images, labels=torch.tensor([0, 1, 2, 0, 1]), classes=("a", "b", "ç"))


def test_the_digest_is_the_documented_one(small: ImageSet) -> None:
    header = b'{"classes":["a","b","\\u00e7"],"shape":[5,3,4,4]}\n'
    labels = b"".join(label.to_bytes(8, "little") for label in (0, 1, 2, 0, 1))
    content = bytes(small.images.flatten().tolist())
    assert small.sha256 == hashlib.sha256(header + labels + content).hexdigest()


@settings(deadline=None)
@given(position=st.integers(0, 5 * 3 * 4 * 4 - 1), bit=st.integers(0, 7))
def test_the_digest_notices_any_flipped_bit(position: int, bit: int) -> None:
    images = torch.zeros(5, 3, 4, 4, dtype=torch.uint8)
    flipped = images.clone()
    flipped.view(-1)[position] = 1 << bit
    labels = torch.zeros(5, dtype=torch.int64)
    assert ImageSet(images, labels, ("a",)).sha256 != ImageSet(flipped, labels, ("a",)).sha256


@pytest.mark.parametrize(
    "changed",
    [
        lambda x: replace(x, labels=torch.tensor([0, 1, 2, 0, 0])),
        lambda x: replace(x, classes=("a", "b", "c")),
        lambda x: replace(x, classes=("b", "a", "ç")),
        lambda x: replace(x, images=x.images.reshape(5, 3, 2, 8)),
    ],
)
def test_the_digest_notices_labels_names_and_shape(small: ImageSet, changed: Callable[[ImageSet], ImageSet]) -> None:
    assert changed(small).sha256 != small.sha256


def test_the_digest_does_not_depend_on_memory_layout(small: ImageSet) -> None:
    strided = replace(small, images=small.images.contiguous(memory_format=torch.channels_last))
    assert strided.sha256 == small.sha256


def forbid_opening(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object) -> None:
        raise AssertionError("the data set was opened")

    monkeypatch.setattr(DATASETS.get("parquet"), "open", refuse)


def test_a_card_describes_what_was_loaded(parquet: dict[str, Any], tmp_path: Path) -> None:
    splits, made = load_with_card(spec_of(parquet, limit=6), tmp_path / "cards")
    assert (made.train_sha256, made.test_sha256) == (splits.train.sha256, splits.test.sha256)
    assert (made.n_train, made.n_test, made.height, made.width) == (6, 4, 4, 4)
    assert made.classes == ("cat", "dog", "frog")


def test_a_cached_card_decodes_nothing_even_under_another_name(
    parquet: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = card(spec_of(parquet), tmp_path / "cards")
    forbid_opening(monkeypatch)
    assert card(spec_of(parquet, name="renamed"), tmp_path / "cards") == made
    with pytest.raises(AssertionError, match="was opened"):
        card(spec_of(parquet, limit=5), tmp_path / "cards")


def test_a_cached_card_needs_neither_torchvision_nor_sklearn_nor_mlflow(
    parquet: dict[str, Any], tmp_path: Path
) -> None:
    made = card(spec_of(parquet), tmp_path / "cards")
    code = (
        "import json, sys; from pathlib import Path\n"
        "from bench.data.loading import card\n"
        "from bench.data.spec import DatasetSpec\n"
        "print(card(DatasetSpec.parse(json.loads(sys.argv[1])), Path(sys.argv[2])).train_sha256)\n"
        "assert not {'torchvision', 'sklearn', 'mlflow'} & set(sys.modules)\n"
    )
    arguments = [sys.executable, "-c", code, json.dumps(parquet), str(tmp_path / "cards")]
    assert subprocess.run(arguments, check=True, capture_output=True, text=True).stdout.strip() == made.train_sha256


def test_a_file_that_changed_gives_a_new_card(parquet: dict[str, Any], tmp_path: Path) -> None:
    before = card(spec_of(parquet), tmp_path / "cards")
    path = Path(parquet["train"])
    touched = path.stat().st_mtime_ns + 1_000_000
    write_parquet(path, [encoded(255 - x) for x in pixels(8)], LABELS, ["cat", "dog", "frog"])
    os.utime(path, ns=(touched, touched))
    after = card(spec_of(parquet), tmp_path / "cards")
    assert after.train_sha256 != before.train_sha256
    assert after.test_sha256 == before.test_sha256


def test_a_new_time_alone_makes_the_card_again(
    parquet: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card(spec_of(parquet), tmp_path / "cards")
    os.utime(parquet["test"], ns=(1, 1))
    forbid_opening(monkeypatch)
    with pytest.raises(AssertionError, match="was opened"):
        card(spec_of(parquet), tmp_path / "cards")


@pytest.mark.parametrize("damage", ["", "{", '{"train_sha256": 1}', "[]"])
def test_a_damaged_card_is_made_again(damage: str, parquet: dict[str, Any], tmp_path: Path) -> None:
    made = card(spec_of(parquet), tmp_path / "cards")
    (path,) = (tmp_path / "cards").iterdir()
    whole = path.read_text()
    path.write_text(damage)
    assert card(spec_of(parquet), tmp_path / "cards") == made
    assert path.read_text() == whole
    assert list(path.parent.iterdir()) == [path]


def test_loading_replaces_a_card_that_says_otherwise(parquet: dict[str, Any], tmp_path: Path) -> None:
    made = card(spec_of(parquet), tmp_path / "cards")
    (path,) = (tmp_path / "cards").iterdir()
    path.write_text(path.read_text().replace(made.train_sha256, "0" * 64))
    assert card(spec_of(parquet), tmp_path / "cards").train_sha256 == "0" * 64
    assert load_with_card(spec_of(parquet), tmp_path / "cards")[1] == made
    assert card(spec_of(parquet), tmp_path / "cards") == made


@pytest.mark.parametrize("library", ["pillow", "scikit-learn"])
def test_a_card_is_of_one_version_of_the_libraries_that_the_data_comes_from(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of({"name": "digits", "limit": 20, "test_limit": 10})
    made = card(spec, tmp_path / "cards")
    assert card(spec, tmp_path / "cards") == made
    (known,) = (tmp_path / "cards").iterdir()
    monkeypatch.setattr(loading, "version", lambda name: "1000" if name == library else version(name))
    assert card(spec, tmp_path / "cards") == made
    assert len(set((tmp_path / "cards").iterdir()) - {known}) == 1
