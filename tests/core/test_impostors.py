"""What stands in place of data is named, and data is not."""

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from bench.core.impostors import what_it_is
from tests.making.tiny_data import encoded, pixels

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 2400000000\n"
PAGES = [
    b"<!DOCTYPE html><title>Sign in</title>",
    b"\xef\xbb\xbf\r\n <!doctype HTML>",
    b"<html lang='en'>",
    b"<!-- cached --><HTML>",
    b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC>',
    b"<head><meta>",
]
ERRORS = [
    b'{"error": "Repository not found"}',
    b' {"message": ' + json.dumps("x" * 5000).encode() + b"}",
    b'[{"error": 404}]',
    b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
    b"<Error><Code>NoSuchKey</Code></Error>",
]


def archives() -> dict[str, bytes]:
    tar, zipped = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("train.parquet"))
    with zipfile.ZipFile(zipped, "w") as archive_:
        archive_.writestr("train/a/1.png", b"")
    return {
        "gzip": gzip.compress(b"x"),
        "bzip2": bz2.compress(b"x"),
        "xz": lzma.compress(b"x"),
        "tar": tar.getvalue(),
        "zip": zipped.getvalue(),
    }


def file_of(folder: Path, content: bytes) -> Path:
    path = folder / "data"
    path.write_bytes(content)
    return path


def test_a_git_lfs_pointer_is_named(tmp_path: Path) -> None:
    named = "is a Git LFS pointer, not the data: fetch it with git lfs pull"
    assert what_it_is(POINTER) == what_it_is(file_of(tmp_path, POINTER)) == named


@pytest.mark.parametrize("page", PAGES)
def test_a_web_page_is_named(page: bytes, tmp_path: Path) -> None:
    assert what_it_is(page) == what_it_is(file_of(tmp_path, page))
    assert (what_it_is(page) or "").startswith("is an HTML page, perhaps a login or error page")


@pytest.mark.parametrize("answer", ERRORS)
def test_an_error_that_a_server_answered_is_named(answer: bytes, tmp_path: Path) -> None:
    kind = "XML" if answer.startswith(b"<") else "JSON"
    assert (what_it_is(file_of(tmp_path, answer)) or "").startswith(
        f"is {kind}, perhaps an error that a server answered"
    )


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    assert what_it_is(b"") == what_it_is(file_of(tmp_path, b"")) == "is empty (0 bytes): replace it"


@pytest.mark.parametrize("kind", archives())
def test_an_archive_of_other_files_is_to_be_unpacked(kind: str, tmp_path: Path) -> None:
    path = file_of(tmp_path, archives()[kind])
    assert what_it_is(path) == f"is a {kind} archive: unpack it, and give what was in it"


@pytest.mark.parametrize("name", ["x.parquet.part", "x.npz.crdownload", "x.incomplete"])
def test_a_download_that_did_not_finish_is_known_by_its_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"PAR1 and no more")
    assert "a download that did not finish" in (what_it_is(path) or "")


def test_data_is_no_impostor(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", images=pixels(1))
    torch.save({"weight": torch.zeros(1)}, tmp_path / "x.pt")
    pq.write_table(pa.table({"label": [0]}), tmp_path / "x.parquet")
    (tmp_path / "x.png").write_bytes(encoded(pixels(1)[0]))
    (tmp_path / "x.svg").write_bytes(b"<?xml version='1.0'?><svg/>")
    assert {path.name: what_it_is(path) for path in tmp_path.iterdir() if what_it_is(path)} == {}


def test_a_text_of_many_comments_is_looked_at_in_no_time() -> None:
    """With one way back for each of them it would take longer than anybody waits."""
    assert what_it_is(b"<!---->" * 290 + b"x") is None


def test_what_cannot_be_looked_at_is_nothing_known(tmp_path: Path) -> None:
    assert what_it_is(tmp_path / "gone") is None
    assert what_it_is(tmp_path) is None
