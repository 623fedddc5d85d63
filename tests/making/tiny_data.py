"""Small data sets for the tests of `bench.data`."""

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from bench.core.errors import SepbenchError
from bench.data.images import ImageSet
from bench.data.spec import DatasetSpec

LABELS = [0, 1, 2, 1, 0, 2, 2, 0]


def pixels(n: int, seed: int = 0, side: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def encoded(array: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG", **options)
    return buffer.getvalue()


def write_parquet(
    path: Path, images: Sequence[bytes], labels: Sequence[int], names: Sequence[str] | None = None
) -> Path:
    """Write the Hugging Face layout, three rows a row group."""
    table = pa.table({"image": [{"bytes": data, "path": "x.png"} for data in images], "label": labels})
    if names is not None:
        features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": names}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path, row_group_size=3)
    return path


def pets(folder: Path) -> dict[str, Any]:
    """Write a data set of 8 training and 4 test images of 3 classes; return its mapping."""
    names = ["cat", "dog", "frog"]
    train = write_parquet(folder / "train.parquet", [encoded(x) for x in pixels(8)], LABELS, names)
    test = write_parquet(folder / "test.parquet", [encoded(x) for x in pixels(4, seed=1)], [2, 0, 1, 1], names)
    return {"name": "pets", "format": "parquet", "train": str(train), "test": str(test)}


def spec_of(mapping: dict[str, Any], **changes: Any) -> DatasetSpec:
    return DatasetSpec.parse({**mapping, **changes})


def as_stored(images: ImageSet) -> np.ndarray:
    """Return the images as uint8 [N, H, W, 3]."""
    stored: np.ndarray = images.images.permute(0, 2, 3, 1).numpy()
    return stored


def complaint(action: Callable[..., object], *arguments: Any, **options: Any) -> str:
    """Return the sentence with which `action` refuses."""
    with pytest.raises(SepbenchError) as caught:
        action(*arguments, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message
