"""Parquet sets of several files: given as a pattern, a folder or a list, read in order, and never in part."""

import datetime
import errno
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.contracts.dataset import DATASETS
from bench.data.loading import load
from bench.data.spec import DatasetSpec
from tests.making.tiny_data import as_stored, complaint, encoded, pixels, write_parquet

SHARDS = ("train-00000-of-00003.parquet", "train-00001-of-00003.parquet", "train-00002-of-00003.parquet")
STORED = pixels(12)
NAMES = ["cat", "dog"]


def write_shards(folder: Path, names: Sequence[str] = SHARDS) -> Path:
    """Write four images a shard, in turn of two classes, and one file of test images beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        write_parquet(folder / name, [encoded(x) for x in STORED[4 * number :][:4]], [0, 1, 0, 1], NAMES)
    write_parquet(folder / "test-00000-of-00001.parquet", [encoded(x) for x in pixels(2, seed=1)], [0, 1], NAMES)
    return folder


def spec(train: str | list[str], test: str | list[str], **changes: Any) -> DatasetSpec:
    return DatasetSpec.parse({"name": "x", "format": "parquet", "train": train, "test": test, **changes})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_shards(tmp_path / "data")


@pytest.mark.parametrize("given", ["train-*.parquet", "", "train-0000?-of-*", ["train-*-of-00003.parquet"], [*SHARDS]])
def test_all_shards_are_read_in_the_order_of_their_numbers(given: str | list[str], data: Path) -> None:
    train = f"{data}/{given}" if isinstance(given, str) else [f"{data}/{name}" for name in given]
    splits = load(spec(train, str(data)))
    np.testing.assert_array_equal(as_stored(splits.train), STORED)
    np.testing.assert_array_equal(as_stored(splits.test), pixels(2, seed=1))
    assert splits.train.labels.tolist() == [0, 1] * 6


def test_the_order_of_a_list_changes_nothing(data: Path) -> None:
    turned = [f"{data}/{name}" for name in reversed(SHARDS)]
    np.testing.assert_array_equal(as_stored(load(spec(turned, str(data))).train), STORED)


def test_a_limit_is_counted_through_the_shards(data: Path) -> None:
    splits = load(spec(str(data), str(data), limit=6))
    np.testing.assert_array_equal(as_stored(splits.train), STORED[:6])


def test_a_row_is_named_with_its_shard(data: Path) -> None:
    write_parquet(data / SHARDS[1], [encoded(STORED[0]), b"no image"], [0, 1], NAMES)
    message = complaint(load, spec(str(data), str(data)))
    assert message == f"row 1 of {data}/{SHARDS[1]} is not an image that Pillow can read: repair or remove it"
    write_parquet(data / SHARDS[2], [encoded(STORED[0])] * 2, [0, 7], NAMES)
    assert f"has label 7 (row 1 of {data}/{SHARDS[2]}) but 2 classes" in complaint(load, spec(str(data), str(data)))


def test_a_shard_without_rows_is_passed_over(data: Path) -> None:
    pq.write_table(pq.read_table(data / SHARDS[1]).slice(0, 0), data / SHARDS[1])
    splits = load(spec(str(data), str(data)))
    np.testing.assert_array_equal(as_stored(splits.train), STORED[[0, 1, 2, 3, 8, 9, 10, 11]])


def test_every_shard_is_a_file_that_decides_the_data(data: Path) -> None:
    kind = DATASETS.get("parquet")
    files = kind(kind.Params.model_validate(spec(str(data), str(data)).params)).files()
    assert files == [*(data / name for name in SHARDS), data / "test-00000-of-00001.parquet"]


def test_one_shard_of_several_is_refused(data: Path) -> None:
    assert complaint(load, spec(f"{data}/{SHARDS[0]}", str(data))) == (
        f"dataset.train is {data}/{SHARDS[0]}, one shard of 3: give all of them, as {data}/train-*-of-00003*.parquet, "
        f"as their folder or as a list"
    )


def test_advice_on_a_name_that_looks_like_a_pattern_can_be_followed(tmp_path: Path) -> None:
    names = [f"train[v1]-0000{number}-of-00002.parquet" for number in range(2)]
    data = write_shards(tmp_path / "d[v1]", names)
    test = f"{data}/test-00000-of-00001.parquet"
    message = complaint(load, spec(f"{data}/{names[0]}", test))
    advised = re.search(r"give all of them, as (\S+),", message)
    assert advised is not None
    assert len(load(spec(advised[1], test)).train) == 8
    write_parquet(data / "extra.parquet", [encoded(STORED[0])], [0], NAMES)
    advised = re.search(r"such as (\S+)$", complaint(load, spec(str(data), test)))
    assert advised is not None
    assert len(load(spec(advised[1], test)).train) == 8


def test_a_shard_that_is_left_out_is_named(data: Path) -> None:
    two = [f"{data}/{SHARDS[0]}", f"{data}/{SHARDS[2]}"]
    assert complaint(load, spec(two, str(data))).startswith(
        f"dataset.train has 2 shards of 3 and lacks {data}/{SHARDS[1]}: give all of them"
    )


def test_a_shard_that_is_not_there_is_named(data: Path) -> None:
    (data / SHARDS[1]).unlink()
    for given in (str(data), f"{data}/train-*"):
        assert complaint(load, spec(given, str(data))).startswith(
            f"dataset.train has 2 shards of 3, and there is no {SHARDS[1]} beside {data}/{SHARDS[0]}: fetch it, then"
        )


def test_names_with_a_digest_of_each_shard_are_shards_too(tmp_path: Path) -> None:
    names = ["train-00000-of-00002-a09b74b3ef9c3b56.parquet", "train-00001-of-00002-2b6a1f5a3cd4e7f8.parquet"]
    data = write_shards(tmp_path / "data", names)
    assert len(load(spec(str(data), str(data))).train) == 8
    assert "one shard of 2" in complaint(load, spec(f"{data}/{names[1]}", str(data)))
    write_shards(data, [*names, "train-00001-of-00002-0000000000000000.parquet"])
    assert "has two files for shard 00001 of 00002" in complaint(load, spec(str(data), str(data)))


def test_shards_counted_from_one_are_all_there(tmp_path: Path) -> None:
    data = write_shards(tmp_path / "data", ["train-1-of-2.parquet", "train-2-of-2.parquet"])
    assert len(load(spec(str(data), str(data))).train) == 8


def test_shards_of_one_set_may_lie_on_several_disks(data: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (data / SHARDS[2]).rename(tmp_path / "other" / SHARDS[2])
    splits = load(spec([f"{data}/train-*", f"{tmp_path}/other"], str(data)))
    np.testing.assert_array_equal(as_stored(splits.train), STORED)


def test_a_shard_is_missing_though_another_folder_has_one_of_its_name(tmp_path: Path) -> None:
    write_shards(tmp_path / "p/A", SHARDS[:1])
    write_shards(tmp_path / "p/B")
    message = complaint(load, spec(f"{tmp_path}/p/*/train-*.parquet", f"{tmp_path}/p/B"))
    assert message.startswith(
        f"dataset.train has 1 shard of 3, and there is no {SHARDS[1]} beside {tmp_path}/p/A/{SHARDS[0]}: fetch it"
    )


def test_whole_sets_of_one_name_in_several_folders_are_all_read(tmp_path: Path) -> None:
    write_shards(tmp_path / "p/A")
    write_shards(tmp_path / "p/B")
    assert len(load(spec(f"{tmp_path}/p/*/train-*.parquet", f"{tmp_path}/p/B")).train) == 24


def test_a_file_given_twice_is_refused(data: Path) -> None:
    twice = [f"{data}/train-*", f"{data}/{SHARDS[1]}"]
    assert complaint(load, spec(twice, str(data))) == (
        f"dataset.train has {data}/{SHARDS[1]} more than once: give each file once"
    )
    (data / "copy.parquet").symlink_to(data / SHARDS[1])
    linked = [f"{data}/train-*", f"{data}/copy.parquet"]
    assert f"has {data}/{SHARDS[1]} more than once, and as {data}/copy.parquet" in complaint(
        load, spec(linked, str(data))
    )


def test_shards_of_two_versions_are_refused(data: Path) -> None:
    write_shards(data, ["train-00000-of-00001.parquet"])
    message = complaint(load, spec(str(data), str(data)))
    assert "shards of two versions of one set: keep those of one" in message


def test_files_of_a_folder_that_may_be_several_sets_are_listed(data: Path) -> None:
    write_shards(data, ["train_small.parquet"])
    message = complaint(load, spec(str(data), str(data)))
    assert message.startswith(f"dataset.train is {data}, where several sets may be meant: it has test-00000-of-00001")
    assert "train_small.parquet" in message


def test_files_that_name_no_split_are_listed_where_others_do(data: Path) -> None:
    write_parquet(data / "extra.parquet", [encoded(STORED[0])], [0], NAMES)
    sentence = (
        f"where extra.parquet may belong to any split: move elsewhere what is not to be read, or give the files, such "
        f"as {data}"
    )
    assert complaint(load, spec(str(data), str(data))) == f"dataset.train is {data}, {sentence}/train-*.parquet"
    advised = f"{data}/train-*.parquet"
    message = complaint(load, spec(advised, str(data)))
    assert message == f"dataset.test is {data}, {sentence}/test-00000-of-00001.parquet"
    assert len(load(spec(advised, message.rpartition(" such as ")[2])).train) == 12


def test_files_further_down_are_not_dropped(data: Path, tmp_path: Path) -> None:
    folder = write_shards(tmp_path / "n", ["a.parquet"])
    (folder / "test-00000-of-00001.parquet").unlink()
    deeper = write_shards(folder / "more/and", ["b.parquet"]) / "b.parquet"
    (deeper.parent / "test-00000-of-00001.parquet").unlink()
    for given in (str(folder), f"{folder}/*"):
        message = complaint(load, spec(given, str(data)))
        assert message == (
            f"dataset.train is {given}, which has a.parquet and, further down, {deeper}: give what is meant as a list, "
            f"or as a pattern such as {folder}/a.parquet"
        )
    assert len(load(spec(message.rpartition(" such as ")[2], str(data))).train) == 4
    for given in (f"{folder}/**/*.parquet", f"{folder}/**/[ab].parquet"):
        assert len(load(spec(given, str(data))).train) == 8


def test_folders_of_other_splits_and_of_programs_are_not_meant(data: Path) -> None:
    for name in ("test", "validation", ".cache", "_delta_log", "__MACOSX", "images"):
        (data / name).mkdir()
        (data / name / ("0.png" if name == "images" else "0.parquet")).write_bytes(b"")
    assert len(load(spec(str(data), f"{data}/test-*.parquet")).train) == 12
    assert f"which has test-00000-of-00001.parquet and, further down, {data}/test/0.parquet" in complaint(
        load, spec(str(data), str(data))
    )


def test_a_split_that_a_folder_lacks_is_answered_with_what_it_has(tmp_path: Path) -> None:
    data = write_shards(tmp_path / "data", ["validation-00000-of-00001.parquet"])
    assert complaint(load, spec(str(data), str(data))) == (
        f"dataset.train is {data}, where no file is called train-….parquet: it has test-00000-of-00001.parquet, "
        f"validation-00000-of-00001.parquet; give the files, such as {data}/NAME-*.parquet"
    )
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "train.csv").touch()
    assert complaint(load, spec(f"{tmp_path}/none", str(data))) == (
        f"dataset.train is {tmp_path}/none, a folder without .parquet files: it has train.csv; correct the path"
    )


def test_a_folder_of_each_split_may_call_its_files_anything(tmp_path: Path) -> None:
    for part in ("train", "test"):
        write_shards(tmp_path / part, ["0000.parquet", "0001.parquet"])
        (tmp_path / part / "test-00000-of-00001.parquet").unlink()
    (tmp_path / "train" / "README.md").touch()
    (tmp_path / "train" / ".0002.parquet").touch()
    for train, test in ((f"{tmp_path}/train", f"{tmp_path}/test"), (str(tmp_path), str(tmp_path))):
        splits = load(spec(train, test))
        assert (len(splits.train), len(splits.test)) == (8, 8)


def test_a_pattern_of_training_and_test_files_is_refused(data: Path) -> None:
    message = complaint(load, spec(f"{data}/*.parquet", str(data)))
    assert message.startswith(f"dataset.train is {data}/*.parquet, which names training and test files: test-00000")


@pytest.mark.parametrize("pattern", ["*/train-*.parquet", "*/deep/train-*", "**/train-*.parquet", "**"])
@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_a_folder_that_a_pattern_leads_through_is_named_where_it_cannot_be_looked_into(
    pattern: str, number: int, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("g/a", "g/b", "g/a/deep", "g/b/deep"):
        write_shards(tmp_path / name, SHARDS)
    closed = tmp_path / "g/b/deep" if "deep" in pattern else tmp_path / "g/b"
    listing = os.scandir

    def refuse(path: Any = ".") -> Any:
        if Path(path) == closed:
            raise OSError(number, os.strerror(number), str(path))
        return listing(path)

    monkeypatch.setattr(os, "scandir", refuse)
    given = f"{tmp_path}/g/{pattern}"
    message = complaint(load, spec(given, str(data)))
    assert re.match(
        rf"dataset.train is {re.escape(given)}, and {closed}/? cannot be reached \({os.strerror(number)}\): mount the",
        message,
    )


def test_a_file_that_a_pattern_leads_to_is_named_where_it_cannot_be_looked_at(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        write_shards(tmp_path / "g" / name, ["t.parquet"])
    usual = os.lstat, Path.stat

    def refuse(path: Any) -> None:
        if Path(path) == tmp_path / "g/b/t.parquet":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    def lstat(path: Any, **options: Any) -> os.stat_result:
        refuse(path)
        return usual[0](path, **options)

    def stat(path: Path, **options: bool) -> os.stat_result:
        refuse(path)
        return usual[1](path, **options)

    monkeypatch.setattr(os, "lstat", lstat)
    monkeypatch.setattr(Path, "stat", stat)
    assert f"and {tmp_path}/g/b/t.parquet cannot be reached (Permission denied)" in complaint(
        load, spec(f"{tmp_path}/g/*/t.parquet", str(data))
    )


def test_a_folder_of_the_system_keeps_no_pattern_from_its_files(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (data / "lost+found").mkdir()
    listing = os.scandir

    def refuse(path: Any = ".") -> Any:
        if Path(path) == data / "lost+found":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return listing(path)

    monkeypatch.setattr(os, "scandir", refuse)
    for given in (f"{data.parent}/**/train-*.parquet", str(data)):
        assert len(load(spec(given, str(data))).train) == 12


def test_a_pattern_without_files_is_named(data: Path) -> None:
    assert complaint(load, spec(f"{data}/tain-*.parquet", str(data))) == (
        f"dataset.train is {data}/tain-*.parquet, and no file is named so: correct the path"
    )


def test_a_name_that_looks_like_a_pattern_is_a_file_where_there_is_one(tmp_path: Path) -> None:
    paths = [tmp_path / f"pets[{number}].parquet" for number in (1, 2)]
    train, test = (str(write_parquet(path, [encoded(x) for x in pixels(2)], [0, 1])) for path in paths)
    assert len(load(spec(train, test)).train) == 2


def test_a_download_that_did_not_finish_is_not_left_out(tmp_path: Path) -> None:
    data = write_shards(tmp_path / "data", ["train-0.parquet"])
    (data / "train-1.parquet.crdownload").write_bytes(b"PAR1")
    message = f"{data}/train-1.parquet.crdownload is a download that did not finish: finish it, or remove it"
    assert complaint(load, spec(str(data), str(data))) == message
    assert complaint(load, spec(f"{data}/train-1.parquet", str(data))) == (
        f"dataset.train is {data}/train-1.parquet, and there is no such file, only train-1.parquet.crdownload, a "
        f"download that did not finish: correct the path"
    )


def test_a_link_to_nowhere_is_named(data: Path, tmp_path: Path) -> None:
    (tmp_path / "train.parquet").symlink_to("/gone/blob")
    assert complaint(load, spec(f"{tmp_path}/train.parquet", str(data))) == (
        f"dataset.train is {tmp_path}/train.parquet, and there is no such file where this link points, /gone/blob: "
        f"correct the path"
    )


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"image": [b""], "kind": [0]}, "has no column 'label': it has image, kind"),
        ({"image": [b""], "label": ["cat"]}, "are of two kinds, numbers and names of classes: shards of one set must"),
    ],
)
def test_shards_with_other_columns_are_refused(other: dict[str, Any], says: str, data: Path) -> None:
    pq.write_table(pa.table(other), data / SHARDS[2])
    message = complaint(load, spec(str(data), str(data)))
    assert str(data / SHARDS[2]) in message
    assert says in message


def test_shards_with_other_class_names_are_refused(data: Path) -> None:
    write_parquet(data / SHARDS[2], [encoded(STORED[0])], [0], ["cat", "cow"])
    assert complaint(load, spec(str(data), str(data))) == (
        f"{data}/{SHARDS[2]} and {data}/{SHARDS[0]} list different class names: shards of one set must agree"
    )


def test_a_list_may_name_variables(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPBENCH_DATA", str(data))
    given = spec([f"${{SEPBENCH_DATA}}/{name}" for name in SHARDS], "${SEPBENCH_DATA}")
    assert len(load(given.located()).train) == 12
    assert given.params["train"][0].startswith("${SEPBENCH_DATA}")


@pytest.mark.parametrize("nothing", ["", [], ["a", ""]])
def test_no_path_is_refused(nothing: Any) -> None:
    assert complaint(spec, nothing, "test") == "dataset.train: must not be empty: give at least one file"


@pytest.mark.parametrize("path", ["data\0.parquet", "\ud800.parquet", ["train-*.parquet", "\0"], "\0*"])
def test_what_no_path_can_be_is_refused(path: str | list[str], data: Path) -> None:
    (data / "train-0.parquet").touch()
    given = [f"{data}/train-0.parquet", path[1]] if isinstance(path, list) else path
    message = complaint(load, spec(given, str(data)))
    assert re.fullmatch(r"dataset.train is '\S+', which no path can be \(.+\): correct it", message)
    assert message.isprintable()


def test_shards_are_in_the_order_of_their_numbers_however_these_are_written(tmp_path: Path) -> None:
    names = [f"train-{number}-of-12.parquet" for number in range(12)]
    data = tmp_path / "data"
    data.mkdir()
    for name, array in zip(names, STORED, strict=True):
        write_parquet(data / name, [encoded(array)], [0], NAMES[:1])
    write_parquet(data / "test.parquet", [encoded(STORED[0])], [0], NAMES[:1])
    np.testing.assert_array_equal(as_stored(load(spec(str(data), str(data))).train), STORED)


@pytest.mark.parametrize("wrong", [datetime.date(2026, 1, 1), True, 3, None, ["a", 3], {"a": "b"}])
def test_what_is_no_path_is_refused(wrong: Any) -> None:
    assert complaint(spec, wrong, "test").startswith("dataset.train: must be a path or a list of paths")


def test_a_shard_that_is_a_link_to_nowhere_is_not_left_out(tmp_path: Path) -> None:
    data = write_shards(tmp_path / "data", ["train-0.parquet"])
    (data / "train-1.parquet").symlink_to("/gone/blob")
    for given in (str(data), f"{data}/train-*"):
        assert complaint(load, spec(given, str(data))).startswith(
            f"dataset.train is {data}/train-1.parquet, and there is no such file where this link points, /gone/blob"
        )


def test_a_folder_that_is_called_like_a_file_is_read_as_what_it_is(tmp_path: Path) -> None:
    """As Spark writes them."""
    for part in ("train", "test"):
        folder = write_shards(tmp_path / f"{part}.parquet", ["part-00000-c000.snappy.parquet"])
        (folder / "test-00000-of-00001.parquet").unlink()
        (folder / "_SUCCESS").touch()
    for pattern in ("train.parquet", "tr*.parquet", "tr*"):
        splits = load(spec(f"{tmp_path}/{pattern}", f"{tmp_path}/test.parquet"))
        assert (len(splits.train), len(splits.test)) == (4, 4)


def test_a_folder_of_folders_is_answered_with_these(tmp_path: Path) -> None:
    (tmp_path / "label=cat").mkdir()
    assert "a folder without .parquet files: it has label=cat/; correct the path" in complaint(
        load, spec(str(tmp_path), str(tmp_path))
    )
