"""The columns of Parquet files are found by themselves where they are called as on the Hub, else by their names."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.making.parquet_tables import IMAGES, LABELS, STORED, described, read, structs
from tests.making.tiny_data import as_stored, complaint


@pytest.mark.parametrize(
    "names",
    [("img", "label"), ("img", "fine_label", "coarse_label"), ("image", "labels"), ("image", "label", "labels")],
)
def test_the_columns_of_the_hub_are_found_by_themselves(names: tuple[str, ...], tmp_path: Path) -> None:
    columns = [structs(), LABELS, [0] * 4]
    table = described(pa.table(dict(zip(names, columns, strict=False))), {names[1]: {"names": ["ant", "bee"]}})
    train = read(table, tmp_path).train
    np.testing.assert_array_equal(as_stored(train), STORED)
    assert train.labels.tolist() == LABELS
    assert train.classes == ("ant", "bee")


def test_columns_that_are_named_are_not_guessed(tmp_path: Path) -> None:
    table = pa.table({"img": structs(), "fine_label": LABELS, "labels": LABELS})
    advice = "has no column 'label': it has img, fine_label, labels; name the right one as dataset.label"
    assert advice in complaint(read, table, tmp_path)
    assert "has no column 'kind'" in complaint(read, table, tmp_path, label="kind")
    assert "has no column 'picture'" in complaint(read, table, tmp_path, image="picture", label="labels")


def test_a_column_that_is_there_twice_is_refused_only_where_it_is_wanted(tmp_path: Path) -> None:
    twice = pa.Table.from_arrays([structs(), pa.array(LABELS), pa.array([0] * 4)], names=["image", "label", "label"])
    assert complaint(read, twice, tmp_path) == (
        f"{tmp_path}/train.parquet has 2 columns called 'label': rename or drop all but one"
    )
    other = pa.Table.from_arrays(
        [structs(), pa.array(LABELS), *[pa.array([0] * 4)] * 2], names=["image", "label", "k", "k"]
    )
    assert read(other, tmp_path).train.labels.tolist() == LABELS


def test_a_dot_is_part_of_a_name_or_leads_into_a_struct(tmp_path: Path) -> None:
    wanted = {"image": "data.image", "label": "data.label"}
    dotted = pa.table({"data.image": structs(), "data.label": LABELS, "data.label.raw": [0] * 4})
    nested = pa.table({"data": pa.StructArray.from_arrays([structs(), pa.array(LABELS)], ["image", "label"])})
    both = dotted.append_column("data", nested["data"])
    for table in (dotted, nested, both):
        train = read(table, tmp_path, **wanted).train
        np.testing.assert_array_equal(as_stored(train), STORED)
        assert train.labels.tolist() == LABELS
    named = described(nested, {"data": {"label": {"names": ["ant", "bee"]}}})
    assert read(named, tmp_path, **wanted).train.classes == ("ant", "bee")


def test_a_file_as_pandas_writes_it_is_read(tmp_path: Path) -> None:
    frame = pd.DataFrame({"image": IMAGES, "label": ["bee", "ant", "bee", "ant"]}, index=list("wxyz"))
    frame.to_parquet(tmp_path / "x.parquet")
    assert read(pq.read_table(tmp_path / "x.parquet"), tmp_path).train.classes == ("ant", "bee")
