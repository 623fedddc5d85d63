"""The number format that a device computes in, and the one that records state."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from bench.core.device import precision, stated_precision

AMPERE, TURING = (8, 0), (7, 5)


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let the first GPU be of Ampere, and the second of Turing, which emulates bf16."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (AMPERE, TURING)[device.index])
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
    return monkeypatch


def test_auto_is_bf16_on_the_gpu_that_has_it_and_not_where_it_is_emulated(gpus: pytest.MonkeyPatch) -> None:
    assert precision(torch.device("cuda", 0)) == "bf16"
    assert precision(torch.device("cuda", 1)) == "fp32"


@pytest.mark.parametrize(
    ("device", "wanted", "stated"),
    [
        ("cuda:0", "auto", "bf16"),
        ("cuda:0", "fp32", "tf32"),
        ("cuda:1", "auto", "fp32"),
        ("cuda:1", "fp32", "fp32"),
        ("cpu", "auto", "fp32"),
        ("cpu", "fp32", "fp32"),
        ("cpu", "bf16", "bf16"),
    ],
)
def test_records_say_tf32_where_convolutions_of_fp32_round_to_it(
    device: str, wanted: str, stated: str, gpus: pytest.MonkeyPatch
) -> None:
    assert stated_precision(torch.device(device), wanted) == stated


@pytest.fixture
def convolutions() -> Iterator[Any]:
    """The setting of torch since 2.9, as it was."""
    setting = getattr(torch.backends.cudnn, "conv", None)
    if setting is None:
        pytest.skip("this torch has the older setting alone")
    before = setting.fp32_precision
    yield setting
    setting.fp32_precision = before


@pytest.mark.parametrize("how", ["ieee", "none"])
def test_the_newer_setting_is_read_too(how: str, convolutions: Any, gpus: pytest.MonkeyPatch) -> None:
    convolutions.fp32_precision = how
    assert stated_precision(torch.device("cuda", 0), "fp32") == "fp32"


def test_fp32_is_fp32_where_torch_is_told_so(gpus: pytest.MonkeyPatch) -> None:
    with torch.backends.cudnn.flags(allow_tf32=False):
        assert stated_precision(torch.device("cuda", 0), "fp32") == "fp32"
    assert stated_precision(torch.device("cuda", 0), "fp32") == "tf32"
    gpus.setenv("NVIDIA_TF32_OVERRIDE", "0")
    assert stated_precision(torch.device("cuda", 0), "fp32") == "fp32"
