"""Seeds of independent streams: the same on every machine and for ever, and different for every purpose."""

import hashlib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.seeds import derive


@pytest.mark.parametrize(
    ("seed", "purpose", "golden"),
    [
        (0, ("weights",), 133441691874178746),
        (1, ("weights",), 5164344575451445340),
        (0, ("training",), 3451234928535173333),
        (0, ("craft",), 7678273771347530553),
        (0, ("epoch", 0), 3436799098431864646),
        (0, ("epoch", 1), 123735704575244949),
        (0, ("defense", 0), 8603684838793175928),
    ],
)
def test_derived_seeds_never_change(seed: int, purpose: tuple[str | int, ...], golden: int) -> None:
    assert derive(seed, *purpose) == golden


def test_a_derived_seed_is_63_bits_of_a_sha256() -> None:
    digest = hashlib.sha256(b"7/epoch/3").hexdigest()
    assert derive(7, "epoch", 3) == int(digest[:16], 16) // 2


words = st.from_regex(r"[a-z]{1,8}", fullmatch=True)
purposes = st.tuples(st.integers(0, 2**40), words) | st.tuples(st.integers(0, 2**40), words, st.integers(0, 10_000))


@settings(derandomize=True, deadline=None, max_examples=200)
@given(first=purposes, second=purposes)
def test_other_seeds_and_other_purposes_get_other_streams(
    first: tuple[int, str, int], second: tuple[int, str, int]
) -> None:
    assert (derive(*first) == derive(*second)) == (first == second)


def test_the_streams_of_neighbouring_epochs_have_nothing_in_common() -> None:
    draws = [torch.rand(2000, generator=torch.Generator().manual_seed(derive(0, "epoch", epoch))) for epoch in range(6)]
    correlation = torch.corrcoef(torch.stack(draws)) - torch.eye(6)
    assert float(correlation.abs().max()) < 0.1


def test_a_generator_takes_every_derived_seed() -> None:
    for seed in range(200):
        assert 0 <= derive(seed, "weights") < 2**63
        torch.Generator().manual_seed(derive(seed, "weights"))
