"""A home, results or records that cannot be used are answered with the folder or file and what to do."""

import json
import shutil
from pathlib import Path

import pytest

from tests.making.asking import Finished, ask, refusal, write
from tests.making.experiments import TINY

pytestmark = pytest.mark.usefixtures("own_place")


@pytest.fixture
def blocked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a home that nobody can write to, root neither: it lies below a regular file."""
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("SEPBENCH_HOME", str(tmp_path / "file" / "home"))
    return tmp_path / "file" / "home"


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_home_that_cannot_be_written_to_is_named(command: str, blocked: Path) -> None:
    message = refusal(command, write(TINY))
    assert message.startswith(f"cannot write to {blocked}")
    assert message.endswith("a file stands where a folder should be: move it, or set SEPBENCH_HOME to another folder")
    assert (blocked.parent).read_text() == "no folder"


def test_what_only_reads_finds_nothing_in_such_a_home(blocked: Path) -> None:
    assert f"no record or artifact in {blocked} has a key" in refusal("show", "abcdef012345")
    assert "has no experiment 'tiny': run it first" in refusal("table", write(TINY))
    assert ask("sync").code == 0


def test_results_that_cannot_be_written_are_noticed_before_the_work(finished: Finished, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    for folder in (blocked, blocked / "results"):
        message = refusal("run", "tiny.yaml", "--force", "victim", "--results", folder)
        assert message.startswith(f"cannot write to {folder} (")
        assert message.endswith("move it, or set --results to another folder")


def test_a_table_before_any_run_says_what_to_do(tmp_path: Path) -> None:
    assert refusal("table", write(TINY)) == (
        f"MLflow at sqlite:///{tmp_path}/home/mlflow.db has no experiment 'tiny': run it first, or read records "
        f"without MLflow by --records DIR"
    )
    assert refusal("table", "tiny.yaml", "--records", "gone") == "no records at gone: the folder does not exist"
    Path("empty").mkdir()
    assert refusal("table", "tiny.yaml", "--records", "empty") == (
        "there are no records of tiny as asked for in empty: run it first"
    )


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("test_acc", "high", "test_acc: must be a number, not 'high'"),
        ("seed", 0.5, "seed: must be a whole number, not 0.5"),
        ("status", "finished", "status: must be 'done' or 'failed', not 'finished'"),
        ("key", 5, "key: must be text, not 5"),
        ("key", None, "key: must be text, and nothing is given"),
        ("test_ac", 5.0, "test_ac: there is no such field; did you mean test_acc"),
    ],
    ids=lambda value: None,
)
def test_a_record_with_a_wrong_field_is_named_with_it(
    field: str, value: object, says: str, finished: Finished, tmp_path: Path
) -> None:
    shutil.copytree(finished.results / "records", tmp_path / "records")
    path = tmp_path / "records" / "tiny" / f"{finished.keys[1]}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    message = refusal("table", "tiny.yaml", "--records", tmp_path / "records")
    assert message.startswith(f"{path} is not a valid record: {says}")
    assert message.endswith(": repair or remove it")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", "this is not JSON ("),
        (b"\xff\xfe", "this is not JSON ("),
        (b"", "this is not JSON ("),
        (b"[]", "must be a mapping of fields, not []"),
        (b"{}", "key: this field is missing"),
    ],
    ids=lambda value: None,
)
def test_a_file_that_is_no_record_is_named(content: bytes, says: str) -> None:
    Path("records").mkdir()
    Path("records/a.json").write_bytes(content)
    message = refusal("table", write(TINY), "--records", "records")
    assert message.startswith(f"records/a.json is not a valid record: {says}")
    assert message.endswith(": repair or remove it")


def test_a_key_that_nothing_has_is_answered_with_where_to_find_keys(tmp_path: Path) -> None:
    assert refusal("show", "abcdef012345") == (
        f"no record or artifact in {tmp_path}/home has a key that starts with abcdef012345: "
        f"sepbench table EXPERIMENT --format json lists the keys behind a table"
    )
    assert refusal("show", "abcdef012345", "--records", "gone") == "no records at gone: the folder does not exist"


def test_a_key_that_several_records_share_asks_for_more_of_it(finished: Finished, tmp_path: Path) -> None:
    record = json.loads((finished.results / "records" / "tiny" / f"{finished.keys[0]}.json").read_text())
    for end in "12":
        (tmp_path / f"abcdef{end}000.json").write_text(json.dumps({**record, "key": f"abcdef{end}000"}))
    assert refusal("show", "abcdef", "--records", tmp_path) == (
        "2 keys start with abcdef: give more of it, such as abcdef1000"
    )
    assert json.loads(ask("show", "abcdef2", "--records", tmp_path).out)["key"] == "abcdef2000"
