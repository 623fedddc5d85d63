"""Four images and their labels as tables, and what is read of these from Parquet files."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.data.images import Splits
from bench.data.loading import load
from bench.data.spec import DatasetSpec
from tests.making.tiny_data import encoded, pixels

STORED = pixels(4)
IMAGES = [encoded(x) for x in STORED]
LABELS = [1, 0, 1, 0]
READS_MISSING_LISTS = int(pa.__version__.partition(".")[0]) >= 26
"""Whether pyarrow reads a column of lists of one size in which one is missing: earlier ones refuse all of it."""
STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def structs(images: list[Any] = IMAGES) -> Any:
    return pa.array([{"bytes": data, "path": "x.png"} for data in images], STRUCT)


def read(table: Any, folder: Path, test: Any = None, **changes: Any) -> Splits:
    """Load the table as training and, without another one, as test set."""
    try:
        pq.write_table(table, folder / "train.parquet")
    except pa.ArrowNotImplementedError as error:  # before pyarrow 21
        pytest.skip(f"pyarrow {pa.__version__} writes no such column: {error}")
    pq.write_table(table if test is None else test, folder / "test.parquet")
    paths = {"train": str(folder / "train.parquet"), "test": str(folder / "test.parquet")}
    return load(DatasetSpec.parse({"name": "x", "format": "parquet", **paths, **changes}))


def described(table: Any, features: Any) -> Any:
    return table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
