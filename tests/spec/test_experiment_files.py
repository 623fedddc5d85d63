"""Experiments, the changes that --set and profiles make to them, and what becomes of their results."""

import json
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.data.loading import DataCard
from bench.engine.recipe import Recipe
from bench.plan.cost import Costs, estimate_flops
from bench.plan.make import make_plan
from bench.spec.experiment import Experiment
from bench.spec.file import experiment_names, load_experiment
from tests.making.asking import changed, done, write
from tests.making.experiments import TINY
from tests.making.tiny_data import pets

pytestmark = pytest.mark.usefixtures("own_place")

PROFILES = """\
profiles:
  short:
    recipe.epochs: 1
    seeds: [5]
  thin: {recipe: cpu-small, dataset.limit: 50}
"""
ONE_CHECKPOINT = changed(TINY, "checkpoints: 2", "checkpoints: 1") + PROFILES
WITHOUT_SEP = changed(TINY, "  - sep:\n      checkpoints: 2\n      steps: 2\n      step_size: 16\n", "") + PROFILES

CIFAR = DataCard(
    train_sha256="a" * 64,
    test_sha256="b" * 64,
    classes=tuple("0123456789"),
    n_train=50_000,
    n_protected=50_000,
    n_test=10_000,
    height=32,
    width=32,
)


def profiles_of(name: str) -> list[str]:
    content = yaml.safe_load((files("bench.experiments") / f"{name}.yaml").read_text(encoding="utf-8"))
    return list(content.get("profiles", {}))


def tiny(*overrides: str, profile: str | None = None, text: str = ONE_CHECKPOINT) -> Experiment:
    return load_experiment(write(text), profile=profile, overrides=overrides)


def rows(experiment: Experiment) -> list[tuple[str, dict[str, Any]]]:
    """Return each row's method with the parameters that are not its defaults."""
    return [(row.name, row.params.model_dump(mode="json", exclude_defaults=True)) for row in experiment.methods]


def with_methods(*methods: Any, budgets: str = "[linf-32]") -> Experiment:
    fields = {**yaml.safe_load(TINY), "methods": list(methods), "budgets": yaml.safe_load(budgets)}
    return tiny(text=yaml.safe_dump(fields, sort_keys=False))


def test_a_nested_field_is_set_and_its_neighbours_stay() -> None:
    experiment = tiny("dataset.limit=50", "table.columns=[budget, defense]")
    assert (experiment.dataset.limit, experiment.dataset.test_limit) == (50, 100)
    assert (experiment.table.columns, experiment.table.rows) == (["budget", "defense"], "method")
    assert experiment.overrides == ("dataset.limit=50",)  # the table shows the same results otherwise


def test_a_name_alone_becomes_a_mapping_where_a_field_of_it_is_set() -> None:
    text = changed(TINY, "recipe:\n  name: digits\n  epochs: 2\n", "recipe: digits\n")
    text = changed(text, "dataset:\n  name: digits\n  limit: 200\n  test_limit: 100\n", "dataset: digits\n")
    plain, shorter = tiny(text=text), tiny("recipe.epochs=3", "dataset.limit=20", text=text)
    assert (shorter.recipe.name, shorter.recipe.epochs) == ("digits[epochs=3]", 3)
    assert shorter.recipe.training_fields() == {**plain.recipe.training_fields(), "epochs": 3}
    assert (plain.dataset.limit, shorter.dataset.limit) == (None, 20)


def test_a_field_of_the_schedule_or_the_augmentation_leaves_the_other_fields() -> None:
    base = Recipe.model_validate("cpu-small")
    recipe = tiny("recipe=cpu-small", "recipe.augmentation.flip=false").recipe
    assert recipe.name == "cpu-small[augmentation.flip=False]"
    assert recipe.augmentation == base.augmentation.model_copy(update={"flip": False})
    recipe = tiny("recipe=cpu-small", "recipe.schedule.rise=0.5").recipe
    assert recipe.name == "cpu-small[schedule.rise=0.5]"
    assert recipe.schedule.model_dump() == {"kind": "one-cycle", "rise": 0.5}


def test_another_kind_of_schedule_replaces_the_whole() -> None:
    recipe = tiny("recipe.schedule={kind: steps, at: [1]}").recipe
    assert recipe.schedule.model_dump() == {"kind": "steps", "at": (1,), "factor": 0.1}
    assert recipe.name == "digits[epochs=2,schedule={kind:steps,at:[1]}]"


def test_a_field_set_to_what_it_is_leaves_the_recipes_name() -> None:
    recipe = tiny("recipe.epochs=10", "recipe.batch_size=64", "recipe.augmentation.crop_padding=1").recipe
    assert recipe == Recipe.model_validate("digits")


