"""Results of a set that somebody brought can be made anew from their records, though no file tells the experiment."""

from pathlib import Path

import pytest

from bench.read.evaluated import evaluation_table, is_evaluation
from bench.read.rebuild import rebuild
from bench.read.tables import render
from bench.record.record import Record
from bench.store.home import Home
from tests.making.asking import done, refusal
from tests.making.submissions import submission, write


def records() -> list[Record]:
    common = {"experiment": "evaluate-em"}
    protected = {"method": "em", "brought": True, **common}
    return [
        submission(method="none", test_acc=90.0, norm=None, budget=None, **common),
        submission(method="none", test_acc=80.0, norm=None, budget=None, defense="jpeg-10", **common),
        submission(test_acc=70.0, defense="jpeg-10", **protected),
        submission(test_acc=20.0, **protected),
        submission(test_acc=60.0, protected_fraction=0.9, **protected),
    ]


def test_the_table_has_only_columns_that_were_measured_and_says_what_was_brought() -> None:
    text = render(evaluation_table(records()), "md")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert [cell.strip() for cell in lines[0].strip("|").split("|")] == [
        "method",
        "plain · 100 %",
        "jpeg-10 · 100 %",
        "plain · 90 %",
    ]
    assert [cell.strip() for cell in lines[2].strip("|").split("|")] == ["none", "90.0", "80.0", "90.0"]
    assert [cell.strip() for cell in lines[3].strip("|").split("|")] == ["em", "20.0", "70.0", "60.0"]
    assert "Brought: protected images of em were made elsewhere" in text
    assert "missing" not in text


def test_the_order_of_records_does_not_change_the_table() -> None:
    assert render(evaluation_table(records()), "json") == render(evaluation_table(records()[::-1]), "json")


def test_results_with_such_records_are_rebuilt(tmp_path: Path) -> None:
    write(records(), tmp_path / "records" / "evaluate-em")
    made = {path.relative_to(tmp_path).as_posix() for path in rebuild(tmp_path, Home(tmp_path / "home"))}
    assert {"tables/evaluate-em.md", "plots/evaluate-em-bars.svg", "index.html"} <= made
    assert (tmp_path / "tables" / "evaluate-em.md").read_text() == render(evaluation_table(records()), "md")


def test_an_evaluation_that_was_stopped_after_its_clean_victims_blocks_no_rebuild(tmp_path: Path) -> None:
    write(records()[:2], tmp_path / "records" / "evaluate-em")
    made = {path.relative_to(tmp_path).as_posix() for path in rebuild(tmp_path, Home(tmp_path / "home"))}
    assert "tables/evaluate-em.md" in made
    assert "| none   |" in (tmp_path / "tables" / "evaluate-em.md").read_text()


@pytest.mark.parametrize("name", ["evaluate-mine", "mine", "cifar10-cpu"])
def test_an_experiment_of_crafted_sets_is_no_evaluation_whatever_its_name(name: str) -> None:
    crafted = [submission(method="none", norm=None, budget=None, experiment=name), submission(experiment=name)]
    assert not is_evaluation(crafted)
    assert not is_evaluation([])


@pytest.mark.usefixtures("own_place")
@pytest.mark.parametrize("options", [(), ("--records", "results/records/evaluate-em@1234")])
def test_table_and_plot_take_an_evaluation_by_its_name(options: tuple[str, ...]) -> None:
    changed = [one.model_copy(update={"overrides": ("recipe.epochs=2",)}) for one in records()]
    write(changed, Path("results/records/evaluate-em@1234") if options else Path("home/records/evaluate-em/123"))
    printed = done("table", "evaluate-em", *options)
    assert printed.rstrip("\n") == render(evaluation_table(changed), "md").rstrip("\n")
    assert "jpeg-10" not in done("table", "evaluate-em", *options, "--where", "defense=plain")
    assert done("plot", "evaluate-em", "--out", "plots", *options).splitlines()[0].startswith("plots/evaluate-em@")
    assert [path.name.partition("-bars")[2] for path in sorted(Path("plots").glob("*-bars*"))] == [".png", ".svg"]


@pytest.mark.usefixtures("own_place")
def test_what_records_of_an_evaluation_do_not_give_is_refused() -> None:
    write([one.model_copy(update={"overrides": ("recipe.epochs=2",)}) for one in records()], Path("kept"))
    said = refusal("plot", "evaluate-em", "--kind", "curves", "--records", "kept")
    assert said == "curves of an evaluation cannot be drawn: it gives ablation, bars, passes"
    said = refusal("table", "evaluate-em", "--set", "recipe.epochs=3", "--records", "kept")
    assert said == "evaluate-em was not made so, but with --set recipe.epochs=2: ask for it as it was made"


@pytest.mark.usefixtures("own_place")
def test_of_an_evaluation_made_twice_the_one_without_overrides_is_meant() -> None:
    changed = [one.model_copy(update={"overrides": ("recipe.epochs=2",), "test_acc": 50.5}) for one in records()]
    write(records(), Path("kept/default"))
    write(changed, Path("kept/other"))
    assert "50.5" not in done("table", "evaluate-em", "--records", "kept")
    other = done("table", "evaluate-em", "--records", "kept", "--set", "recipe.epochs=2")
    assert "50.5" in other
    assert "20.0" not in other


@pytest.mark.usefixtures("own_place")
def test_evaluations_stand_side_by_side_and_apart_from_experiments() -> None:
    write(records(), Path("kept/em"))
    second = [submission(experiment="evaluate-tap", method="tap", brought=True, test_acc=33.5, budget=16.0)]
    write(second, Path("kept/tap"))
    printed = done("table", "evaluate-em", "evaluate-tap", "--records", "kept")
    assert "evaluate-em + evaluate-tap" in printed
    assert "33.5" in printed
    assert "evaluate-em is an evaluation" in refusal("table", "quickstart", "evaluate-em", "--records", "kept")


@pytest.mark.usefixtures("own_place")
def test_an_evaluation_that_never_ran_is_one_sentence() -> None:
    assert "has no experiment 'evaluate-nobody': run it first" in refusal("table", "evaluate-nobody")
    write(records(), Path("kept"))
    assert refusal("plot", "evaluate-nobody", "--records", "kept") == (
        "there are no records of evaluate-nobody in kept: run sepbench evaluate first"
    )
    assert "which has none: leave it out" in refusal("table", "evaluate-em", "--profile", "fast", "--records", "kept")


def test_a_record_that_somebody_brought_reads_back_and_others_do_not_mention_it() -> None:
    crafted, brought = submission(), submission(method="em", brought=True)
    assert Record.model_validate_json(brought.to_json()) == brought
    assert '"brought": true' in brought.to_json()
    assert "brought" not in crafted.to_json()
