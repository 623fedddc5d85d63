"""Images as the Hugging Face Hub has them: Parquet shards of PNGs and labels, with the names of the classes."""

import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from torch import Tensor

from bench.core.errors import SepbenchError
from bench.data.images import ImageSet

_SHARD_BYTES = 2**28
_ROW_GROUP_BYTES = 2**24


def shards(images: ImageSet, split: str) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a split: their names, as `train-00000-of-00002.parquet`, and what they hold.

    The column `image` is a struct of `bytes`, a PNG, and `path`, which is the position of the image in the split as
    seven or more digits with `.png`; `label` is int64. The schema's metadata say what both are, as `datasets` writes
    them. A shard holds as many images as have 256 MiB of pixels.

    Raises `SepbenchError` where two classes have one name, which `datasets` does not read.
    """
    schema = _schema(images.classes)
    each = images.images[0].numel()
    size = max(1, _SHARD_BYTES // each)
    starts = range(0, len(images), size)
    for number, start in enumerate(starts):
        part = images.images[start : start + size]
        rows = [{"bytes": _png(image), "path": f"{start + n:07d}.png"} for n, image in enumerate(part)]
        table = pa.table([rows, images.labels[start : start + size].numpy()], schema=schema)
        file = io.BytesIO()
        pq.write_table(table, file, row_group_size=max(1, _ROW_GROUP_BYTES // each))
        yield f"{split}-{number:05d}-of-{len(starts):05d}.parquet", file.getvalue()


def _schema(classes: Sequence[str]) -> Any:
    repeated = sorted({name for name in classes if classes.count(name) > 1})
    if repeated:
        raise SepbenchError(
            f"two classes are called '{repeated[0]}', and the Hub's ClassLabel takes each name once: rename one in the "
            f"data set"
        )
    features = {"image": {"_type": "Image"}, "label": {"names": list(classes), "_type": "ClassLabel"}}
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    described = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema({"image": image, "label": pa.int64()}, metadata=described)


def _png(image: Tensor) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, "PNG")
    return file.getvalue()
