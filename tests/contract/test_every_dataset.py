"""What every data set and every format of data sets has to keep, whoever wrote it."""

from pathlib import Path

import pytest

from bench.checks import of_datasets
from bench.checks.of_datasets import plugin
from bench.contracts.dataset import DATASETS
from bench.core.errors import SepbenchError
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


@every_dataset
@pytest.mark.parametrize("promise", of_datasets.CHECKS)
def test_a_data_set_keeps_the_promises_that_sepbench_check_looks_at(promise: str, spec: DatasetSpec) -> None:
    of_datasets.CHECKS[promise](spec)


@every_dataset
def test_a_data_set_is_known_by_its_name(name: str) -> None:
    assert DATASETS.get(name).name == name


@every_dataset
def test_what_needs_files_has_some_to_be_tested_with(name: str) -> None:
    needed = [one for one, field in DATASETS.get(name).Params.model_fields.items() if field.is_required()]
    assert name in WRITERS or not needed, "write a tiny one in tests/making/data_files.py"


@every_dataset
def test_it_has_both_splits_here(spec: DatasetSpec) -> None:
    assert [part for part, _ in of_datasets.opened(spec)] == ["training", "test"]


@every_dataset
def test_what_reads_files_names_some(spec: DatasetSpec) -> None:
    assert bool(plugin(spec).files()) == (spec.format in WRITERS)


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
