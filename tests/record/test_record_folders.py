"""Records that cannot be read are named: a table that leaves them out would tell something else."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import SepbenchError
from bench.record.record import read_records
from tests.making.records import record


def test_records_of_all_depths_are_read_in_the_order_of_their_paths(tmp_path: Path) -> None:
    for name in ("b.json", "a/z.json", "a.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(record(key=name).to_json())
    assert [one.key for one in read_records(tmp_path)] == ["a/z.json", "b.json"]


def test_a_folder_of_records_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def scandir(path: Any) -> Any:
        if Path(path).name == "locked":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return listing(path)

    (tmp_path / "locked").mkdir()
    (tmp_path / "a.json").write_text(record().to_json())
    listing = os.scandir
    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(SepbenchError) as refused:
        read_records(tmp_path)
    assert str(refused.value) == (
        f"{tmp_path}/locked cannot be read (Permission denied): make it readable or remove it"
    )
