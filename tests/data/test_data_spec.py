"""What people write for `dataset:` is read in full, or answered with what is wrong and what to do."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.data.spec import DatasetSpec
from tests.making.tiny_data import complaint, pets, spec_of


@pytest.fixture
def parquet(tmp_path: Path) -> dict[str, Any]:
    return pets(tmp_path)


def test_a_bare_name_is_a_format_with_its_defaults() -> None:
    spec = DatasetSpec.parse("cifar10")
    assert (spec.name, spec.format) == ("cifar10", "cifar10")
    assert spec.params == {"root": None, "download": False}


def test_keys_that_are_not_of_the_spec_are_parameters_of_the_format() -> None:
    spec = DatasetSpec.parse({"name": "mine", "format": "parquet", "train": "a", "test": "b", "limit": 5, "resize": 8})
    assert (spec.name, spec.format) == ("mine", "parquet")
    assert (spec.limit, spec.test_limit, spec.resize) == (5, None, 8)
    assert spec.params == {"train": "a", "test": "b", "image": "image", "label": "label"}


def test_a_dumped_spec_parses_to_itself(parquet: dict[str, Any]) -> None:
    spec = spec_of(parquet, limit=4)
    assert DatasetSpec.parse(json.loads(spec.model_dump_json())) == spec


def test_variables_and_the_home_folder_are_expanded_in_paths(
    parquet: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEPBENCH_DATA", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    spec = spec_of(parquet, train="${SEPBENCH_DATA}/train.parquet", test="~/test.parquet").located()
    assert spec == spec_of(parquet)


def test_an_unknown_format_is_answered_with_a_suggestion() -> None:
    message = complaint(DatasetSpec.parse, "cifar11")
    assert message == "unknown data set 'cifar11': did you mean cifar10 or cifar100?"


def test_an_unknown_field_is_answered_with_a_suggestion(parquet: dict[str, Any]) -> None:
    message = complaint(spec_of, parquet, limt=5)
    assert message == "dataset.limt: there is no such field; did you mean limit or test_limit?"
    message = complaint(spec_of, parquet, labels="y")
    assert message == "dataset.labels: there is no such field; did you mean label?"
    misspelt = {"name": "parquet", "trian": "a", "test": "b"}
    message = complaint(DatasetSpec.parse, misspelt)
    assert message == "dataset.trian: there is no such field; did you mean train?"
    message = complaint(DatasetSpec.parse, {"name": "digits", "q": 1})
    assert (
        message == "dataset.q: there is no such field; known: name, format, limit, test_limit, resize, fit, holdout, "
        "protected_classes, allow_empty_test_classes, allow_same_files"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"limit": 0}, "dataset.limit: must be at least 1, not 0"),
        ({"limit": "5"}, "dataset.limit: must be a whole number, not '5'"),
        ({"resize": 2000}, "dataset.resize: must be at most 1024, not 2000"),
        ({"label": 3}, "dataset.label: must be text, not 3: put it in quotes"),
    ],
)
def test_a_wrong_value_is_named_with_its_field(changes: dict[str, Any], message: str, parquet: dict[str, Any]) -> None:
    assert complaint(spec_of, parquet, **changes) == message


def test_what_is_missing_is_named() -> None:
    assert complaint(DatasetSpec.parse, {"name": "parquet", "test": "a"}) == (
        "dataset.train: this field is missing: add it, or give it with --set dataset.train=VALUE"
    )
    assert "dataset.name: this field is missing" in complaint(DatasetSpec.parse, {"format": "digits"})
    assert "a name or a mapping" in complaint(DatasetSpec.parse, ["digits"])


def test_npz_wants_one_file_or_two() -> None:
    expected = "dataset: give either train and test, or path for one file with both"
    for paths in ({}, {"test": "a"}, {"path": "a", "test": "b"}, {"path": "a", "train": "b", "test": "c"}):
        given = {"name": "npz", **paths}
        assert complaint(DatasetSpec.parse, given) == expected


@pytest.mark.parametrize("value", [None, ""])
def test_a_variable_that_is_not_set_is_named(
    value: str | None, parquet: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SEPBENCH_DATA", raising=False)
    if value is not None:
        monkeypatch.setenv("SEPBENCH_DATA", value)
    spec = spec_of(parquet, train="${SEPBENCH_DATA}/x.parquet")
    assert complaint(spec.located) == (
        "dataset.train uses ${SEPBENCH_DATA}, which is not set: set it to the folder that holds the data, "
        "or give the path with --set dataset.train=PATH"
    )