def test_values_are_yaml() -> None:
    experiment = tiny(
        "seeds=[3, 1]", "methods=[{sep: {steps: 3, checkpoints: 1}}]", "title='1: 2'", "recipe.nesterov=yes"
    )
    assert experiment.seeds == (3, 1)
    assert rows(experiment) == [("none", {}), ("sep", {"steps": 3, "checkpoints": 1})]
    assert (experiment.title, experiment.recipe.nesterov) == ("1: 2", True)


def test_a_profile_changes_the_file_and_set_changes_the_profile() -> None:
    short = tiny(profile="short")
    assert (short.recipe.epochs, short.seeds, short.profile, short.overrides) == (1, (5,), "short", ())
    both = tiny("seeds=[7]", profile="short")
    assert (both.recipe.epochs, both.seeds, both.overrides) == (1, (7,), ("seeds=[7]",))
    thin = tiny("recipe.epochs=3", profile="thin")
    assert (thin.recipe.name, thin.dataset.limit) == ("cpu-small[epochs=3]", 50)
    assert tiny().recipe.epochs == 2


def test_a_list_of_values_of_a_parameter_is_a_row_each() -> None:
    experiment = with_methods({"sep": {"checkpoints": [1, 2], "steps": [3, 4], "step_size": 8}})
    assert rows(experiment)[1:] == [
        ("sep", {"checkpoints": checkpoints, "steps": steps, "step_size": 8.0})
        for checkpoints in (1, 2)
        for steps in (3, 4)
    ]


@pytest.mark.parametrize("methods", [["random-noise"], ["random-noise", "none"], ["none", "random-noise"]])
def test_the_clean_row_is_there_once_whether_or_not_it_is_asked_for(methods: list[str]) -> None:
    names = [name for name, _ in rows(with_methods(*methods))]
    assert sorted(names) == ["none", "random-noise"]
    assert names == (methods if "none" in methods else ["none", *methods])


def test_a_cell_stands_once_however_often_it_is_written() -> None:
    sep = {"sep": {"checkpoints": 1}}
    experiment = with_methods("none", sep, sep, {"sep": {"checkpoints": [1, 2]}}, "none")
    assert [(cell.method.name, cell.method.params_json().get("checkpoints")) for cell in experiment.cells()] == [
        ("none", None),
        ("sep", 1),
        ("sep", 2),
    ]


def test_the_clean_images_are_one_cell_whatever_the_budgets() -> None:
    cells = with_methods("random-noise", budgets="[linf-8, linf-16, l2-1.0]").cells()
    assert [(cell.method.name, str(cell.budget)) for cell in cells] == [
        ("none", "None"),
        *(("random-noise", budget) for budget in ("linf-8", "linf-16", "l2-1")),
    ]


PETS = """\
name: pets
recipe: {name: digits, epochs: 1}
dataset:
  name: pets
  format: parquet
  train: ${SEPBENCH_DATA}/train.parquet
  test: ${SEPBENCH_DATA}/test.parquet
surrogate: resnet8
methods: [none]
victims: [resnet8]
"""


@pytest.mark.parametrize("field", ["train", "test", "root", "path", "download"])
def test_where_the_data_lies_is_no_change_of_the_experiment(field: str) -> None:
    formats = {
        "train": "parquet, train: x, test: x",
        "test": "parquet, train: x, test: x",
        "root": "cifar10",
        "path": "npz, path: x",
        "download": "cifar10",
    }
    text = changed(
        TINY, "  name: digits\n  limit: 200\n  test_limit: 100\n", f"  {{name: x, format: {formats[field]}}}\n"
    )
    value = "true" if field == "download" else "/elsewhere"
    moved = tiny(f"dataset.{field}={value}", "dataset.limit=5", text=text)
    assert str(moved.dataset.params[field]).lower() == value
    assert moved.overrides == ("dataset.limit=5",)


def test_moved_data_are_the_same_experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    pets(tmp_path / "here")
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    monkeypatch.setenv("SEPBENCH_DATA", str(tmp_path / "here"))
    moved = [f"--set=dataset.{part}={tmp_path}/there/{part}.parquet" for part in ("train", "test")]
    out = done("run", write(PETS, "pets.yaml"), *moved, "--no-mlflow")
    assert "with dataset" not in out
    (record,) = (tmp_path / "home" / "records" / "pets" / "default").glob("*.json")
    assert json.loads(record.read_text())["overrides"] == []
    assert all(stage["done"] for stage in json.loads(done("plan", "pets.yaml", "--json"))["stages"])
    assert done("table", "pets.yaml", "--records", "home/records") == done(
        "table", "pets.yaml", *moved, "--records", "home/records"
    )


