"""Records come back from MLflow as they were written, for tables."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import SepbenchError
from bench.read.tables import render
from bench.read.tabulation import compile_table
from bench.record.tracking import (
    Tracker,
    default_uri,
    outbox,
    records,
    sync,
)
from bench.record.tracking.runs import log_stage
from bench.spec.file import load_experiment
from bench.store.home import Home
from tests.making.reports import STARTED, children, make_record, make_report

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


def test_records_from_mlflow_are_the_written_records(tracker: Tracker, uri: str) -> None:
    written = [make_record(f"{number:064x}", seed=number) for number in range(3)]
    for number, record in enumerate(written):
        tracker.stage(make_report(number, record=record))
    tracker.stage(make_report(9, kind="craft", record=None))
    assert sorted(records(uri, "quick"), key=lambda record: record.seed) == written


def test_a_record_too_long_for_a_tag_is_read_from_its_artifact(tracker: Tracker, uri: str) -> None:
    long = make_record(f"{1:064x}", overrides=tuple(f"recipe.note={'x' * 60}" for _ in range(150)))
    tracker.stage(make_report(1, record=long))
    assert "sepbench.record" not in children(uri)[0].data.tags
    assert records(uri, "quick") == [long]


def test_the_newest_run_of_a_key_is_its_record(tracker: Tracker, uri: str) -> None:
    failed = make_record(f"{1:064x}", status="failed", reason="killed", test_acc=None)
    tracker.stage(make_report(1, started=STARTED + 60, ended=STARTED + 61))
    tracker.stage(make_report(1, status="failed", reason="killed", record=failed))
    assert [record.status for record in records(uri, "quick")] == ["done"]


def test_more_than_one_page_of_records_is_read(tracker: Tracker, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.record.tracking.runs._PAGE", 2)
    for number in range(5):
        tracker.stage(make_report(number))
    assert {record.key for record in records(uri, "quick")} == {f"{number:064x}" for number in range(5)}


@pytest.fixture
def careless_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave out what only a power cut would tell: waiting for the disk, thousands of times."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def relax(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("pragma synchronous = off")

    monkeypatch.setattr("os.fsync", lambda _: None)
    event.listen(Engine, "connect", relax)
    yield
    event.remove(Engine, "connect", relax)


MANY = f"""
name: quick
recipe: cpu-small
dataset: digits
budgets: [linf-8]
methods: [{{sep: {{checkpoints: [1, 2, 3, 4, 5, 6, 7]}}}}]
surrogate: resnet8
victims: [resnet8]
seeds: {list(range(143))}
"""


@pytest.mark.slow
@pytest.mark.usefixtures("careless_disk")
def test_a_thousand_records_are_sent_once_each_and_give_the_table_that_their_files_give(
    uri: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sent in three goes: interrupted in the middle, then to the end, then all of them again."""
    settings = [(checkpoints, seed) for checkpoints in range(1, 8) for seed in range(143)]
    written = [
        make_record(
            f"{number:064x}",
            method_params={"checkpoints": checkpoints},
            seed=seed,
            test_acc=80 / checkpoints + seed * 37 % 11,
        )
        for number, (checkpoints, seed) in enumerate(settings)
    ]
    little: dict[str, Any] = {"params": {}, "metrics": {}, "curves": {}, "datasets": []}  # what tables do not need
    reports = [make_report(number, record=record, **little) for number, record in enumerate(written)]
    assert len(reports) == 1001  # a page of MLflow's has 1,000 runs
    for report in reports:
        outbox.put(home / "outbox", "quick", report)

    left = 500

    def log_500(*arguments: Any) -> None:
        nonlocal left
        log_stage(*arguments)
        left -= 1
        if left == 0:  # in MLflow, and still in the outbox
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("bench.record.tracking.sending.log_stage", log_500)
        with pytest.raises(KeyboardInterrupt):
            sync(uri, Home(home))
    second = sync(uri, Home(home))
    assert (second.sent, second.already, second.left) == (501, 1, 0)
    for report in reports:
        outbox.put(home / "outbox", "quick", report)
    third = sync(uri, Home(home))
    assert (third.sent, third.already, third.left) == (0, 1001, 0)

    with closing(sqlite3.connect(home / "mlflow.db")) as database:
        keys = database.execute("select value from tags where key = 'key' order by value").fetchall()
    assert keys == [(record.key,) for record in written]

    assert sorted(records(uri, "quick"), key=lambda record: record.key) == written
    (home / "quick.yaml").write_text(MANY)
    for record in written:
        (home / f"{record.key}.json").write_text(record.to_json())
    experiment = load_experiment(str(home / "quick.yaml"))
    from_mlflow = compile_table([experiment], Home(home), None, {})
    from_files = compile_table([experiment], Home(home), home, {})
    assert [cell.n for row in from_files.cells for cell in row if cell.method == "sep"] == [143] * 7
    for form in ("md", "csv", "json"):
        assert render(from_mlflow, form) == render(from_files, form)


def test_an_experiment_mlflow_does_not_know_is_said_in_one_sentence(uri: str, tmp_path: Path) -> None:
    with pytest.raises(SepbenchError, match=r"no experiment 'quikc'.*--records DIR"):
        records(uri, "quikc")
    with pytest.raises(SepbenchError, match=r"no experiment 'quick'.*--records DIR"):
        records(default_uri(tmp_path / "new"), "quick")
    assert not (tmp_path / "new").exists()


@pytest.mark.usefixtures("mlflow")
def test_a_server_that_is_away_is_said_in_one_sentence(closed_port: int) -> None:
    with pytest.raises(SepbenchError, match=r"cannot be read \(Connection refused\).*--records DIR"):
        records(f"http://127.0.0.1:{closed_port}", "quick")
