"""What the harness costs is measured on what a run would leave, and what is the same for all is worked out once."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import scipy.stats

from bench.engine.recipe import recipe_names
from bench.perf import harness
from bench.perf.harness import fill, made_up, varied
from bench.plan.make import make_plan
from bench.read.leaderboard import vetting
from bench.read.stats.intervals import summarise
from bench.read.tables.sources import attach
from bench.read.tables.table import CellId, Setting
from bench.record.published import Published, read_published
from bench.record.record import read_records
from bench.spec.experiment import Experiment
from bench.spec.layout import TableLayout
from bench.store.home import Home
from bench.store.sealed import read_files
from tests.making.asking import done
from tests.making.records import checkpoint_table, record


def counted(calls: Counter[str], name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def count(*arguments: Any, **options: Any) -> Any:
        calls[name] += 1
        return function(*arguments, **options)

    return count


@pytest.mark.parametrize("cells", [100, 300])
def test_as_many_cells_are_planned_as_were_asked_for(cells: int) -> None:
    assert len(made_up(cells).cells) == cells


def test_records_that_are_made_up_differ_in_more_than_seeds() -> None:
    cells = make_plan(varied(5000), harness._CARD).cells
    assert len(cells) == 5000
    assert len({one.cell.budget for one in cells}) == 12


def test_nothing_is_left_to_run_of_what_is_made_up_as_finished(tmp_path: Path) -> None:
    home = Home(tmp_path)
    plan = made_up(100)
    fill(plan, home)
    assert plan.todo(home.store) == []
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")}
    table = harness._run_again(100, home)
    assert "missing" not in table
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")} == before, "a record was written again"
    assert len(read_records(tmp_path / "records")) == 100


@pytest.mark.slow
def test_perf_of_the_harness_prints_json(loops_in_forks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    def ask(experiment: Experiment, records: Path, folder: Path) -> dict[str, Any]:
        asked.append((experiment.name, len(list(records.iterdir()))))
        return {"plan": {"first": 3.0, "again": 0.1}}

    monkeypatch.setattr(harness, "command_costs", ask)  # seconds, which the README's test takes
    told = json.loads(done("perf", "harness", "--scale", "0.01"))
    assert told["what"] == "harness"
    parts = ["planning", "running_again", "table", "page"]
    assert all(told[part]["cpu_seconds"] > 0 and told[part]["times_a_tenth"] > 0 for part in parts)
    assert (told["planning"]["cells"], told["running_again"]["cells"], told["memory"]["cells"]) == (
        1000,
        1000,
        [100, 1000],
    )
    assert told["page"]["mebibytes"] > 0.1
    assert min(told["memory"]["peak_mb"]) > 0
    assert asked == [("made-up", 950)]
    assert told["commands"] == {"records": 950, "plan": {"first": 3.0, "again": 0.1}}


def test_each_stage_is_read_no_more_than_twice_when_a_finished_experiment_runs_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, calls = Home(tmp_path), Counter[str]()
    fill(made_up(100), home)

    def reading(path: Path) -> dict[str, Any]:
        calls[str(path)] += 1
        return read_files(path)

    monkeypatch.setattr("bench.store.artifact_files.read_files", reading)
    harness._run_again(100, home)
    assert len(calls) == 100, "victims, and nothing that only finished victims need"
    assert set(calls.values()) == {2}


def test_a_quantile_is_worked_out_once_for_all_cells_of_as_many_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Counter[str]()
    monkeypatch.setattr(scipy.stats.t, "ppf", counted(calls, "ppf", scipy.stats.t.ppf))
    for _ in range(20):
        summarise([1.0, 2.0, 4.0], 0.9123)
        summarise([1.0, 2.0, 4.0, 8.0], 0.9123)
    assert calls["ppf"] == 2


def test_the_recipes_are_listed_once_for_all_records_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(20):
        (tmp_path / f"{seed}.json").write_text(record(seed=seed, status="failed", reason="it fell").to_json())
    calls = Counter[str]()
    monkeypatch.setattr("bench.read.leaderboard.vetting.recipe_names", counted(calls, "recipes", recipe_names))
    assert len(vetting.vet(tmp_path)[0]) == 20
    assert calls["recipes"] == 1


def test_published_numbers_of_other_places_are_not_held_against_every_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    (cell, *_), numbers = checkpoint_table().distinct_cells(), read_published()
    cells = {CellId.of(record(victim=f"network-{number}")).setting: cell for number in range(20)}
    calls = Counter[str]()
    monkeypatch.setattr(Setting, "__getitem__", counted(calls, "axis", Setting.__getitem__))

    def looked_at(some: list[Published]) -> int:
        calls.clear()
        attach(cells, some, TableLayout(), [record(test_acc=1.0)])
        return calls["axis"]

    assert looked_at(numbers) == looked_at([]) > 0, "none is of digits"
