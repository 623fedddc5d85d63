"""Packed files of tensors: nothing is lost, what perturbations and weights have in common with others is not kept."""

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from bench.store.packing import BLOCK, Bytes, NotPacked, blocks_of, restored, squeezed, unsqueezed, without_last_bits


def as_bytes(tensor: Tensor) -> Bytes:
    return tensor.contiguous().view(torch.uint8).flatten().numpy()


def packed(data: bytes, like: dict[str, Bytes] | None = None) -> int:
    """Return what a file takes packed, once it was seen that it comes back."""
    blocks = list(blocks_of(data, like or {}))
    assert max(map(len, blocks)) <= BLOCK
    small = [squeezed(block) for block in blocks]
    back = b"".join(unsqueezed(one, len(block)) for one, block in zip(small, blocks, strict=True))
    assert restored(back, like or {}) == data
    return sum(map(len, small))


def images(seed: int, count: int = 100) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, 32, 32), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize(
    "dtype",
    [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int16, torch.uint8, torch.bool],
)
@pytest.mark.parametrize("shape", [(), (0, 3), (7,), (300, 321)])
def test_a_file_comes_back_byte_by_byte(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    random = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 100
    packed(save({"a": random.to(dtype), "between": torch.arange(5), "z": random.to(dtype).clone()}))


def test_a_file_larger_than_a_block_comes_back() -> None:
    packed(save({"large": torch.arange(BLOCK // 2 + 3), "small": torch.zeros(2)}))


def test_every_difference_of_two_bytes_is_kept() -> None:
    clean = torch.arange(256, dtype=torch.uint8).repeat(256)
    protected = torch.arange(256, dtype=torch.uint8).repeat_interleave(256)
    packed(save({"images": protected}), {"images": as_bytes(clean)})


def test_bytes_of_another_size_are_not_taken_for_alike() -> None:
    packed(save({"images": images(1)}), {"images": as_bytes(images(0, count=99))})


def test_a_protected_set_takes_what_its_perturbation_takes() -> None:
    clean = images(0).clamp(8, 247)
    signs = 16 * torch.randint(0, 2, clean.shape, generator=torch.Generator().manual_seed(1)) - 8
    data = save({"images": (clean + signs).to(torch.uint8)})
    assert packed(data) > 0.9 * len(data)  # the images are noise themselves
    assert packed(data, {"images": as_bytes(clean)}) < 0.2 * len(data)  # a bit of eight, and what codes cost
    assert packed(save({"images": clean}), {"images": as_bytes(clean)}) < 0.01 * len(data)


def test_weights_take_less_packed_and_less_than_half_of_that_in_bfloat16() -> None:
    data = save({"kernel": 0.05 * torch.randn(512, 256, generator=torch.Generator().manual_seed(0))})
    exact = packed(data)
    assert exact < 0.92 * len(data)
    assert packed(without_last_bits(data)) < 0.5 * exact


def test_an_equal_tensor_in_another_file_is_equal_blocks() -> None:
    weights = torch.randn(200, 300)
    first = set(blocks_of(save({"kernel": weights, "bias": torch.ones(3)}), {}))
    second = set(blocks_of(save({"network.kernel": weights, "momentum": torch.zeros(9)}), {}))
    assert sum(map(len, first & second)) == 4 * weights.numel()


def test_matrices_are_rounded_to_bfloat16_as_torch_rounds_and_all_else_stays() -> None:
    tensors = {
        "kernel": torch.randn(64, 3, 3, 3),
        "ties": torch.tensor([[1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-8, 0.0]]),
        "variance": torch.rand(64),
        "steps": torch.arange(6).reshape(2, 3),
        "double": torch.randn(4, 4).double(),
    }
    rounded = load(without_last_bits(save(tensors)))
    for name, value in tensors.items():
        expected = value.bfloat16().float() if name in ("kernel", "ties") else value
        assert torch.equal(rounded[name], expected), name
    assert not torch.equal(rounded["kernel"], tensors["kernel"])


def test_a_block_never_unpacks_to_more_than_it_declares() -> None:
    bomb = squeezed(bytes(BLOCK))
    assert len(bomb) < BLOCK / 100
    for size in (0, 10, BLOCK - 1, BLOCK + 1):
        with pytest.raises(NotPacked, match=f"does not unpack to the {size} bytes"):
            unsqueezed(bomb, size)


@pytest.mark.parametrize("data", [b"", b"no deflate", squeezed(b"abc")[:-1], squeezed(b"abc") + b"x"])
def test_what_was_not_packed_is_refused(data: bytes) -> None:
    with pytest.raises(NotPacked):
        unsqueezed(data, 3)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 8,
        b"\x02" + bytes(7) + b"[]",
        save({"a": torch.ones(4)})[:-1],
        save({"a": torch.ones(4)}) + b"\0",
        save({"a": torch.ones(4)}).replace(b"[0,16]", b"[8,16]"),
        save({"a": torch.ones(4)}).replace(b"[0,16]", b"[0,-6]"),
    ],
)
def test_blocks_of_no_file_of_tensors_are_refused(data: bytes) -> None:
    with pytest.raises(NotPacked):
        restored(data, {})
