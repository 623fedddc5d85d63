"""sepbench from Python: `import bench`, and what its calls give back."""

import inspect
import shutil
import sqlite3
import subprocess
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, assert_type

import matplotlib.figure
import numpy as np
import pandas as pd
import pytest
import torch
import yaml

import bench
from bench.contracts.plugin_files import attach
from bench.flows.arguments import as_arguments
from bench.flows.from_python import interrupted
from bench.flows.run import run
from bench.plan.make import plan_experiment
from bench.read.verdict import Outcome
from bench.record.record import Record, read_records
from bench.run.invocation import Summary
from bench.run.stopping import TIME_IS_UP
from bench.spec.experiment import Experiment
from bench.spec.file import load_experiment
from tests.making.experiments import FIELDS, TINY
from tests.making.pages import ROOT
from tests.making.plugin_sources import GOOD, method, write_plugin
from tests.making.tiny_data import complaint


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, where nobody has said where to keep anything, not even for a while."""
    (tmp_path / "work").mkdir()
    (tmp_path / "temporary").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.delenv("SEPBENCH_HOME", raising=False)
    return tmp_path


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bench.Result]:
    """What the tiny experiment comes to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SEPBENCH_HOME", raising=False)
        yield bench.run(FIELDS, progress=False)


# The package.


@pytest.mark.parametrize("name", bench.__all__)
def test_what_the_package_offers_is_there_and_described(name: str) -> None:
    assert name in dir(bench)
    assert getattr(bench, name).__doc__


def test_importing_it_imports_nothing_heavy() -> None:
    code = "import sys, bench; print({'torch', 'mlflow', 'pandas', 'numpy', 'pydantic', 'click'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)}, check=True
    )
    assert done.stdout == "set()\n"


def test_the_folder_and_the_function_share_their_name() -> None:
    from bench.run.progress import Silence

    assert callable(bench.run)
    assert Silence.__module__ == "bench.run.progress"
    assert sys.modules["bench.run"].stopping.Stop.__module__ == "bench.run.stopping"


def test_help_on_run_is_that_of_the_function() -> None:
    assert inspect.getdoc(bench.run) == inspect.getdoc(run)
    assert inspect.signature(bench.run) == inspect.signature(run)


def test_what_it_does_not_offer_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'protekt'"):
        bench.protekt  # noqa: B018


def test_calls_are_typed() -> None:
    def typed(images: np.ndarray, batch: torch.Tensor, labels: list[int]) -> None:
        assert_type(bench.run("quickstart"), bench.Result)
        assert_type(bench.protect(batch, labels), torch.Tensor)
        assert_type(bench.protect(images, labels), np.ndarray)
        found = assert_type(bench.evaluate(batch, images, labels), bench.Result)
        assert_type(found.records, pd.DataFrame)
        assert_type(found.plot(), matplotlib.figure.Figure)

    assert typed.__name__ == "typed"  # mypy has looked into it


# What comes back.


def test_records_are_a_frame_with_a_row_for_each_victim(result: bench.Result) -> None:
    frame = result.records
    assert list(frame.columns) == list(Record.model_fields)
    assert sorted(frame.method) == ["none", "random-noise", "sep"]
    assert frame.test_acc.dtype == np.float64
    assert frame.test_acc.between(0, 100).all()


def test_the_table_is_shown_in_a_notebook_and_printed_at_a_prompt(result: bench.Result) -> None:
    printed = str(result.table)
    assert printed.startswith("**tiny: test accuracy (%)**")
    assert result.table._repr_markdown_() == printed
    assert result.table._repr_html_().startswith("<figure>")


def test_the_tables_numbers_are_a_frame(result: bench.Result) -> None:
    frame = result.table.frame()
    assert sorted(frame.method) == ["none", "random-noise", "sep"]
    means = dict(zip(frame.method, frame["mean"], strict=True))
    assert means == pytest.approx(dict(zip(result.records.method, result.records.test_acc, strict=True)))


def test_figures_are_those_of_records_and_shown_in_a_notebook(result: bench.Result) -> None:
    figure = result.plot()
    assert isinstance(figure, matplotlib.figure.Figure)
    shown: Any = figure
    assert shown._repr_png_().startswith(b"\x89PNG")
    assert complaint(result.plot, "curves").startswith("unknown kind of plot from records 'curves'")


def test_the_verdict_is_there_where_one_protection_was_judged(result: bench.Result) -> None:
    assert result.verdict is not None
    assert result.verdict.question == "Does sep within linf-32 hold on digits?"
    assert result.verdict.outcome is Outcome.UNKNOWN  # two epochs teach nothing
    assert result.verdict.text() in repr(result)
    assert "**tiny: test accuracy (%)**" in result._repr_markdown_()


def test_of_several_protections_there_is_no_verdict(result: bench.Result, tmp_path: Path) -> None:
    fields = {**FIELDS, "budgets": ["linf-16", "linf-32"]}
    experiment = Experiment.model_validate(fields)
    plan = plan_experiment(experiment, tmp_path)
    both = [one.model_copy(update={"budget": size}) for one in result.measured for size in (16.0, 32.0)]
    assert bench.Result(plan, both).verdict is None


