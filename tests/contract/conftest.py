"""Fixtures of the contract tests."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from crafting import digits
from safetensors.torch import save_file

from bench.contracts.network import build_network
from bench.data.images import images_digest


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Compute with one thread: tiny tensors gain nothing from more, and waiting for a busy core costs seconds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what defenses read from files: a purified copy of the digits, and pretrained weights."""
    folder = tmp_path_factory.mktemp("outside")
    images = digits().images
    (folder / "purified").mkdir()
    copy = (images // 2).permute(0, 2, 3, 1).numpy()
    np.savez(folder / "purified" / f"{images_digest(images)}.npz", images=copy)
    network = build_network("resnet8", 10, images, normalise=False, seed=3, device=torch.device("cpu"))
    weights = {name: value.contiguous() for name, value in network.classifier.state_dict().items()}
    save_file(weights, folder / "weights.safetensors")
    return folder


@pytest.fixture(autouse=True)
def _files_of_defenses(outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPBENCH_PURIFIED", str(outside / "purified"))
    monkeypatch.setenv("SEPBENCH_PRETRAINED", str(outside / "weights.safetensors"))


@pytest.fixture
def empty_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Import name of a package without plug-ins, for registries of the tests' own."""
    (tmp_path / "a_package_without_plugins").mkdir()
    (tmp_path / "a_package_without_plugins" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    return "a_package_without_plugins"
