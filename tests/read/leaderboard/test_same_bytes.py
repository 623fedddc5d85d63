"""One result stands once, whatever names it has."""

from typing import Any

from bench.read.leaderboard.rows import Row, rows_of
from bench.record.record import Record
from tests.making.submissions import submissions


def crafted(digest: str, accuracies: list[float], **changes: Any) -> list[Record]:
    return submissions(accuracies, protected_sha256=digest * 64, **changes)


def rows(*records: Record) -> dict[str, Row]:
    return {row.parameters: row for row in rows_of(records)}


def test_settings_that_made_the_same_bytes_are_one_row_under_the_one_nearest_to_the_default() -> None:
    usual = crafted("1", [10.0, 11.0], method_params={})
    same = crafted("1", [10.0, 11.0], method_params={"precision": "fp32"})
    found = rows(*same, *usual)
    assert set(found) == {""}
    assert found[""].n == 2
    assert "the same bytes with precision=fp32" in found[""].marks


def test_a_run_that_only_one_of_them_has_counts_too() -> None:
    usual = crafted("1", [10.0, 11.0], method_params={})
    same = crafted("1", [10.0, 11.0, 12.0], method_params={"precision": "fp32"})
    assert rows(*usual, *same)[""].n == 3


def test_a_set_that_was_crafted_on_two_machines_is_that_of_either() -> None:
    usual = [*crafted("1", [10.0], method_params={}), *crafted("2", [10.0, 11.0], method_params={})[1:]]
    same = crafted("1", [10.0, 11.0], method_params={"precision": "fp32"})
    assert set(rows(*usual, *same)) == {""}
    assert set(rows(*usual, *crafted("3", [10.0], method_params={"precision": "fp32"}))) == {"", "precision=fp32"}


def test_other_bytes_are_another_row_and_so_is_what_does_not_tell_its_bytes() -> None:
    usual = crafted("1", [10.0, 11.0], method_params={})
    other = crafted("2", [10.0, 11.0], method_params={"precision": "bf16"})
    silent = submissions([10.0, 11.0], method_params={"precision": "fp32"})
    assert set(rows(*usual, *other, *silent)) == {"", "precision=bf16", "precision=fp32"}


def test_settings_that_agree_in_one_replicate_alone_stay_apart() -> None:
    def replicates(digests: str, **params: Any) -> list[Record]:
        made = [crafted(digest, [10.0], craft_seed=i, method_params=params) for i, digest in enumerate(digests)]
        return [one for own in made for one in own]

    assert len(rows(*replicates("12"), *replicates("13", precision="fp32"))) == 2
    assert len(rows(*replicates("12"), *replicates("12", precision="fp32"))) == 1


def test_other_methods_stay_rows_of_their_own() -> None:
    assert len(rows_of([*crafted("1", [10.0]), *crafted("1", [10.0], method="em")])) == 2
