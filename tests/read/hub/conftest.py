"""What tests of protected sets that are handed on share: a folder of them."""

from pathlib import Path

import pytest

from tests.making.asking import Finished, done


@pytest.fixture
def folder(finished: Finished, tmp_path: Path) -> Path:
    """The protected sets of the tiny experiment, with its clean test images."""
    done("export", "tiny.yaml", "--hub", tmp_path / "hub", "--with-test")
    return tmp_path / "hub"
