"""The data card tells of each set what is known, and makes nothing up."""

from pathlib import Path

import pytest

from bench.cli.options import planned
from bench.read.hub import data_card, ready_sets
from bench.record.record import read_records
from bench.spec.names import NOTHING
from bench.store.home import Home
from tests.making.asking import Finished, done
from tests.making.handed_on import SETS, front_matter

pytestmark = pytest.mark.usefixtures("own_place")


def row(card: str, *cells: str) -> list[str]:
    """Return the cells of the one line of a table that starts with these."""
    (line,) = [line for line in card.splitlines() if line.startswith(f"| {' | '.join(cells)} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_card_names_each_set_with_its_files_and_leaves_the_licence_to_the_user(folder: Path) -> None:
    found = front_matter(folder)
    assert [one["config_name"] for one in found["configs"]] == SETS
    for one in found["configs"]:
        assert {file["split"]: file["path"] for file in one["data_files"]} == {
            "train": f"{one['config_name']}/train-*.parquet",
            "test": "test/test-*.parquet",
        }
    assert found["license"] == "unknown"
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "look it up, fill in `license:` above" in card
    assert "&id" not in card  # YAML's references, which not every reader of front matter knows


def test_the_card_tells_method_budget_seeds_surrogate_and_paper(folder: Path, finished: Finished) -> None:
    card = (folder / "README.md").read_text(encoding="utf-8")
    (sep,) = [one for one in read_records(finished.results / "records") if one.method == "sep"]
    made = card.partition("\n### sep-linf-32\n")[2].partition("\n### ")[0]
    assert "* method: `sep`, version 2: Self-Ensemble Protection" in made
    assert "checkpoints=2" in made
    assert f"* budget: `linf-32`; spent: {sep.linf_levels} levels of 1/255, l2 {sep.l2:.4g}, {sep.l0} changed" in made
    assert f"* surrogates: resnet8 · seed 0, 2 checkpoints, key `{sep.surrogate_keys[0][:16]}…`" in made
    assert "* seeds: surrogate 0, craft 0" in made
    assert "the recipe `digits[epochs=2]`, 2 epochs" in card
    assert "@inproceedings{chen2023selfensemble,\n" in card
    assert row(card, "`sep-linf-32`")[1:4] == ["sep linf-32", "32 of 32 levels", f"{sep.psnr:.1f} dB"]
    assert "a control that is not meant to protect" in row(card, "`random-noise-linf-32`")[1]


def test_the_card_says_what_was_measured_and_that_no_defense_was(folder: Path, finished: Finished) -> None:
    card = (folder / "README.md").read_text(encoding="utf-8")
    accuracy = {one.method: one.test_acc for one in read_records(finished.results / "records")}
    found = card.partition("## What defenses give back")[2].partition("### random-noise-linf-32")[0]
    assert row(found, "resnet8", "plain")[2:] == [f"{accuracy['none']:.1f}", f"{accuracy['sep']:.1f}", "1", NOTHING]
    assert "No defense was measured on this set" in found


def test_nothing_is_made_up_where_nothing_was_measured(finished_copy: Finished) -> None:
    for path in finished_copy.home.rglob("records/**/*.json"):
        path.unlink()
    done("export", "tiny.yaml", "--hub", "hub")
    card = Path("hub/README.md").read_text(encoding="utf-8")
    assert card.count("Nothing was measured on this set: neither that it protects, nor what a defense gives back.") == 2
    assert "| victim |" not in card
    done("export", "tiny.yaml", "--hub", "again", "--records", "results/records")
    assert "Nothing was measured" not in Path("again/README.md").read_text(encoding="utf-8")


def test_a_set_whose_method_does_not_keep_its_promises_is_in_doubt(finished: Finished) -> None:
    plan = planned("tiny.yaml", (), None, ("method=sep",))
    one = ready_sets._ready_sets(plan)[0]
    meta = Home.find().store.meta("craft", one.key)
    doubted = one.with_meta({**meta, "doubt": "the method 'sep' is not deterministic"})
    assert "* **in doubt**: the method 'sep' is not deterministic\n" in data_card._made(plan, doubted)
    assert "in doubt" not in data_card._made(plan, one.with_meta(meta))


def test_a_card_on_some_protected_classes_says_which(finished: Finished) -> None:
    plan = planned("tiny.yaml", ("dataset.protected_classes=3",), None, ())
    assert data_card._of_some_classes(plan).strip() == "Only the first 3 of 10 classes are protected: 0, 1, 2."