VARIANTS: dict[str, list[str]] = {
    "plain": [],
    "profile": ["--profile", "short"],
    "override": ["--set", "recipe.epochs=1"],
    "more seeds": ["--set", "seeds=[0, 1]"],
}


@pytest.mark.slow
def test_results_of_a_changed_experiment_are_never_mixed_with_the_plain_ones(
    tmp_path: Path, empty_database: Path
) -> None:
    (tmp_path / "home").mkdir()
    shutil.copy(empty_database, tmp_path / "home")
    write(changed(WITHOUT_SEP, "  limit: 200\n  test_limit: 100\n", "  limit: 50\n  test_limit: 20\n"))
    shown = {name: done("run", "tiny.yaml", *options) for name, options in VARIANTS.items()}
    written = [json.loads(path.read_text()) for path in (tmp_path / "home" / "records").rglob("*.json")]
    said = sorted((one["profile"], one["overrides"], one["recipe"], one["seed"]) for one in written if one["profile"])
    assert said == [("short", [], "digits[epochs=1]", 5)] * 2
    assert sorted((one["overrides"], one["seed"]) for one in written if not one["profile"]) == [
        ([], 0),
        ([], 0),
        (["recipe.epochs=1"], 0),
        (["recipe.epochs=1"], 0),
        *[(["seeds=[0, 1]"], seed) for seed in (0, 0, 1, 1)],
    ]
    for name, options in VARIANTS.items():
        table = shown[name].partition("MLflow: ")[0].rstrip()
        assert done("table", "tiny.yaml", *options).rstrip() == table
        assert done("table", "tiny.yaml", *options, "--records", "home/records").rstrip() == table
    assert "profile short" in shown["profile"]
    assert "with recipe.epochs=1" in shown["override"]
    assert "with seeds=[0, 1]" in shown["more seeds"]
    assert "profile" not in shown["plain"]
    assert "with " not in shown["plain"]
    assert "n = 1 victim seed" in shown["plain"]
    assert "n = 2 victim seeds" in shown["more seeds"]


@pytest.mark.parametrize(
    ("name", "profile"), [(name, profile) for name in experiment_names() for profile in (None, *profiles_of(name))]
)
def test_every_shipped_experiment_can_be_planned_as_it_is_and_under_its_profiles(
    name: str, profile: str | None
) -> None:
    plan = make_plan(load_experiment(name, profile=profile), CIFAR)
    assert len({planned.victim for planned in plan.cells}) == len(plan.cells)


def test_no_stage_of_cifar10_gpu_needs_six_minutes_at_40_percent_of_an_h100(tmp_path: Path) -> None:
    plan, costs = make_plan(load_experiment("cifar10-gpu"), CIFAR), Costs(tmp_path)
    seconds = {stage.label: estimate_flops(plan, stage, costs) / (0.4 * 8e14) for stage in plan.stages.values()}
    assert max(seconds.values()) < 360
    assert seconds["craft sep (steps=30, checkpoints=30) linf-8"] == pytest.approx(312, abs=0.5)
    assert seconds["surrogate resnet18 · seed 0"] == pytest.approx(16, abs=0.5)
    assert [seconds[f"craft sep (steps={steps}, checkpoints=5) linf-2"] for steps in (10, 30)] == [
        pytest.approx(17, abs=0.5),
        pytest.approx(52, abs=0.5),
    ]
    assert sum(seconds.values()) == pytest.approx(16 * 60, rel=0.03)


def test_cifar10_gpu_is_what_its_title_says() -> None:
    experiment = load_experiment("cifar10-gpu")
    assert experiment.dataset.limit is None
    assert experiment.recipe.epochs * 4 == Recipe.model_validate("sep-2023").epochs
    labels = {cell.method_label for cell in experiment.cells() if cell.budget}
    assert labels == {
        "single-checkpoint",
        *(f"sep (steps={steps}, checkpoints={count})" for steps, count in ((10, 5), (30, 5), (30, 30))),
    }
    assert {str(cell.budget) for cell in experiment.cells()} == {"None", "linf-8", "linf-2"}


@pytest.mark.slow
def test_a_table_has_a_column_for_what_its_layout_leaves_out() -> None:
    changes = (
        "recipe.epochs=1",
        "dataset.limit=50",
        "defenses=[plain, no-augmentation]",
        "protected_fractions=[0.5, 1.0]",
        "seeds=[0]",
    )
    given = [word for change in changes for word in ("--set", change)]
    done("run", write(WITHOUT_SEP), "--no-mlflow", *given)
    shown = done("table", "tiny.yaml", "--records", "home/records", *given)
    head = next(line for line in shown.splitlines() if line.startswith("|"))
    assert head.split("|")[2:-1] == [
        f" {defense} · {share} % " for defense in ("plain", "no-augmentation") for share in (50, 100)
    ]
