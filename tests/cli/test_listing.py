"""`ls` and `show`: what there is, with a line on each, and everything on one of them."""

import json
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from bench.contracts.method import METHODS
from bench.engine.brought import keep
from bench.engine.recipe import recipe_names
from bench.store.home import Home
from tests.making.asking import Finished, done, write
from tests.making.crafting import brought, digits
from tests.making.experiments import TINY

pytestmark = pytest.mark.usefixtures("own_place")

SOME = {
    "methods": "sep",
    "victims": "resnet8",
    "defenses": "plain",
    "datasets": "parquet",
    "recipes": "sep-2023",
    "experiments": "quickstart",
}


def keys(name: str) -> list[str]:
    return [stage["key"] for stage in json.loads(done("plan", name, "--json"))["stages"]]


@pytest.mark.parametrize("kind", SOME)
def test_each_kind_is_listed_with_a_line_on_each(kind: str) -> None:
    lines = done("ls", kind).splitlines()
    listed = json.loads(done("ls", kind, "--json"))
    assert [line.split()[0] for line in lines] == [entry["name"] for entry in listed]
    assert SOME[kind] in [entry["name"] for entry in listed]
    for line, entry in zip(lines, listed, strict=True):
        assert entry["summary"], f"{entry['name']} says nothing of itself"
        assert line.endswith(f"  {entry['summary']}")


def test_a_method_is_shown_with_its_docstring_and_every_parameter() -> None:
    shown = done("show", "sep")
    assert shown.startswith("method sep\n")
    assert "Every image is moved towards the class half the number of classes ahead" in shown
    assert "\ncite chen2023selfensemble: Sizhe Chen, " in shown
    assert "Training Checkpoints Are Good Data Protectors. ICLR 2023. https://arxiv.org/abs/2211.12005\n" in shown
    rows = {line.split()[0]: line.split()[1:] for line in shown.partition("parameters:\n")[2].splitlines()}
    assert rows["steps"] == ["30", "gradient", "steps"]
    assert rows["step_size"][0] == "unset"
    assert {"checkpoints", "steps", "step_size", "shift", "network"} <= set(rows)


def test_what_a_plugin_of_another_package_cites_is_shown_as_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(METHODS.get("sep"), "cite", "someone2030unheard")
    assert "\ncite someone2030unheard\n" in done("show", "sep")


def test_a_plugin_that_cites_nothing_says_nothing_of_it() -> None:
    assert "\ncite" not in done("show", "random-noise")


def test_a_method_without_parameters_says_so() -> None:
    assert done("show", "random-noise").endswith("no parameters\n")


def test_a_required_parameter_is_shown_as_such() -> None:
    assert "  train  required" in done("show", "parquet")


@pytest.mark.parametrize("name", ["resnet8", "plain", "npz"])
def test_victims_defenses_and_formats_are_shown_too(name: str) -> None:
    assert name in done("show", name).splitlines()[0]


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_is_shown_as_it_is_written(name: str) -> None:
    assert "\nschedule: {kind: " in done("show", name)


def test_a_name_that_means_two_things_shows_both() -> None:
    shown = done("show", "digits")
    assert "data set digits" in shown
    assert "\nbatch_size: 64\n" in shown


def test_an_experiment_is_shown_in_full_with_every_default_and_can_be_run_from_that() -> None:
    write(TINY)
    shown = done("show", "tiny.yaml", "--full")
    assert yaml.safe_load(shown)["recipe"]["momentum"] == 0.9
    write(shown, "copy.yaml")
    assert keys("copy.yaml") == keys("tiny.yaml")


def test_an_experiment_is_shown_as_its_file_stands(tmp_path: Path) -> None:
    text = f"# mine\n{TINY}"
    write(text)
    assert done("show", "tiny.yaml") == text
    shipped = (files("bench.experiments") / "cifar10-cpu.yaml").read_text(encoding="utf-8")
    assert done("show", "cifar10-cpu").splitlines() == shipped.rstrip().splitlines()


def test_a_record_is_shown_by_the_beginning_of_its_key(finished: Finished) -> None:
    for key in finished.keys:
        shown = done("show", key[:8])
        record, _, artifact = shown.partition("\nvictim artifact ")
        assert json.loads(record)["key"] == key
        assert artifact.startswith(str(finished.home / "store" / "victim"))


def test_a_record_of_another_machine_is_found_in_a_folder(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPBENCH_HOME", "nowhere")
    assert json.loads(done("show", finished.keys[0][:10], "--records", "results/records"))["key"] == finished.keys[0]


@pytest.mark.parametrize(("kind", "files"), [("surrogate", "epoch-000, epoch-001"), ("craft", "protected")])
def test_an_artifact_is_shown_with_its_files_and_what_is_known_of_it(kind: str, files: str, finished: Finished) -> None:
    folder = next(path for path in (finished.home / "store" / kind).glob("*/*") if path.is_dir())
    first, _, rest = done("show", folder.name[:12]).partition("\n")
    assert first == f"{kind} artifact {folder}: {files}"
    assert json.loads(rest)["seconds"] >= 0


def test_a_set_that_somebody_brought_is_shown_by_its_digest() -> None:
    made = brought(digits())
    keep(Home.find().store, made)
    first = done("show", made.sha256[:16]).partition("\n")[0]
    assert first.startswith("brought artifact ")
    assert first.endswith(f"{made.sha256}: images")


def test_an_experiment_file_is_shown_from_any_folder(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    write(TINY, "below/tiny.yml")
    assert yaml.safe_load(done("show", tmp_path / "below" / "tiny.yml"))["name"] == "tiny"
