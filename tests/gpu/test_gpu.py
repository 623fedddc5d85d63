"""The main job on a GPU: `pytest -m gpu`, skipped where there is none."""

import json
from pathlib import Path

import pytest
import torch

from bench.cli.app import main
from bench.record.record import read_records
from tests.making.experiments import FIELDS

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

TWO_BUDGETS = {**FIELDS, "budgets": ["linf-32", "l2-2"]}


def test_a_run_on_a_gpu_leaves_records_that_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPBENCH_HOME", str(tmp_path / "home"))
    spec = tmp_path / "tiny.yaml"
    spec.write_text(json.dumps(TWO_BUDGETS))  # JSON is YAML
    main(["run", str(spec), "--devices", "cuda", "--no-mlflow"])
    records = read_records(tmp_path / "home" / "records")
    assert len(records) == 5
    for record in records:
        assert record.status == "done", record.reason
        assert record.device == torch.cuda.get_device_name(0)
        assert not record.deterministic
        if record.norm == "linf":
            assert record.linf_levels is not None
            assert record.linf_levels <= 32
        if record.norm == "l2":
            assert record.l2 is not None
            assert record.l2 <= 2


def test_training_compiles_on_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPBENCH_HOME", str(tmp_path / "home"))
    spec = tmp_path / "tiny.yaml"
    spec.write_text(json.dumps(TWO_BUDGETS))
    main(["run", str(spec), "--devices", "cuda", "--no-mlflow", "--compile", "--only", "method=random-noise"])
    records = read_records(tmp_path / "home" / "records")
    assert records
    assert {(record.status, record.compiled) for record in records} == {("done", True)}
