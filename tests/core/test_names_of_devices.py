"""Names of devices, and what they stand for."""

import pytest
import torch

from bench.core.device import choose_device, choose_devices
from bench.core.errors import SepbenchError


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("names", "devices"),
    [
        ("auto", ["cuda:0"]),
        ("all", ["cuda:0", "cuda:1"]),
        ("cuda", ["cuda:0"]),
        ("cuda:1, cuda:0", ["cuda:1", "cuda:0"]),
        ("cuda:1,cuda:1", ["cuda:1", "cuda:1"]),
        ("cpu,cpu,cpu", ["cpu", "cpu", "cpu"]),
    ],
)
def test_names_stand_for_devices_in_their_order(names: str, devices: list[str]) -> None:
    assert [str(device) for device in choose_devices(names)] == devices


def test_all_devices_of_a_machine_without_gpus_are_its_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert [str(device) for device in choose_devices("all")] == ["cpu"]


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("names", "says"),
    [
        ("cuda:0,cuda:2", "--devices cuda:2 asks for a GPU, and this machine has 2"),
        ("cuda:0,cpu", "--devices cuda:0,cpu: name GPUs or the CPU, not both"),
        ("cuda:0,,cuda:1", "--devices cuda:0,,cuda:1: write devices with commas between them"),
        ("all,cuda:0", "--devices all,cuda:0: write devices with commas between them"),
    ],
)
def test_names_that_stand_for_nothing_are_a_sentence(names: str, says: str) -> None:
    with pytest.raises(SepbenchError) as refused:
        choose_devices(names)
    assert str(refused.value).startswith(says)


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize("names", ["cuda:0,cuda:1", "all"])
def test_what_works_on_one_device_takes_one_name(names: str) -> None:
    with pytest.raises(SepbenchError, match="this command works on one device; write cpu, cuda or cuda:0"):
        choose_device(names)
