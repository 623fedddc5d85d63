"""Three norms in one experiment, from the file that asks for them to the page that shows them."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.api import METHODS, Budget, CraftContext, CraftData, Method
from bench.core.registry import Registry
from bench.record.record import Record, read_records
from bench.record.tracking import default_uri
from tests.making.asking import done, refusal, write

pytestmark = pytest.mark.usefixtures("own_place")

TRACKS = """\
name: tracks
recipe:
  name: digits
  epochs: 2
dataset:
  name: digits
  limit: 80
  test_limit: 40
surrogate: resnet8
budgets: [linf-32, l0-4, unbounded]
methods: [none, random-noise, class-tint]
victims: [resnet8]
seeds: [0, 1]
table:
  rows: method
  columns: [budget]
"""


class ClassTint(Method):
    """Half the image, half a colour of its class."""

    norms = ("unbounded",)
    per_sample = True

    def craft(self, data: CraftData, budget: Budget | None, ctx: CraftContext) -> Tensor:
        """Blend each image with the colour of its class."""
        assert budget is not None
        colours = torch.rand(data.classes, 3, 1, 1, generator=ctx.generator())
        return budget.project(data.x, (data.x + colours[data.y.cpu()].to(data.x.device)) / 2)


@pytest.fixture(scope="module", autouse=True)
def _the_method() -> Iterator[None]:
    """Register the method for these tests alone."""
    METHODS.names()  # finds the others first
    before = dict(METHODS._plugins)
    METHODS.register("class-tint")(ClassTint)
    yield
    METHODS._plugins.clear()
    METHODS._plugins.update(before)
    assert isinstance(METHODS, Registry)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the experiment once, with its results beside it."""
    folder = tmp_path_factory.mktemp("tracks")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        monkeypatch.setenv("SEPBENCH_HOME", str(folder / "home"))
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        done("run", write(TRACKS, "tracks.yaml"), "--results", "results")
    return folder


@pytest.fixture
def there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work where it has run."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SEPBENCH_HOME", str(folder / "home"))
    return folder


@pytest.fixture
def records(there: Path) -> list[Record]:
    return read_records(there / "results" / "records")


def test_records_name_the_norm_and_a_size_where_it_has_one(records: list[Record]) -> None:
    assert {(one.method, one.norm, one.budget) for one in records} == {
        ("none", None, None),
        ("random-noise", "linf", 32.0),
        ("random-noise", "l0", 4.0),
        ("class-tint", "unbounded", None),
    }
    assert {one.status for one in records} == {"done"}


def test_the_audit_of_the_bytes_keeps_each_bound_and_tells_of_what_has_none(records: list[Record]) -> None:
    for one in records:
        assert one.l0 is not None
        assert one.linf_levels is not None
        assert one.norm != "l0" or one.l0 <= 4 < one.linf_levels
        assert one.norm != "linf" or one.linf_levels <= 32 < one.l0
        if one.norm == "unbounded":
            assert one.l0 == 16 * 16
            assert one.psnr is not None
            assert one.ssim is not None
            assert 0 < one.ssim < 1


def test_the_table_has_psnr_and_ssim_where_nothing_bounds_the_change(there: Path, records: list[Record]) -> None:
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done("table", "tracks.yaml").splitlines()]
    head, _, *rows = [line for line in lines if line]
    assert head == ["method", "linf-32", "l0-4", "unbounded", "unbounded · PSNR (dB)", "unbounded · SSIM"]
    tint = next(one for one in records if one.method == "class-tint")
    by_method = {row[0]: row[-2:] for row in rows}
    assert by_method == {
        "none": ["–", "1.000"],  # noqa: RUF001
        "random-noise": ["", ""],
        "class-tint": [f"{tint.psnr:.1f}", f"{tint.ssim:.3f}"],
    }


def test_json_has_the_norm_without_a_budget_and_what_stands_beside_it(there: Path, records: list[Record]) -> None:
    cells = json.loads(done("table", "tracks.yaml", "--format", "json"))["cells"]
    (tint,) = [cell for cell in cells if cell["method"] == "class-tint" and cell["n"]]
    expected = next(one for one in records if one.method == "class-tint")
    assert (tint["norm"], tint["budget"]) == ("unbounded", None)
    assert (tint["psnr"], tint["ssim"]) == (expected.psnr, expected.ssim)
    assert all("psnr" not in cell for cell in cells if cell["norm"] != "unbounded")


