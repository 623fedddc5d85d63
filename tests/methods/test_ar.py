"""Autoregressive noise: what the method promises of its processes and signals."""

import pytest
import torch
from torch import Tensor

from bench.core.errors import SepbenchError
from methods.ar import find_processes, response, signals
from tests.making.grey import added, grey, method


@pytest.fixture(scope="module")
def processes() -> Tensor:
    return find_processes(10, 10.0, 1_000_000, 0)


def unit(noise: Tensor) -> Tensor:
    scaled: Tensor = noise / noise.flatten(1).norm(dim=1)[:, None, None, None]
    return scaled


def slow_signal(process: Tensor, start: Tensor) -> Tensor:
    """Return one signal cell by cell, in double precision."""
    signal = start.double().clone()
    _, height, width = signal.shape
    for channel in range(3):
        for row in range(2, height):
            for column in range(2, width):
                total = 0.0
                for down in range(3):
                    for right in range(3):
                        if (down, right) != (2, 2):
                            weight = float(process[channel, down, right])
                            total += weight * float(signal[channel, row - 2 + down, column - 2 + right])
                signal[channel, row, column] = total
    return signal[:, 4:, 4:]


def test_signals_are_those_of_a_scan_cell_by_cell(processes: Tensor) -> None:
    start = torch.randn(2, 3, 12, 13, generator=torch.Generator().manual_seed(1))
    fast = signals(processes[:2], start)
    for number in range(2):
        assert torch.allclose(fast[number].double(), slow_signal(processes[number], start[number]), atol=1e-4)


def test_weights_sum_to_one_and_the_last_place_is_the_result(processes: Tensor) -> None:
    assert torch.allclose(processes.sum((-1, -2)), torch.ones(10, 3), atol=1e-4)
    assert float(processes[..., 2, 2].abs().max()) == 0


def test_a_filter_answers_zero_to_its_own_process_and_not_to_those_that_came_later(processes: Tensor) -> None:
    start = torch.randn(10, 3, 36, 36, generator=torch.Generator().manual_seed(2))
    noise = unit(signals(processes, start))
    for own, signal in enumerate(noise):
        assert response(signal, processes[own]) < 1e-3
        assert all(response(signal, processes[other]) > 1 for other in range(10) if other != own)


def test_a_classifier_of_the_filters_reads_every_image_of_the_noise(processes: Tensor) -> None:
    data = grey([number % 10 for number in range(30)])
    noise = added(method("ar"), "l2-1", data)
    assert torch.allclose(noise.flatten(1).norm(dim=1), torch.tensor(1.0), rtol=1e-4)
    found = method("ar")
    added(found, "l2-1", data)
    answers = [[response(signal, process) for process in found.processes] for signal in noise]  # type: ignore[attr-defined]
    assert torch.tensor(answers).argmin(1).tolist() == data.y.tolist()


def test_every_image_has_noise_of_its_own() -> None:
    noise = added(method("ar"), "l2-1", grey([0, 0, 0]))
    assert len(noise.flatten(1).unique(dim=0)) == 3


def test_too_few_candidates_is_one_sentence() -> None:
    with pytest.raises(SepbenchError, match="ar: 20 candidates gave 0 of 10 processes that differ by"):
        find_processes(10, 10.0, 20, 0)
