"""What is true of every plug-in there is, of whatever kind."""

import pytest

from bench.contracts.registries import REGISTRIES


@pytest.mark.parametrize("kind", REGISTRIES)
def test_none_is_broken(kind: str) -> None:
    assert [str(one) for one in REGISTRIES[kind].broken()] == []