def test_the_experiment_log_and_the_records_give_the_same_table(there: Path) -> None:
    for form in ("md", "csv", "json"):
        kept = (there / "results" / "tables" / f"tracks.{form}").read_text()
        assert done("table", "tracks.yaml", "--format", form) == kept
        assert done("table", "tracks.yaml", "--format", form, "--records", "results/records") == kept
    columns = next(csv.reader(io.StringIO(done("table", "tracks.yaml", "--format", "csv"))))
    assert columns[-3:] == ["psnr", "ssim", "keys"]


def test_runs_are_tagged_with_their_norm(mlflow: Any, there: Path) -> None:
    client = mlflow.MlflowClient(default_uri(there / "home"))
    (experiment,) = (one for one in client.search_experiments() if one.name == "tracks")

    def tagged(norm: str) -> set[tuple[str, str | None]]:
        found = client.search_runs([experiment.experiment_id], f"tags.norm = '{norm}'")
        return {(run.data.tags["method"], run.data.tags.get("budget")) for run in found}

    assert tagged("unbounded") == {("class-tint", None)}
    assert {method for method, _ in tagged("l0")} == {"random-noise"}


@pytest.mark.parametrize("budget", ["linf-32", "l0-4", "unbounded"])
def test_one_track_can_be_run_and_shown_alone(there: Path, budget: str) -> None:
    labels = [
        one["label"]
        for one in json.loads(done("plan", "tracks.yaml", "--json", "--only", f"budget={budget}"))["stages"]
    ]
    assert labels
    assert all(f" {budget}" in label for label in labels)
    cells = json.loads(done("table", "tracks.yaml", "--format", "json", "--where", f"norm={budget.split('-')[0]}"))[
        "cells"
    ]
    assert {cell["norm"] for cell in cells if cell["n"]} == {None, budget.split("-")[0]}
    assert json.loads(done("table", "tracks.yaml", "--format", "json", "--where", f"budget={budget}"))["cells"] == cells


def test_every_track_stands_on_the_leaderboard(there: Path, records: list[Record]) -> None:
    done("leaderboard", "--records", "results/records", "--out", "index.html")
    page = Path("index.html").read_text(encoding="utf-8")
    data = json.loads(page.split('<script type="application/json" id="data">')[1].split("</script>")[0])
    tracks = {track["name"]: track for track in data["tracks"]}
    assert [tracks[name]["title"] for name in ("linf-32", "l0-4", "unbounded")] == [
        *("L∞ ≤ 32/255", "L0 ≤ 4 pixels", "unbounded")
    ]
    assert [one["name"] for one in tracks["unbounded"]["beside"]] == ["psnr", "ssim"]
    assert tracks["l0-4"]["beside"] == []
    ours = {row["method"]: row for row in data["rows"] if row["source"] is None}
    tint = next(one for one in records if one.method == "class-tint")
    assert tint.psnr is not None
    assert (ours["class-tint"]["psnr"], ours["class-tint"]["text"]["psnr"]) == (round(tint.psnr, 6), f"{tint.psnr:.1f}")
    assert ours["none"]["tracks"] == ["linf-32", "l0-4", "unbounded"]
    assert ours["none"]["text"]["ssim"] == "1.000"


def test_figures_have_a_panel_for_each_track(there: Path) -> None:
    done("plot", "tracks.yaml", "--kind", "bars", "--records", "results/records", "--out", "figures")
    (figure,) = Path("figures").glob("tracks-bars.svg")
    drawn = figure.read_text(encoding="utf-8")
    assert drawn.count("unbounded") >= 1


def test_a_method_without_a_bound_asks_for_that_track() -> None:
    message = refusal("plan", write(TRACKS.replace(", unbounded]", "]")))
    assert message.endswith(
        "method 'class-tint' needs a budget of norm unbounded, and there is none: add one, such as budgets: [unbounded]"
    )


@pytest.mark.parametrize("written", ["unbounded-3", "l0", "l0-1.5", "l0--1"])
def test_a_size_that_a_norm_does_not_have_is_refused(written: str) -> None:
    assert f"'{written}' is" in refusal("plan", write(TRACKS.replace("l0-4", written)))
