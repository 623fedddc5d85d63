"""`sepbench verify` runs a record's cell again: the same bits end with 0, others with 1, what cannot be run with 2."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.flows.verify import Verification
from bench.record.provenance import processor_name
from bench.record.record import Record, read_records
from bench.store.artifacts import Store
from tests.making.asking import Finished, ask, changed, done, refusal, write
from tests.making.experiments import TINY
from tests.making.records import record as made

OF_TINY = ("--experiment", "tiny.yaml", "--devices", "cpu")


@pytest.fixture
def record(finished: Finished) -> Record:
    """The record of sep."""
    (found,) = (one for one in read_records(finished.results / "records") if one.method == "sep")
    return found


@pytest.fixture
def altered(record: Record, tmp_path: Path) -> Callable[..., tuple[str, str, str]]:
    """Write the record with changed fields to a folder of its own; return the request that verifies that one."""

    def write_record(**fields: Any) -> tuple[str, str, str]:
        folder = tmp_path / "altered"
        folder.mkdir()
        made = record.model_copy(update=fields)
        (folder / f"{made.key}.json").write_text(made.to_json())
        return made.key, "--records", str(folder)

    return write_record


def files(home: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in home.rglob("*") if path.is_file()}


def test_a_record_comes_out_again_with_the_same_bits(finished: Finished, record: Record) -> None:
    before = files(finished.home)
    answer = ask("verify", record.key[:12], *OF_TINY)
    assert answer.code == 0, answer.err
    assert f"{record.key[:12]}, sep resnet8 plain seed 0, of tiny, was run again; " in answer.out
    assert "its protected set was of the home.\nSame: all 17 numbers and digests are equal" in answer.out
    assert "surrogate" not in answer.err, "the protected set that is there has the recorded digest"
    assert files(finished.home) == before


def test_a_record_tells_the_machine_that_trained_and_the_one_that_crafted(record: Record) -> None:
    assert record.crafted_on == record.processor == processor_name()


def test_a_record_comes_out_again_from_scratch(record: Record) -> None:
    answer = ask("verify", record.key, *OF_TINY, "--from-scratch")
    assert answer.code == 0, answer.out
    assert "its protected set was made anew.\nSame: " in answer.out
    assert "surrogate resnet8" in answer.err


def test_what_differs_is_named_with_what_may_be_the_cause(
    altered: Callable[..., tuple[str, str, str]], record: Record
) -> None:
    request = altered(test_acc=99.5, l2=1.0, torch="1.0.0", deterministic=False, device="some GPU")
    answer = ask("verify", *request, *OF_TINY)
    assert answer.code == 1, answer.err
    assert f"  test_acc: 99.5 recorded, {record.test_acc} now\n  l2: 1.0 recorded, {record.l2} now\n" in answer.out
    assert "it was made on some GPU, which rounds differently" in answer.out
    assert f"another torch: 1.0.0 there, {record.torch} here" in answer.out
    assert "train_acc" not in answer.out


@pytest.mark.parametrize(
    ("then", "causes"),
    [
        ({"threads": 3}, ["another number of threads: 3 there, 1 here; OMP_NUM_THREADS fixes it"]),
        (
            {"threads": None, "processor": "Some 486"},
            [
                f"another model of the processor: Some 486 there, {processor_name()} here, which rounds otherwise",
                "what its record does not tell: the number of threads changes the last bits of sums",
            ],
        ),
        (
            {"threads": None, "processor": None},
            [
                "what its record does not tell: the number of threads and the model of the processor change the last "
                "bits of sums"
            ],
        ),
        ({"device": "Some GPU", "threads": None, "processor": None}, ["another device: Some GPU there, cpu here"]),
    ],
)
def test_causes_are_what_the_records_tell_and_what_they_do_not(
    altered: Callable[..., tuple[str, str, str]], then: dict[str, Any], causes: list[str]
) -> None:
    answer = ask("verify", *altered(test_acc=99.5, **then), *OF_TINY, "--json")
    reasons = json.loads(answer.out)["reasons"]
    assert [one for one in reasons if "had been changed since" not in one] == causes


@pytest.mark.parametrize(
    ("digest", "machine", "told"),
    [("2" * 64, "Some GPU", True), ("1" * 64, "Some GPU", False), ("2" * 64, None, False), ("2" * 64, "A 486", False)],
)
def test_where_a_protected_set_was_crafted_is_a_cause_where_it_came_out_otherwise(
    digest: str, machine: str | None, told: bool
) -> None:
    one = made(test_acc=50.0, protected_sha256="1" * 64, crafted_on="A 486")
    reasons = Verification(one, made(protected_sha256=digest, crafted_on=machine), reused=False).reasons
    cause = "its protected set was crafted on another machine: A 486 there, Some GPU here"
    assert (cause in reasons) is told
    assert any("crafted on another machine" in reason for reason in reasons) is told


def test_where_two_records_tell_of_no_difference_that_is_said() -> None:
    (reason,) = Verification(made(test_acc=50.0), made(test_acc=51.0), reused=True).reasons
    assert reason.startswith("nothing that they tell: one of them drew from no seed, ")


def test_a_protected_set_of_another_digest_is_not_used(altered: Callable[..., tuple[str, str, str]]) -> None:
    answer = ask("verify", *altered(protected_sha256="0" * 64), *OF_TINY, "--json")
    told = json.loads(answer.out)
    assert (answer.code, told["same"], told["protected_set"]) == (1, False, "made anew")
    assert list(told["differing"]) == ["protected_sha256"]


def test_a_home_that_is_named_keeps_the_work(finished: Finished, record: Record, tmp_path: Path) -> None:
    there = tmp_path / "there"
    done("verify", record.key, *OF_TINY, "--home", there)
    assert Store(there / "store").has("victim", record.key)
    again = ask("verify", record.key, *OF_TINY, "--home", there)
    assert again.code == 0
    assert "[1/" not in again.err, "it has run"
    assert "is where the record was made" in refusal("verify", record.key, *OF_TINY, "--home", finished.home)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"train_sha256": "0" * 64}, "was made with other training images of 'digits' (digest 00000000 there, "),
        ({"test_sha256": "0" * 64}, "was made with other test images of 'digits'"),
        ({"brought": True}, "is of images that somebody brought: judge them again with sepbench evaluate"),
        ({"key": "0" * 64}, "is another result here: its experiment, a plug-in or sepbench itself"),
        ({"victim": "resnet18"}, "tiny has no cell like that of"),
    ],
)
def test_a_record_that_cannot_be_run_here_is_refused(
    fields: dict[str, Any], says: str, altered: Callable[..., tuple[str, str, str]]
) -> None:
    assert says in refusal("verify", *altered(**fields), *OF_TINY)


def test_wrong_requests_are_refused(finished: Finished, record: Record, tmp_path: Path) -> None:
    assert "the experiment 'tiny' did not come with sepbench" in refusal("verify", record.key)
    assert "no record has a key that starts with ffffffff" in refusal("verify", "ffffffff", *OF_TINY)
    assert "is too short for a key" in refusal("verify", record.key[:5], *OF_TINY)
    assert "there is no experiment file other.yaml" in refusal("verify", record.key, "--experiment", "other.yaml")
    where = refusal("verify", record.key, *OF_TINY, "--set", "recipe.epochs=3")
    assert "verify takes only where the data lies" in where
    file = write(changed(TINY, "epochs: 2", "epochs: 3"), str(tmp_path / "longer.yaml"))
    assert "is another result here" in refusal("verify", record.key, "--experiment", file)
