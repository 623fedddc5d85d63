"""Which records stand on the leaderboard, and in which row."""

import json
import random
import re
import statistics
from pathlib import Path
from typing import Any

import pytest
import scipy.stats

from bench.cli.app import main
from bench.read.leaderboard.page import render
from bench.read.leaderboard.published_rows import published_rows
from bench.read.leaderboard.rows import Row, rows_of
from bench.record.published import Published
from tests.making.submissions import submission, submissions, write


def embedded(page: str) -> dict[str, Any]:
    """Return the data that a page carries."""
    found: dict[str, Any] = json.loads(re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page)[0])
    return found


def leaderboard(folder: Path, out: Path) -> int:
    """Run the command and return its exit code."""
    try:
        main(["leaderboard", "--records", str(folder), "--out", str(out)])
    except SystemExit as exit_:
        return int(exit_.code or 0)
    return 0


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"linf_levels": 9}, "the audit found 9 levels, beyond the budget linf-8"),
        ({"norm": "l2", "budget": 1.0, "l2": 1.01}, "the audit found 1.01 l2 norm, beyond the budget l2-1"),
        ({"norm": "l0", "budget": 1.0, "l0": 2}, "the audit found 2 changed pixels, beyond the budget l0-1"),
        ({"linf_levels": None}, "the audit of the released bytes"),
        ({"method": "none", "linf_levels": 1}, "the audit found 1 levels"),
        ({"method": "none", "norm": "linf", "budget": 8.0}, "method none adds nothing"),
        ({"budget": None}, "norm linf needs a budget"),
        ({"norm": "l7"}, "norm 'l7' is none of linf, l2, l0, unbounded"),
        ({"norm": "unbounded"}, "norm unbounded has no budget, and yet there is one"),
        ({"norm": "unbounded", "budget": None, "l0": None}, "the audit of the released bytes (linf_levels, l2, l0)"),
        ({"recipe": "mine"}, "recipe 'mine' is none of"),
        ({"recipe": "mine[epochs=5]"}, "recipe 'mine[epochs=5]' is none of"),
        ({"test_acc": None}, "test_acc is none"),
        ({"test_acc": 100.5}, "test_acc is 100.5"),
        ({"train_acc": float("inf")}, "train_acc is not a finite number"),
    ],
)
def test_a_record_against_the_rules_is_named_and_left_out(
    changes: dict[str, Any], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = submission(), submission(victim="resnet18", key="bad", **changes)
    assert leaderboard(write([good, bad], tmp_path / "records"), tmp_path / "index.html") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert str(Path("records", "bad.json")) in line
    assert complaint in line
    ours = [row for row in embedded((tmp_path / "index.html").read_text())["rows"] if row["source"] is None]
    assert [row["shared"]["key"] for row in ours] == [good.key]


def test_a_file_that_is_no_record_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write([submission()], tmp_path / "records")
    document = json.loads(submission().to_json())
    (folder / "broken.json").write_text("{")
    (folder / "extra.json").write_text(json.dumps({**document, "rank": 1}))
    assert leaderboard(folder, tmp_path / "index.html") == 1
    first, second = capsys.readouterr().err.splitlines()
    assert "broken.json" in first
    assert "extra.json" in second
    assert "rank" in second


@pytest.mark.parametrize(
    "changes",
    [
        {"recipe": "digits[epochs=5]"},
        {"norm": "l2", "budget": 1.0, "l2": 1.0 + 1e-9},
        {"method": "method-of-others", "victim": "network-of-others", "defense": "defense-of-others"},
        {"method": "cuda", "norm": None, "budget": None, "linf_levels": 255},
        {"method": "cuda", "norm": "unbounded", "budget": None, "linf_levels": 255, "l0": 1024},
        {"norm": "l0", "budget": 1000.0},
        {"status": "failed", "test_acc": None, "linf_levels": None, "reason": "out of memory"},
    ],
)
def test_a_record_within_the_rules_is_shown(changes: dict[str, Any], tmp_path: Path) -> None:
    assert leaderboard(write([submission(**changes)], tmp_path / "records"), tmp_path / "index.html") == 0
    rows = embedded((tmp_path / "index.html").read_text())["rows"]
    assert len([row for row in rows if row["source"] is None]) == 1


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_without_records_is_refused(there: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if there:
        (tmp_path / "records").mkdir()
    assert leaderboard(tmp_path / "records", tmp_path / "index.html") == 2
    assert "no records" in capsys.readouterr().err
    assert not (tmp_path / "index.html").exists()


def test_a_page_that_cannot_be_written_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write([submission()], tmp_path / "records")
    (tmp_path / "file").touch()
    assert leaderboard(folder, tmp_path / "file" / "index.html") == 2
    assert "cannot be written" in capsys.readouterr().err


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    records = [one for method in ("none", "sep", "em") for one in submissions([30, 40, 55], method=method)]
    write(records, tmp_path / "one" / "records")
    for number, record in enumerate(random.Random(0).sample(records, len(records))):
        write([record], tmp_path / "two" / "records" / str(number))
    for name in ("one", "two"):
        assert leaderboard(tmp_path / name / "records", tmp_path / name / "index.html") == 0
    one, two = ((tmp_path / name / "index.html").read_bytes() for name in ("one", "two"))
    assert one == two


def test_a_row_is_the_mean_over_victim_seeds_with_its_t_interval() -> None:
    accuracies = [12.5, 19.0, 14.25]
    (row,) = rows_of(submissions(accuracies))
    half = scipy.stats.t.ppf(0.975, 2) * statistics.stdev(accuracies) / 3**0.5
    assert (row.mean, row.half_width) == pytest.approx((15.25, half), abs=1e-6)
    assert row.n == 3
    assert row.counts == "victim seeds"


def test_with_several_crafting_replicates_those_are_counted() -> None:
    records = submissions([10, 20]) + submissions([30, 40], craft_seed=1, protected_key="another")
    (row,) = rows_of(records)
    assert (row.mean, row.n) == (25, 2)
    assert row.counts.startswith("crafting replicates")


def mean_of(row: Row) -> float:
    assert row.mean is not None
    return row.mean


@pytest.mark.parametrize(
    ("changes", "mark"),
    [
        ({"profile": "cpu"}, "profile cpu"),
        ({"overrides": ("recipe.epochs=5",)}, "recipe.epochs=5"),
        ({"protected_fraction": 0.5}, "50 % protected"),
        ({"clean_images": 1000}, "1,000 clean images besides"),
        ({"protected_classes": 4}, "first 4 classes protected and judged"),
        ({"train_sha256": "d" * 64}, "data dddddddd/bbbbbbbb"),
    ],
)
def test_what_was_done_otherwise_has_a_marked_row_of_its_own(changes: dict[str, Any], mark: str) -> None:
    plain, other = sorted(rows_of([*submissions([10, 20]), *submissions([60, 70], **changes)]), key=mean_of)
    assert (plain.mean, other.mean) == (15, 65)
    assert mark in other.marks
    assert mark not in plain.marks
    assert other.changed == ("profile" in changes or "overrides" in changes)


def test_sets_crafted_otherwise_by_two_experiments_are_not_averaged() -> None:
    other = submissions([60, 70, 80], experiment="other", protected_key="with another surrogate")
    first, second = sorted(rows_of([*submissions([10, 20]), *other]), key=mean_of)
    assert (first.mean, first.marks) == (15, ("experiment small",))
    assert (second.mean, second.marks) == (70, ("experiment other",))


def test_a_run_that_two_experiments_share_counts_once() -> None:
    (row,) = rows_of([*submissions([10, 20]), *submissions([10, 20], experiment="other")])
    assert (row.mean, row.n, len(row.runs)) == (15, 2, 2)


def test_the_last_of_two_records_of_a_run_counts_and_a_failure_never() -> None:
    first = submission(test_acc=10.0)
    again = submission(test_acc=12.0, started="2024-05-02T12:00:00+00:00")
    failed = submission(status="failed", test_acc=None, started="2024-05-03T12:00:00+00:00")
    (row,) = rows_of([again, failed, first])
    assert (row.mean, row.n, row.failed) == (12, 1, 0)


def test_a_failed_run_is_told_beside_the_number() -> None:
    (row,) = rows_of([*submissions([10, 20]), submission(seed=2, status="failed", test_acc=None, reason="killed")])
    assert (row.mean, row.n, row.failed) == (15, 2, 1)


def test_parameters_are_named_where_they_differ_from_the_defaults() -> None:
    old, new = (
        submission(method_params={"checkpoints": 5}),
        submission(seed=1, method_params={"checkpoints": 5, "steps": 30}),
    )
    (row,) = rows_of([old, new])
    assert row.parameters == "checkpoints=5"
    (unknown,) = rows_of([submission(method="method-of-others", method_params={"strength": 2.0, "start": None})])
    assert unknown.parameters == "strength=2, start=none"


def test_the_clean_reference_stands_in_every_track_that_has_its_setting() -> None:
    records = [
        submission(),
        submission(budget=16.0),
        submission(victim="resnet18", budget=32.0),
        submission(method="none", test_acc=90.0),
        submission(method="none", defense="jpeg-10", test_acc=85.0),
    ]
    data = embedded(render(rows_of(records)))
    found = {(row["method"], row["victim"], row["defense"]): row for row in data["rows"]}
    assert found["none", "resnet8", "plain"]["tracks"] == ["linf-8", "linf-16"]
    assert found["none", "resnet8", "jpeg-10"]["tracks"] == ["none"]
    assert found["sep", "resnet18", "plain"]["clean"] is None
    assert {row["clean"] for row in data["rows"] if row["method"] == "sep" and row["victim"] == "resnet8"} == {90.0}
    assert [track["name"] for track in data["tracks"]] == ["linf-8", "linf-16", "linf-32", "none"]


def test_published_numbers_have_rows_and_references_of_their_own() -> None:
    setting = ("source", "dataset", "victim", "recipe", "defense")
    fields: dict[str, Any] = dict(zip(setting, ("A paper", "digits", "resnet8", "digits", "plain"), strict=True))
    none = Published(**fields, method="none", norm=None, budget=None, test_acc=95.0, std=None, n=None, note=None)
    sep = Published(**fields, method="sep", norm="linf", budget=8, test_acc=4.5, std=0.3, n=5, note="on a GPU")
    ours = submissions([10, 20])
    data = embedded(render([*rows_of(ours), *published_rows([none, sep])]))
    means = {(row["source"], row["method"]): (row["mean"], row["half_width"], row["clean"]) for row in data["rows"]}
    assert means["A paper", "sep"] == (4.5, None, 95.0)
    assert means[None, "sep"][0::2] == (15, None)
    assert len({row["context"] for row in data["rows"]}) == 2


def test_a_published_row_names_its_parameters_and_in_what_it_is_known_to_differ() -> None:
    setting = {"source": "A paper", "dataset": "digits", "victim": "resnet8", "recipe": "digits"}
    number = {"norm": "linf", "budget": 8, "test_acc": 4.5, "std": None, "n": None, "note": None}
    sep = {"method": "sep", "method_params": "steps=9", "differs": "other constants"}
    fields = {**setting, **number, **sep, "defense": "gaussian blur, size 3, sigma 0.1"}
    (row,) = published_rows([Published.model_validate(fields)])
    assert (row.parameters, row.columns["defense"]) == ("steps=9", "gaussian blur, size 3, sigma 0.1")
    assert embedded(render([row]))["rows"][0]["differs"] == "other constants"
    (full,) = published_rows([Published.model_validate({**fields, "defense": "jpeg:quality=10"})])
    assert full.columns["defense"] == "jpeg-10"


def test_no_name_ends_the_script_that_holds_it() -> None:
    name = "</script><script>alert(1)</script><!-- & \u2028"
    page = render(rows_of([submission(method=name, victim="{{data}}")]))
    assert page.count("</script>") == 2
    assert "alert(1)</script" not in page
    assert embedded(page)["rows"][0]["method"] == name
    assert embedded(page)["rows"][0]["victim"] == "{{data}}"


def test_every_field_of_a_record_can_be_opened() -> None:
    records = submissions(
        [10, 20], psnr=31.5, n_train=200, n_test_in_train=0, threads=1, processor="a 486", crafted_on="a GPU"
    )
    (row,) = embedded(render(rows_of(records)))["rows"]
    told_elsewhere = {"status", "reason", "test_acc_per_class", "classes", "train_per_class", "test_per_class"}
    told_elsewhere |= {"plugins"}  # where there were some, in words
    told_elsewhere |= {"rounded_checkpoints"}  # where there were any
    for record, run in zip(records, row["runs"], strict=True):
        assert {**row["shared"], **run} == {
            name: value for name, value in record.model_dump(mode="json").items() if name not in told_elsewhere
        }


def test_the_page_tells_of_rounded_checkpoints() -> None:
    records = submissions([10, 20], rounded_checkpoints=True)
    (row,) = embedded(render(rows_of(records)))["rows"]
    assert row["shared"]["rounded_checkpoints"] is True


def test_the_page_names_no_other_place() -> None:
    page = render(rows_of(submissions([10, 20])))
    text = re.sub(r"(?m)^\s*// .*$|'sha256-[\w+/=]+'", "", page)  # comments, and what may stand in a digest
    assert not re.findall(r"(?:https?:)?//(?!www\.w3\.org/2000/svg)[a-z]", text)
    assert not re.findall(r'(?:src|href)="(?!#|data:)', page)


def test_all_that_is_compared_with_a_reference_near_chance_says_so() -> None:
    per_class = {"test_acc_per_class": (12.0,) * 10}
    records = [
        *submissions([12.0, 12.5], method="none", **per_class),
        *submissions([10.0, 10.1], **per_class),
        *submissions([90.0, 91.0], method="none", victim="resnet18", **per_class),
        *submissions([10.0, 10.1], victim="resnet18", **per_class),
    ]
    doubt = "clean reference at 12.2 % on 10 classes, hardly above chance (10 %)"
    found = {(row.method, row.columns["victim"]): row.marks for row in rows_of(records)}
    assert found == {
        ("none", "resnet8"): (doubt,),
        ("sep", "resnet8"): (doubt,),
        ("none", "resnet18"): (),
        ("sep", "resnet18"): (),
    }


def test_a_set_that_somebody_brought_has_a_row_of_its_own_that_says_so() -> None:
    crafted, brought = submission(), submission(method="em", brought=True, test_acc=30.0, linf_levels=8)
    page = render(rows_of([crafted, brought]))
    rows = {row["method"]: row for row in embedded(page)["rows"]}
    assert (rows["em"]["marks"], rows["sep"]["marks"]) == (["brought"], [])
    assert rows["em"]["tracks"] == ["linf-8"]
    assert (rows["em"]["shared"]["brought"], rows["sep"]["shared"]["brought"]) == (True, False)
    assert "<b>Brought</b> marks protected images that were made elsewhere" in page


def test_images_that_were_brought_under_the_name_of_a_method_are_not_mixed_with_its_own() -> None:
    rows = rows_of([submission(), submission(brought=True, method_params={}, key="another", seed=1)])
    assert sorted((row.marks, row.n) for row in rows) == [((), 1), (("brought",), 1)]


def test_nobody_brings_a_reference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write([submission(), submission(method="none", brought=True, key="bad")], tmp_path / "records")
    assert leaderboard(folder, tmp_path / "index.html") == 1
    assert "the images of none are made here, and yet somebody brought them" in capsys.readouterr().err
