"""Runs that failed or were never made are said, and without those that it rests on there is no verdict."""

from bench.read.tables import CellId
from bench.read.verdict import Outcome, verdict
from bench.spec.names import NOTHING
from tests.making.records import record
from tests.making.verdicts import judged, reached, row, text_of


def test_without_a_clean_ceiling_nothing_can_be_said() -> None:
    found = judged(reached([10.0]))
    assert found.outcome is Outcome.UNKNOWN
    assert "plain training on the clean images was not measured" in found.headline


def test_a_clean_ceiling_that_failed_is_told_from_one_that_was_not_measured() -> None:
    found = judged(reached([10.0], [None]))
    assert found.outcome is Outcome.UNKNOWN
    assert "plain training on the clean images failed" in found.headline


def test_without_plain_training_on_protected_images_nothing_can_be_said() -> None:
    found = judged(reached([], [90.0]), reached([40.0], [88.0], "grayscale"))
    assert found.headline == "Nothing can be said: plain training on the protected images was not measured."
    assert row(found.text(), "Grayscale")[:2] == ["40.0", "88.0"]


def test_no_records_at_all_are_a_verdict_too() -> None:
    found = verdict([])
    assert found.outcome is Outcome.UNKNOWN
    assert found.text() == (
        "**Does the protection hold?**\n\nNothing can be said: there is no finished victim of protected images.\n"
    )


def test_failed_runs_are_counted_and_named() -> None:
    text = text_of(reached([10.0], [90.0]), reached([None], [88.0], "jpeg-10"))
    assert "1 of 4 runs failed and are left out (protected images, resnet8, jpeg-10, seed 0: it fell)." in text
    assert row(text, "JPEG") == [NOTHING, "88.0", ""]


def test_runs_that_were_never_made_are_counted() -> None:
    done = reached([10.0], [90.0])
    planned = [CellId.of(one) for one in [*done, record(defense="jpeg-10"), record(method="none", defense="jpeg-10")]]
    assert "2 of 4 runs are missing." in verdict(done, planned).paragraph


def test_of_a_run_that_was_made_again_the_one_that_worked_counts() -> None:
    failed = record(status="failed", reason="it fell", started="2024-05-03T12:00:00+00:00")
    older = record(test_acc=80.0, started="2024-05-01T12:00:00+00:00")
    newer = record(test_acc=10.0, started="2024-05-02T12:00:00+00:00")
    text = verdict([failed, newer, older, *reached([], [90.0])]).text()
    assert row(text, "Plain training")[0] == "10.0"
    assert "failed" not in text
