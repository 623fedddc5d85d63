"""What every data set and every format of data sets has to keep, whoever wrote it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.contracts.dataset import DATASETS, DatasetPlugin, Source
from bench.core.errors import SepbenchError
from bench.data.checks import check_labels
from bench.data.loading import card, load
from bench.data.spec import DatasetSpec
from tests.making.data_files import WRITERS

NAMES = DATASETS.names()
every_dataset = pytest.mark.parametrize("name", NAMES)
every_format_of_files = pytest.mark.parametrize("name", [name for name in NAMES if name in WRITERS])


@pytest.fixture
def spec(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DatasetSpec:
    """A data set of that format: of the files that `WRITERS` writes, or else without any."""
    monkeypatch.setenv("SEPBENCH_HOME", str(tmp_path / "home"))
    write = WRITERS.get(name)
    return DatasetSpec.parse(name if write is None else write(tmp_path / "data", monkeypatch))


def plugin(spec: DatasetSpec) -> DatasetPlugin:
    kind = DATASETS.get(spec.format)
    return kind(kind.Params.model_validate(spec.params))


def opened(spec: DatasetSpec) -> tuple[Source, Source]:
    train, test = plugin(spec).open()
    assert test is not None
    return train, test


def read(source: Source, positions: list[int]) -> list[NDArray[Any]]:
    """Return the images at these positions as RGB."""
    return [np.asarray(image.convert("RGB")) for image in source.read(np.array(positions, np.int64))]


def same(first: list[NDArray[Any]], second: list[NDArray[Any]]) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))


@every_dataset
def test_a_data_set_describes_itself(name: str) -> None:
    kind = DATASETS.get(name)
    assert (kind.__doc__ or "").strip().splitlines()[0].strip()
    assert kind.name == name
    assert type(kind.version) is int
    assert kind.version >= 1


@every_dataset
def test_every_parameter_is_documented(name: str) -> None:
    kind = DATASETS.get(name)
    told = f"{kind.__doc__} {kind.Params.__doc__}"
    silent = [one for one, field in kind.Params.model_fields.items() if not field.description and one not in told]
    assert silent == [], "describe them in a docstring or by Field(description=...)"


@every_dataset
def test_what_needs_files_has_some_to_be_tested_with(name: str) -> None:
    needed = [one for one, field in DATASETS.get(name).Params.model_fields.items() if field.is_required()]
    assert name in WRITERS or not needed, "write a tiny one in tests/making/data_files.py"


@every_dataset
def test_it_opens_twice_alike(spec: DatasetSpec) -> None:
    for first, second in zip(opened(spec), opened(spec), strict=True):
        assert first.classes == second.classes
        assert first.labels.tolist() == second.labels.tolist()
        positions = list(range(min(20, len(first.labels))))
        assert same(read(first, positions), read(second, positions))


@every_dataset
def test_labels_and_classes_make_sense_together(spec: DatasetSpec) -> None:
    train, test = opened(spec)
    check_labels(spec.name, train, test)
    for source in (train, test):
        assert source.labels.dtype == np.int64
        assert source.labels.ndim == 1
        assert all(type(one) is str for one in source.classes)
        assert len(set(source.classes)) == len(source.classes)


@every_dataset
@pytest.mark.parametrize("split", [0, 1], ids=["train", "test"])
def test_images_come_in_the_order_asked_for(spec: DatasetSpec, split: int) -> None:
    source = opened(spec)[split]
    last = len(source.labels) - 1
    alone = {position: read(source, [position])[0] for position in (0, 1, 2, last)}
    assert all(one.ndim == 3 and one.dtype == np.uint8 for one in alone.values())
    for positions in ([last, 0, 2, 1], [1, 1, 0, 1], [last, last], [2], []):
        assert same(read(source, positions), [alone[one] for one in positions])


@every_dataset
def test_every_image_has_a_place_that_a_person_finds(spec: DatasetSpec) -> None:
    for source in opened(spec):
        places = [source.where(position) for position in range(3)]
        assert all(places)
        assert len(set(places)) == 3


@every_dataset
def test_its_remarks_are_clauses(spec: DatasetSpec) -> None:
    remarks = plugin(spec).remarks()
    assert not [one for one in remarks if not one or "\n" in one or one.endswith(".")]


@every_dataset
def test_its_files_are_there(spec: DatasetSpec) -> None:
    files = plugin(spec).files()
    assert all(path.is_file() for path in files)
    assert len(set(files)) == len(files)
    assert bool(files) == (spec.format in WRITERS)


@every_format_of_files
def test_a_file_that_decides_the_content_is_one_of_its_files(spec: DatasetSpec, tmp_path: Path) -> None:
    """What is taken away makes other data, or none."""

    def content() -> tuple[str, str] | None:
        try:
            splits = load(spec)
        except SepbenchError:
            return None
        return splits.train.sha256, splits.test.sha256

    whole, listed = content(), set(plugin(spec).files())
    assert whole is not None
    for path in sorted(path for path in (tmp_path / "data").rglob("*") if path.is_file()):
        stored = path.read_bytes()
        path.unlink()
        assert content() == whole or path in listed, path.name
        path.write_bytes(stored)
    assert content() == whole


@every_format_of_files
@pytest.mark.usefixtures("settled_files")
def test_a_card_is_not_taken_for_that_of_altered_files(spec: DatasetSpec, tmp_path: Path) -> None:
    cards = tmp_path / "cards"
    made = card(spec, cards)
    for known, path in enumerate(plugin(spec).files(), start=1):
        assert len(list(cards.iterdir())) == known
        path.write_bytes(path.read_bytes())  # at another time
        assert card(spec, cards) == made
        assert card(spec, cards) == made
    assert len(list(cards.iterdir())) == len(plugin(spec).files()) + 1


@every_format_of_files
def test_missing_files_are_said_in_one_sentence(spec: DatasetSpec, tmp_path: Path) -> None:
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    for action in (load, lambda spec: card(spec, tmp_path / "cards")):
        with pytest.raises(SepbenchError) as refused:
            action(spec)
        assert "\n" not in str(refused.value)
        assert str(tmp_path / "data") in str(refused.value)


@every_format_of_files
def test_a_damaged_file_is_said_in_one_sentence(spec: DatasetSpec) -> None:
    for path in plugin(spec).files():
        stored = path.read_bytes()
        for damaged in (b"", b"something else", stored[: len(stored) // 2]):
            path.write_bytes(damaged)
            with pytest.raises(SepbenchError) as refused:
                load(spec)
            assert "\n" not in str(refused.value)
        path.write_bytes(stored)
    load(spec)