# What is asked for.


def test_nothing_is_left_that_nobody_asked_for(nowhere: Path, capfd: pytest.CaptureFixture[str]) -> None:
    done = bench.run(FIELDS, only={"method": "none"}, progress=False)
    assert [one.method for one in done.measured] == ["none"]
    assert files(nowhere) == []
    assert capfd.readouterr() == ("", "")


def test_a_home_keeps_the_work_and_the_command_goes_on_from_there(
    nowhere: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    home = nowhere / "home"
    first = bench.run(FIELDS, only={"method": ["none", "random-noise"]}, home=home)
    told = capfd.readouterr().err
    assert "[4/4] victim random-noise linf-32 · resnet8 · plain · seed 0: " in told
    again = bench.run(FIELDS, only=["method=none", "method=random-noise"], home=home)
    assert capfd.readouterr().err == ""
    assert again.records.equals(first.records)
    assert {one.key for one in read_records(home / "records")} == {one.key for one in first.measured}
    assert not (home / "mlflow.db").exists()


def test_a_home_in_the_environment_is_asked_for(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPBENCH_HOME", str(nowhere / "mine"))
    bench.run(FIELDS, only={"method": "none"}, progress=False)
    assert read_records(nowhere / "mine" / "records")


def test_an_experiment_is_a_path_a_mapping_or_itself_and_is_the_same(nowhere: Path) -> None:
    Path("tiny.yaml").write_text(TINY)
    home = nowhere / "home"
    asked: list[Any] = ["tiny.yaml", Path("tiny.yaml"), FIELDS, yaml.safe_load(TINY), load_experiment("tiny.yaml")]
    keys = [
        {one.key for one in bench.run(one, only={"method": "none"}, home=home, progress=False).measured}
        for one in asked
    ]
    assert len(keys[0]) == 1
    assert keys == keys[:1] * len(asked)


def test_changes_are_those_of_the_command_and_records_say_so(nowhere: Path) -> None:
    home = nowhere / "home"
    changed = bench.run(FIELDS, set={"recipe.epochs": 1, "methods": ["none"]}, home=home, progress=False)
    (record,) = changed.measured
    assert record.epochs == 1
    assert record.overrides == ("recipe.epochs=1", "methods=[none]")
    further = bench.run(changed.plan.experiment, set=["seeds=[1]"], home=home, progress=False)
    assert [(one.epochs, one.seed, one.overrides) for one in further.measured] == [
        (1, 1, ("recipe.epochs=1", "methods=[none]", "seeds=[1]"))
    ]


def test_a_time_limit_gives_back_what_there_is(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.flows.from_python.parse_duration", lambda text, option: 0.0)
    stopped = bench.run(FIELDS, time_limit="9m", progress=False)
    assert stopped.measured == ()
    assert len(stopped.records) == 0
    assert stopped.table.missing == stopped.table.runs == 3


def test_a_person_who_stops_it_stops_what_comes_after_it_too() -> None:
    with pytest.raises(KeyboardInterrupt, match="stopped by Ctrl-C after 3 stages"):
        interrupted(Summary([], 3, "stopped by Ctrl-C"))
    interrupted(Summary([], 3, TIME_IS_UP))
    interrupted(Summary([], 3))


@pytest.mark.slow
def test_mlflow_is_told_where_it_is_asked_for(nowhere: Path, empty_database: Path) -> None:
    home = nowhere / "home"
    home.mkdir()
    shutil.copy(empty_database, home)
    bench.run(FIELDS, only={"method": "none"}, home=home, progress=False, mlflow=True)
    with closing(sqlite3.connect(home / "mlflow.db")) as database:
        names = {name for (name,) in database.execute("select name from runs")}
    assert any("victim none" in name for name in names)


def test_mlflow_is_not_told_what_would_be_gone(nowhere: Path) -> None:
    with pytest.raises(bench.SepbenchError, match=r"give home=FOLDER, or set MLFLOW_TRACKING_URI"):
        bench.run(FIELDS, mlflow=True)


def test_a_thread_of_its_own_runs_it_as_well(nowhere: Path) -> None:
    """Python takes signals in the main thread alone."""
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(bench.run, FIELDS, only={"method": "none"}, progress=False).result()
    assert [one.status for one in done.measured] == ["done"]


def test_a_failed_cell_is_among_the_records_with_its_reason(nowhere: Path) -> None:
    pretrained = {"pretrained": {"weights": str(nowhere / "weights.pt")}}
    (nowhere / "weights.pt").write_bytes(b"nothing")
    failed = bench.run(FIELDS, set={"defenses": [pretrained], "methods": ["none"]}, progress=False)
    assert len(failed.failures) == 1
    assert f"Failed: none resnet8 {failed.failures[0].defense} seed 0: " in repr(failed)


@pytest.mark.parametrize(
    ("experiment", "options", "said"),
    [
        ("quickstrat", {}, "unknown experiment 'quickstrat': did you mean quickstart?"),
        ("quickstart", {"set": {"recipe.epoch": 5}}, "set recipe.epoch=5: "),
        ("quickstart", {"set": {"seeds": object()}}, "seeds holds a object: write text, numbers, lists and mappings"),
        ("quickstart", {"only": {"method": "em"}}, "only method=em: no cell has it"),
        ("quickstart", {"only": ["method"]}, "only=method: write FIELD=VALUE"),
        ("quickstart", {"devices": "tpu"}, "devices=tpu: there is no such device"),
        ("quickstart", {"jobs": 0}, "jobs=0: give one or more processes"),
        ("quickstart", {"force": ["victims"]}, "unknown stage of force='victims'"),
        ("quickstart", {"force": "craf"}, "unknown stage of force='craf': did you mean craft?"),
        ("quickstart", {"force": 3}, "force=3: give kinds of stages, such as ['craft']"),
        ("quickstart", {"devices": 0}, "devices=0: give 'cpu', 'cuda', 'cuda:1' or 'auto'"),
        ("quickstart", {"devices": "cuda:77"}, "devices=cuda:77 asks for a GPU, and "),
        ("quickstart", {"set": 3}, "set=3: give fields with their values, such as {'recipe.epochs': 5}"),
        ("quickstart", {"only": 3}, "only=3: give fields with their values, such as {'seed': 0}"),
        ("quickstart", {"home": 3}, "home=3: give the path of a folder, or None"),
        ("quickstart", {"jobs": 1.5}, "jobs=1.5: give one or more processes"),
        ("quickstart", {"time_limit": 60}, "time_limit=60: give a duration such as '90s', '9m' or '1h30m'"),
        ("quickstart", {"stage_limit": "soon"}, "stage_limit=soon: write a duration such as 90s"),
        ("quickstart", {"time_limit": "soon"}, "time_limit=soon: write a duration such as 90s"),
        ({**FIELDS, "budget": ["linf-8"]}, {}, "the experiment: "),
        ({**FIELDS, "victims": ["resnet9"]}, {}, "the experiment: victims.0: "),
        ({}, {}, "the experiment: "),
    ],
)
def test_what_is_wrong_is_one_sentence(experiment: Any, options: dict[str, Any], said: str, nowhere: Path) -> None:
    with pytest.raises(bench.SepbenchError) as caught:
        bench.run(experiment, progress=False, **options)
    assert said in str(caught.value)
    assert " --" not in f" {caught.value}"
    assert caught.value.__cause__ is None
    assert files(nowhere) == []


MINE = FIELDS | {"methods": ["none", "mine"], "dataset": {"name": "digits", "limit": 40, "test_limit": 20}}


def warned(experiment: Any, home: Path, **options: Any) -> list[str]:
    """Return what a run warns of, each at a line of this file."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        bench.run(experiment, only={"method": "mine"}, home=home, progress=False, **options)
    told = [one for one in caught if issubclass(one.category, UserWarning)]
    assert {one.filename for one in told} <= {__file__}
    return [str(one.message) for one in told]


def test_a_changed_plugin_is_warned_of_at_the_line_of_the_caller(nowhere: Path, plugins_as_before: None) -> None:
    attach([write_plugin(GOOD)])
    assert warned(MINE, nowhere / "home") == []
    attach([write_plugin(GOOD.replace("+ budget.radius", "- budget.radius"))])
    assert warned(MINE, nowhere / "home") == [
        "the source of the method mine (mine.py) has changed since 1 protected set was made, and its version has not: "
        'what is there is used as it is; raise the version, or make it anew with force=["craft"]'
    ]
    (sentence,) = warned(MINE, nowhere / "home", force="craft")
    assert sentence.startswith("mine linf-32, crafted anew by force, is not what it was (")


def test_a_plugin_that_ends_python_has_failed(nowhere: Path, plugins_as_before: None) -> None:
    ends = method("return data.x", more="    def needs(self):\n        raise SystemExit(0)")
    attach([write_plugin(ends)])
    with pytest.raises(bench.SepbenchError, match=r"^a plug-in ends Python \(SystemExit: 0\): repair it$"):
        bench.run(MINE, progress=False)


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("--name 'a b' cannot name files", "name='a b' cannot name files"),
        ("--name sep is a method of sepbench", "name=sep is a method of sepbench"),
        ("--test x.npz: it has its own: leave --test out", "test=x.npz: it has its own: leave test out"),
        ("--time-limit abc: write 9m", "time_limit=abc: write 9m"),
        ("use --devices cpu, or see sepbench doctor", "use devices=cpu, or see sepbench doctor"),
        ("give a smaller --jobs", "give a smaller jobs"),
        ("--only leaves no cell", "only leaves no cell"),
        ("what no call has, such as --as images", "what no call has, such as --as images"),
    ],
)
def test_sentences_on_options_speak_of_arguments(sentence: str, said: str) -> None:
    assert as_arguments(sentence) == said
