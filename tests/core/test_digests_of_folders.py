"""The digest of a folder tells of all that is in it, or says what it cannot tell of."""

import os
from pathlib import Path

import pytest

from bench.core.digests import Digests
from bench.core.errors import SepbenchError
from bench.core.paths import content_digest, is_there


def filled(folder: Path) -> Path:
    (folder / "sub").mkdir(parents=True)
    (folder / "one").write_text("1")
    (folder / "sub" / "two").write_text("2")
    return folder


def test_what_lies_behind_a_link_counts(tmp_path: Path) -> None:
    root, elsewhere = filled(tmp_path / "root"), filled(tmp_path / "elsewhere")
    (root / "link").symlink_to(elsewhere)
    before = content_digest(root)
    (elsewhere / "sub" / "two").write_text("3")
    assert content_digest(root) != before


def test_where_it_lies_does_not_count(tmp_path: Path) -> None:
    assert content_digest(filled(tmp_path / "a")) == content_digest(filled(tmp_path / "b" / "c"))


def test_a_link_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    (filled(tmp_path / "root") / "gone").symlink_to(tmp_path / "nowhere")
    with pytest.raises(SepbenchError, match="root/gone cannot be read"):
        content_digest(tmp_path / "root")
    with pytest.raises(SepbenchError, match="root/gone cannot be read"):
        Digests(tmp_path / "known")(tmp_path / "root")


def test_a_link_that_leads_back_is_refused(tmp_path: Path) -> None:
    (filled(tmp_path / "root") / "sub" / "back").symlink_to(tmp_path / "root")
    with pytest.raises(SepbenchError, match="root/sub/back leads back to a folder that it lies in: remove the link"):
        content_digest(tmp_path / "root")


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, listed = filled(tmp_path / "root"), os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(SepbenchError, match=r"root/sub cannot be read \(Permission denied\): make it readable"):
        content_digest(root)


def test_a_path_that_cannot_be_looked_at_is_neither_there_nor_not(tmp_path: Path) -> None:
    assert is_there(tmp_path)
    assert not is_there(tmp_path / "gone")
    assert not is_there(filled(tmp_path / "root") / "one" / "below a file")
    with pytest.raises(SepbenchError, match=r"cannot be reached \(File name too long\): correct its rights"):
        is_there(tmp_path / ("x" * 5000))
