"""What changes an experiment makes other results, what changes a table's view does not, and both are found again."""

import json
from pathlib import Path

import pytest

from bench.record.record import read_records
from tests.making.asking import Finished, done, refusal

pytestmark = pytest.mark.usefixtures("own_place")

SEVEN = ("--set", "seeds=[7]")
NOISE = ("--no-mlflow", "--only", "method=random-noise")


def keys(*options: str) -> list[str]:
    """Return the keys of the stages that an experiment has."""
    return [stage["key"] for stage in json.loads(done("plan", *options, "--json"))["stages"]]


def test_another_view_of_the_table_finds_the_same_records(finished: Finished) -> None:
    for value, title in (("ssim", "SSIM"), ("peak_acc", "peak test accuracy (%)")):
        assert done("table", "tiny.yaml", "--set", f"table.value={value}").startswith(f"**tiny: {title}**\n")


def test_a_run_with_another_view_has_nothing_left_to_do(finished_copy: Finished) -> None:
    before = {one.identity for one in read_records(Path("home/records"))}
    answer = done("run", "tiny.yaml", "--set", "table.value=psnr", "--no-mlflow")
    assert answer.startswith("**tiny: PSNR (dB)**\n")
    assert {one.identity for one in read_records(Path("home/records"))} == before


@pytest.mark.parametrize("records", [(), ("--records", "home/records")], ids=["home", "folder"])
def test_where_there_are_no_records_those_that_there_are_are_named(
    records: tuple[str, ...], finished_copy: Finished
) -> None:
    done("run", "tiny.yaml", *SEVEN, *NOISE)
    done("table", "tiny.yaml")  # MLflow's database is a new file to this process, which writes to it once
    sentence = refusal("table", "tiny.yaml", "--set", "seeds=[8]", *records)
    assert sentence.endswith(
        "there are those of no changes (3) and --set 'seeds=[7]' (1): ask for one of these, or run it so"
    )


def test_changes_with_a_name_are_asked_for_by_it(finished_copy: Finished) -> None:
    done("run", "tiny.yaml", *SEVEN, *NOISE, "--called", "seven")
    assert done("table", "tiny.yaml", "--called", "seven") == done("table", "tiny.yaml", *SEVEN)
    assert done("table", "tiny.yaml", "--called", "seven") != done("table", "tiny.yaml")
    done("run", "tiny.yaml", *NOISE, "--called", "seven")
    assert len(list(Path("home/records/tiny").iterdir())) == 2


def test_a_name_stands_for_one_set_of_changes(finished_copy: Finished) -> None:
    done("plan", "tiny.yaml", "--set", "seeds=[1]", "--called", "one")
    assert refusal("plan", "tiny.yaml", "--set", "seeds=[2]", "--called", "one") == (
        "--called one: --set 'seeds=[1]' is called so: choose another name, or leave these changes out"
    )
    assert refusal("plan", "tiny.yaml", "--called", "two") == (
        "--called two: no changes of tiny.yaml are called so (changes of it are called one): give them once with --set "
        "or --profile"
    )


def test_what_cannot_be_gets_no_name(finished_copy: Finished) -> None:
    assert "unknown" in refusal("plan", "tiny.yaml", "--set", "victims=[resnet9]", "--called", "nine")
    assert not Path("home/variants").exists()
    assert refusal("plan", "tiny.yaml", "--set", "seeds=[1]", "--called", "../one").startswith(
        "--called ../one: '../one' cannot name files: use letters"
    )
    assert refusal("table", "tiny.yaml", "quickstart", "--called", "one") == (
        "--called one: a name is of one experiment's changes: ask for the table of each alone"
    )


def test_a_damaged_name_is_named(finished_copy: Finished) -> None:
    done("plan", "tiny.yaml", "--set", "seeds=[1]", "--called", "one")
    (path,) = Path("home/variants/tiny").iterdir()
    assert json.loads(path.read_bytes()) == {"profile": None, "overrides": ["seeds=[1]"]}
    path.write_text("{")
    assert refusal("table", "tiny.yaml", "--called", "one") == (
        f"{path.absolute()} cannot be read: remove it, and give the changes again"
    )


def test_results_of_ones_own_experiment_are_made_anew_with_its_file(finished_copy: Finished) -> None:
    made = {path: path.read_bytes() for path in Path("results/tables").iterdir()}
    assert refusal("rebuild", "--results", "results") == (
        "results/records/tiny holds records of tiny, which did not come with sepbench: name its file with --experiment"
    )
    for path in made:
        path.unlink()
    done("rebuild", "--results", "results", "--experiment", "tiny.yaml")
    assert {path: path.read_bytes() for path in Path("results/tables").iterdir()} == made
    assert "tiny" in Path("results/index.html").read_text()


@pytest.mark.parametrize(
    ("one", "listed"),
    [
        ("budgets=linf-16", "budgets=[linf-16]"),
        ("seeds=3", "seeds=[3]"),
        ("defenses=grayscale", "defenses=[grayscale]"),
        ("methods=random-noise", "methods=[random-noise]"),
        ("methods={random-noise: {}}", "methods=[random-noise]"),
    ],
)
def test_one_value_of_a_list_needs_no_brackets(one: str, listed: str, finished: Finished) -> None:
    assert keys("tiny.yaml", "--set", one) == keys("tiny.yaml", "--set", listed)


def test_a_folder_is_told_from_an_experiment(finished: Finished) -> None:
    assert refusal("run", "home/") == (
        "home/ is a folder, not an experiment: sepbench protect home/ --out FOLDER protects the pictures in it, and "
        "sepbench ls experiments lists the experiments"
    )
