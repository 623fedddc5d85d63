"""Parquet and npz come out as what they came in, and are judged like folders."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from bench.core.errors import SepbenchError
from bench.flows.carry_out import Means, silent, workplace
from bench.flows.does_it_hold import judge, plan_check
from tests.making.pictures import file_of, photo
from tests.making.protections import CPU, carried_out, planned
from tests.making.tiny_data import write_parquet

pytestmark = pytest.mark.slow

LABELS = [0, 1] * 5


def images() -> np.ndarray:
    return np.stack([photo(16, 16, seed=number) for number in range(10)])


def npz(folder: Path) -> Path:
    np.savez(folder / "pets.npz", images=images(), labels=LABELS)
    return folder / "pets.npz"


def parquet(folder: Path) -> Path:
    return write_parquet(folder / "pets.parquet", [file_of(image) for image in images()], LABELS, ["cat", "dog"])


def read_npz(file: Path) -> np.ndarray:
    with np.load(file) as archive:
        assert archive["labels"].tolist() == LABELS
        return np.asarray(archive["images"])


def read_parquet(file: Path) -> np.ndarray:
    table = pq.read_table(file)
    assert table["label"].to_pylist() == LABELS
    return np.stack([np.asarray(Image.open(io.BytesIO(one["bytes"]))) for one in table["image"].to_pylist()])


@pytest.mark.parametrize(("write", "read"), [(npz, read_npz), (parquet, read_parquet)])
def test_what_came_in_one_file_comes_out_in_one_of_the_same_name(
    write: Callable[[Path], Path], read: Callable[[Path], np.ndarray], tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    file = write(tmp_path / "in")
    before = file.read_bytes()
    protection = planned(file, tmp_path / "home")
    made = carried_out(protection, tmp_path / "out")
    assert file.read_bytes() == before
    protected = read(tmp_path / "out" / file.name)
    change = np.abs(protected.astype(int) - images().astype(int))
    assert 0 < change.max() <= 8
    assert change.reshape(10, -1).max(1).tolist() == [one["linf"] for one in made.manifest["files"]]
    whole = (tmp_path / "out" / file.name).read_bytes()
    assert made.manifest["archives"] == [
        {
            "name": file.name,
            "file": file.name,
            "sha256_in": hashlib.sha256(before).hexdigest(),
            "sha256_out": hashlib.sha256(whole).hexdigest(),
        }
    ]
    (tmp_path / "out" / file.name).write_bytes(whole[:-1] + b"?")
    assert carried_out(protection, tmp_path / "out").manifest["files"] == made.manifest["files"]
    np.testing.assert_array_equal(read(tmp_path / "out" / file.name), protected)
    evaluation = plan_check(protection, tmp_path / "out")
    with workplace(evaluation.plan, Means(protection.home, CPU, mlflow=False, display=silent)) as place:
        held = judge(evaluation, place)
    assert "2 clean test images" in held.table  # a fifth of five of each class


def test_arrays_beside_the_same_images_are_not_those_of_before(tmp_path: Path) -> None:
    file = npz(tmp_path)
    carried_out(planned(file, tmp_path / "home"), tmp_path / "out")
    np.savez(file, images=images(), labels=LABELS, captions=np.arange(10))
    protection = planned(file, tmp_path / "home")
    with pytest.raises(SepbenchError, match="is not empty"):
        carried_out(protection, tmp_path / "out")
    carried_out(protection, tmp_path / "again")
    with np.load(tmp_path / "again/pets.npz") as archive:
        assert archive["captions"].tolist() == list(range(10))
