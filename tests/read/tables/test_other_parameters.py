"""A table says with which parameters its methods ran, where the rows leave it out."""

from typing import Any

from bench.contracts.method import METHODS
from bench.read.tables import build
from bench.record.record import Record
from bench.spec.layout import TableLayout
from tests.making.records import runs


def ran(method: str, **changed: Any) -> list[Record]:
    params = METHODS.get(method).Params.model_validate(changed).model_dump(mode="json")
    return runs([40.0, 41.0], method=method, method_params=params)


def said(*records: Record) -> list[str]:
    return list(build(records, TableLayout()).settings)


def test_parameters_that_are_not_the_defaults_are_named() -> None:
    assert said(*ran("em-online", steps=1000), *ran("pil"), *ran("tap", restarts=1, steps=100)) == [
        "Other than by default: em-online (steps=1000); tap (steps=100, restarts=1)."
    ]


def test_nothing_is_said_of_defaults() -> None:
    assert said(*ran("em"), *ran("sep"), *ran("none")) == []


def test_what_tells_rows_apart_stands_there_alone() -> None:
    rows = [record for checkpoints in (3, 30) for record in ran("sep", checkpoints=checkpoints, steps=10)]
    assert said(*rows) == ["Other than by default: sep (steps=10)."]


def test_of_a_method_of_somebody_else_what_its_records_tell_counts() -> None:
    own = runs([40.0], method="mine", method_params={"a": 1, "b": 2})
    assert said(*own) == []
    plugins = {"method mine": {"package": "theirs", "sha256": "0" * 64, "defaults": {"a": 1, "b": 1}}}
    told = [record.model_copy(update={"plugins": plugins}) for record in own]
    assert told[0].method_defaults == {"a": 1, "b": 1}
    assert said(*told) == ["Other than by default: mine (b=2)."]
