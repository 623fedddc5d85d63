"""`plan`, `run` and `table`: what is left to do, doing it, and the same numbers from wherever they are read."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.contracts.network import build_network
from tests.making.asking import Finished, ask, changed, done, write
from tests.making.experiments import TINY

pytestmark = pytest.mark.usefixtures("own_place")

FORMS = ("md", "csv", "json")


def stages(*options: str | Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(done("plan", "tiny.yaml", "--json", *options))["stages"]
    return found


def records(folder: Path) -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}


def test_a_plan_before_a_run_has_everything_to_do_and_writes_no_artifact(tmp_path: Path) -> None:
    shown = done("plan", write(TINY)).splitlines()
    assert shown[0] == "tiny: 3 cells on digits, recipe digits[epochs=2], on cpu"
    assert shown[-2].startswith("0 stages are there, 7 to do: 12 passes, roughly ")
    assert re.fullmatch(r"[\d.e-]+ PFLOP, or [\d.e-]+ GPU-hours at 100 TFLOP/s; about [\d.]+ GiB of disk", shown[-1])
    assert sorted(path.name for path in (tmp_path / "home").iterdir()) == ["cards", "costs", "paces"]
    listed = done("plan", "tiny.yaml", "--all").splitlines()
    assert [line.split()[0:2] for line in listed[1:8]] == [["to", "do"]] * 7


def test_a_plan_is_json_for_programs() -> None:
    write(TINY)
    plan = json.loads(done("plan", "tiny.yaml", "--json"))
    assert (plan["experiment"], plan["dataset"], plan["recipe"]) == ("tiny", "digits", "digits[epochs=2]")
    assert plan["cells"] == 3
    assert [stage["kind"] for stage in plan["stages"]].count("victim") == 3
    assert not any(stage["done"] for stage in plan["stages"])
    assert all(stage["seconds"] > 0 for stage in plan["stages"])
    sep = next(stage for stage in plan["stages"] if stage["label"] == "craft sep linf-32")
    assert sep["passes"] == 4
    assert sep["bytes"] == 200 * 3 * 16 * 16
    surrogate = next(stage for stage in plan["stages"] if stage["kind"] == "surrogate")
    image, cpu = torch.zeros(1, 3, 16, 16), torch.device("cpu")
    weights = build_network("resnet8", 10, image, normalise=False, seed=0, device=cpu).state_dict()
    assert surrogate["bytes"] == 2 * sum(value.nbytes for value in weights.values())
    # A training pass has three matrix products where the gradient of the pixels alone has two; both have 2 epochs' or
    # 4 gradients' worth of 200 images.
    assert surrogate["flops"] == pytest.approx(sep["flops"] * 3 / 2 * 2 / 4)
    multiply_adds = 12.5e6 / 4  # of resnet8, at 16 instead of 32 pixels
    assert sep["flops"] == pytest.approx(4 * 200 * 2 * 2 * multiply_adds, rel=0.02)


def test_a_plan_after_a_run_marks_what_is_there(finished: Finished) -> None:
    assert all(stage["done"] and stage["seconds"] == 0 for stage in stages())
    shown = done("plan", "tiny.yaml", "--all").splitlines()
    assert [line.split()[0] for line in shown if line.startswith("  ")] == ["there"] * 7
    assert shown[-1] == "7 stages are there, nothing is left to do"


def test_one_stage_is_said_as_one(finished: Finished) -> None:
    longer = done("plan", "tiny.yaml", "--only", "method=none", "--set", "recipe.epochs=3")
    assert "\n1 stage is there, 1 to do: 3 passes, " in longer


def test_a_plan_of_more_marks_only_what_is_new(finished: Finished) -> None:
    left = [stage["label"] for stage in stages("--set", "seeds=[0,1]") if not stage["done"]]
    assert len(left) == 3
    assert all(label.startswith("victim ") and label.endswith(" seed 1") for label in left)


def test_only_leaves_the_other_cells_out_of_the_plan(finished: Finished) -> None:
    labels = [stage["label"] for stage in stages("--only", "method=random-noise")]
    assert labels == ["craft random-noise linf-32", "victim random-noise linf-32 · resnet8 · plain · seed 0"]
    assert len(stages("--only", "method=random-noise", "--only", "method=none")) == 4
    assert len(stages("--only", "budget=linf-32", "--only", "method=sep")) == 3


@pytest.mark.usefixtures("mlflow")
def test_a_run_prints_its_table_and_how_to_open_mlflow(finished: Finished) -> None:
    assert finished.answer.code == 0
    out = finished.answer.out.splitlines()
    assert out[0] == "**tiny: test accuracy (%)**"
    rows = [line.split("|")[1].strip() for line in out if line.startswith("|")]
    assert rows[2:] == ["none", "random-noise", "sep"]
    assert out[-1].startswith("MLflow: ")
    assert "mlflow ui --backend-store-uri sqlite:///home/mlflow.db" in out[-1]


def test_a_run_tells_of_every_stage_on_standard_error(finished: Finished) -> None:
    # On a busy machine a stage may take the half minute after which it says how far it is.
    lines = [line for line in finished.answer.err.splitlines() if not line.endswith("left in all")]
    assert [line.split()[0] for line in lines] == [f"[{number}/7]" for number in range(1, 8)]
    assert any(line.startswith("[6/7] craft sep linf-32: largest change ") for line in lines)


def test_the_same_run_again_does_nothing_and_prints_the_same(finished: Finished) -> None:
    again = ask("run", "tiny.yaml")
    assert (again.code, again.out, again.err) == (0, finished.answer.out, "")


def test_records_are_written_and_shown_to_be_of_the_plain_experiment(finished: Finished) -> None:
    written = records(finished.results / "records" / "tiny")
    assert len(written) == 3
    assert {one["method"] for one in written.values()} == {"none", "random-noise", "sep"}
    assert all(one["key"] == key and one["status"] == "done" for key, one in written.items())
    assert all(one["profile"] is None and one["overrides"] == [] for one in written.values())
    assert records(finished.home / "records" / "tiny" / "default") == written


@pytest.mark.parametrize("form", FORMS)
def test_records_give_the_published_table_again_and_so_does_mlflow(form: str, finished: Finished) -> None:
    published = (finished.results / "tables" / f"tiny.{form}").read_text()
    assert done("table", "tiny.yaml", "--records", "results/records", "--format", form) == published
    assert done("table", "tiny.yaml", "--format", form) == published


def test_records_need_no_home(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPBENCH_HOME", "nowhere")
    assert "| sep " in done("table", "tiny.yaml", "--records", "results/records")
    assert not Path("nowhere").exists()


def test_where_chooses_records(finished: Finished) -> None:
    cells = json.loads(done("table", "tiny.yaml", "--where", "method=sep", "--format", "json"))["cells"]
    assert [cell["method"] for cell in cells] == ["sep"]
    assert len(done("table", "tiny.yaml", "--where", "seed=0", "--format", "csv").splitlines()) == 4


def test_strict_refuses_a_table_with_a_missing_run(finished: Finished, tmp_path: Path) -> None:
    assert ask("table", "tiny.yaml", "--strict").code == 0
    shutil.copytree(finished.results / "records" / "tiny", tmp_path / "some")
    (tmp_path / "some" / f"{finished.keys[0]}.json").unlink()
    answer = ask("table", "tiny.yaml", "--records", tmp_path / "some", "--strict")
    assert answer.code == 1
    assert "1 of 3 runs missing" in answer.out
    assert answer.err == "sepbench: 1 of 3 runs are missing\n"
    assert ask("table", "tiny.yaml", "--records", tmp_path / "some").code == 0


def test_only_runs_the_cells_it_names_and_no_mlflow_leaves_mlflow_alone(tmp_path: Path) -> None:
    out = done("run", write(TINY), "--only", "method=none", "--no-mlflow")
    assert "| none " in out
    assert "sep" not in out
    assert "MLflow" not in out
    assert {path.name for path in (tmp_path / "home").iterdir()}.isdisjoint({"mlflow.db", "mlartifacts", "outbox"})
    assert [one["method"] for one in records(tmp_path / "home" / "records" / "tiny" / "default").values()] == ["none"]
    assert [stage["done"] for stage in stages()] == [True, True, *[False] * 5]


def test_a_partial_run_leaves_the_published_results_of_the_other_cells(finished: Finished, tmp_path: Path) -> None:
    shutil.copytree(finished.results, tmp_path / "results")
    table = (tmp_path / "results" / "tables" / "tiny.md").read_text()
    stale = tmp_path / "results" / "records" / "tiny" / "0123456789.json"
    stale.write_text(next((tmp_path / "results" / "records" / "tiny").glob("*.json")).read_text())
    done("run", "tiny.yaml", "--only", "method=none", "--results", tmp_path / "results", "--no-mlflow")
    assert sorted(records(tmp_path / "results" / "records" / "tiny")) == finished.keys
    assert (tmp_path / "results" / "tables" / "tiny.md").read_text() == table


def test_a_changed_experiment_is_published_beside_the_plain_one(finished_copy: Finished) -> None:
    plain = {path: path.read_bytes() for path in finished_copy.results.rglob("*.*")}
    change = ["--set", "budgets=[linf-32]"]
    done("run", "tiny.yaml", *change, "--results", "results", "--no-mlflow")
    assert {path: path.read_bytes() for path in plain} == plain
    (folder,) = (finished_copy.results / "records").glob("tiny@*")
    assert all(one["overrides"] == ["budgets=[linf-32]"] for one in records(folder).values())
    shown = done("table", "tiny.yaml", *change, "--records", "results/records")
    assert shown == (finished_copy.results / "tables" / f"{folder.name}.md").read_text()
    assert "with budgets=[linf-32]" in shown


def test_forced_stages_run_again_with_what_is_made_from_them(tmp_path: Path) -> None:
    write(changed(TINY, "  limit: 200\n  test_limit: 100\n", "  limit: 50\n  test_limit: 20\n"))
    options = ["tiny.yaml", "--only", "method=random-noise", "--no-mlflow"]
    first = ask("run", *options)
    assert first.err.count("\n") == 2
    assert ask("run", *options).err == ""
    assert ask("run", *options, "--force", "victim").err.count("\n") == 2  # set aside, and run again
    assert ask("run", *options, "--force", "craft").err.count("\n") == 4
    assert ask("run", *options, "--force", "surrogate").err == ""
    assert ask("run", *options).out == first.out


def test_experiments_on_different_data_sets_stand_in_one_table_side_by_side() -> None:
    other = changed(
        changed(TINY, "name: tiny", "name: other"),
        "  name: digits\n  limit: 200",
        "  name: more\n  format: digits\n  limit: 250",
    )
    write(TINY)
    write(other, "other.yaml")
    for name in ("tiny.yaml", "other.yaml"):
        done("run", name, "--no-mlflow", "--only", "method=none", "--only", "method=random-noise")
    printed = done("table", "tiny.yaml", "other.yaml", "--records", "home/records")
    assert printed.startswith("**tiny + other: test accuracy (%)**")
    head = next(line for line in printed.splitlines() if line.startswith("|"))
    assert [cell.strip() for cell in head.split("|")[2:-1]] == ["digits", "more"]
    alone = [
        json.loads(done("table", name, "--records", "home/records", "--format", "json"))
        for name in ("tiny.yaml", "other.yaml")
    ]
    together = json.loads(done("table", "tiny.yaml", "other.yaml", "--records", "home/records", "--format", "json"))
    assert {cell["dataset"] for cell in together["cells"]} == {"digits", "more"}
    measured = [
        {(cell["dataset"], cell["method"]): cell["mean"] for cell in table["cells"]} for table in (together, *alone)
    ]
    assert measured[0] == measured[1] | measured[2]


def test_experiments_under_different_recipes_do_not_stand_in_one_table() -> None:
    write(TINY)
    write(changed(changed(TINY, "name: tiny", "name: other"), "epochs: 2", "epochs: 3"), "other.yaml")
    for name in ("tiny.yaml", "other.yaml"):
        done("run", name, "--no-mlflow", "--only", "method=none")
    answer = ask("table", "tiny.yaml", "other.yaml", "--records", "home/records")
    assert answer.code == 2
    assert "these records come from two recipes (digits[epochs=2], digits[epochs=3])" in answer.err
