"""What lies in place of a Parquet file, or of another format's, is named with what to do."""

import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq

from bench.data.loading import load
from bench.data.spec import DatasetSpec
from tests.making.parquet_tables import IMAGES, LABELS, STORED
from tests.making.tiny_data import complaint


def test_what_stands_in_place_of_a_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    spec = DatasetSpec.parse({"name": "x", "format": "parquet", "train": str(path), "test": str(path)})
    for content, says in (
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            "is a Git LFS pointer, not the data: fetch it with",
        ),
        (b"<!DOCTYPE html><html>", "is an HTML page, perhaps a login or error page saved by the download"),
        (b"", "is empty (0 bytes): replace it"),
        (b"\x1f\x8b\x08", "is a gzip archive: unpack it, and give what was in it"),
    ):
        path.write_bytes(content)
        assert complaint(load, spec).startswith(f"{path} {says}")


def test_data_in_another_format_is_named_with_what_to_set(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": IMAGES, "label": LABELS}), tmp_path / "x.parquet")
    np.savez(tmp_path / "x.npz", images=STORED, labels=LABELS)
    feather.write_feather(pa.table({"label": LABELS}), tmp_path / "x.arrow", compression="uncompressed")
    with pa.ipc.new_stream(tmp_path / "data-00000-of-00001.arrow", pa.schema([("label", pa.int64())])) as stream:
        stream.write_table(pa.table({"label": LABELS}))
    (tmp_path / "batch.pkl").write_bytes(pickle.dumps({"data": STORED}))
    for format_, name, says in (
        ("npz", "x.parquet", "is a Parquet file: set dataset.format to parquet"),
        ("imagefolder", "x.parquet", "is a Parquet file: set dataset.format to parquet"),
        ("parquet", "x.npz", "is a NumPy archive: set dataset.format to npz"),
        ("parquet", "x.arrow", "is an Arrow file: save it as Parquet"),
        ("parquet", "data-00000-of-00001.arrow", "is an Arrow file: save it as Parquet"),
        ("npz", "batch.pkl", "is a Python pickle: save its arrays with numpy.savez"),
    ):
        path = str(tmp_path / name)
        spec = DatasetSpec.parse({"name": "x", "format": format_, "train": path, "test": path})
        assert complaint(load, spec).removeprefix("dataset.train must be a folder, and ").startswith(f"{path} {says}")


def test_a_short_text_in_place_of_data_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("Entry not found\n")
    for format_, kind in (("parquet", "Parquet"), ("npz", "an archive of plain arrays")):
        spec = DatasetSpec.parse({"name": "x", "format": format_, "train": str(path), "test": str(path)})
        assert complaint(load, spec).startswith(f"{path} cannot be read as {kind} (it is text, 'Entry not found'): ")
