"""What a result says of the machine it was made on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.record import provenance
from bench.record.provenance import machine_name, processor_name
from tests.making.records import record

INTEL = """\
processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 85
model name\t: Intel(R)  Xeon(R) Platinum 8175M CPU @ 2.50GHz

processor\t: 1
cpu family\t: 7
"""
ARM = """\
processor\t: 0
CPU implementer\t: 0x41
CPU part\t: 0xd40
"""


@pytest.fixture(autouse=True)
def _asked_again() -> Iterator[None]:
    processor_name.cache_clear()
    yield
    processor_name.cache_clear()


@pytest.mark.parametrize(
    ("told", "name"),
    [
        (INTEL, "Intel(R) Xeon(R) Platinum 8175M CPU @ 2.50GHz, family 6, model 85, AVX9"),
        (ARM, "made-up, implementer 0x41, part 0xd40, AVX9"),
        (None, "made-up, AVX9"),
    ],
    ids=["intel", "arm", "not Linux"],
)
def test_a_processor_is_named_with_its_generation_and_the_instructions_that_torch_uses(
    told: str | None, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if told is not None:
        (tmp_path / "cpuinfo").write_text(told)
    monkeypatch.setattr(provenance, "_CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr("platform.processor", lambda: "made-up")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX9")
    assert machine_name(torch.device("cpu")) == name


def test_a_record_of_a_cpu_tells_its_processor_and_one_of_before_is_written_as_it_was() -> None:
    assert provenance.provenance(torch.device("cpu"))["processor"] == processor_name()
    assert '"processor": "Some 486"' in record(processor="Some 486").to_json()
    assert "processor" not in record().to_json()


@pytest.mark.parametrize(
    ("origin", "machine"),
    [
        ({"device": "cpu", "processor": "Some 486"}, "Some 486"),
        ({"device": "Some GPU", "processor": None}, "Some GPU"),
        ({"device": "Some GPU"}, "Some GPU"),
        ({"device": "cpu"}, None),
    ],
)
def test_the_machine_of_what_was_made_before_is_told_as_far_as_it_is_known(
    origin: dict[str, Any], machine: str | None
) -> None:
    assert provenance.machine_of(origin) == machine
