"""Fixtures of the contract tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Compute with one thread: tiny tensors gain nothing from more, and waiting for a busy core costs seconds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def empty_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Import name of a package without plug-ins, for registries of the tests' own."""
    (tmp_path / "a_package_without_plugins").mkdir()
    (tmp_path / "a_package_without_plugins" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    return "a_package_without_plugins"
