"""Where the batches of an epoch begin and end, and what to do about a batch of one image."""

from collections.abc import Iterator
from contextlib import contextmanager

from bench.core.errors import SepbenchError


def batches(count: int, size: int) -> list[slice]:
    """Return the batches of `count` images, `size` at a time; the rest is the last one.

    A rest of one image joins the batch before: batch norm learns nothing from one image, or refuses it.
    """
    starts = list(range(0, count, size))
    if joins(count, size):
        del starts[-1]
    return [slice(start, stop) for start, stop in zip(starts, [*starts[1:], count], strict=True)]


def joins(count: int, size: int) -> bool:
    """Return whether the last image of an epoch joins the batch before."""
    return 1 < size < count and count % size == 1


@contextmanager
def explaining_single_images(what_to_do: str) -> Iterator[None]:
    """Raise `SepbenchError` where torch's batch norm refuses a batch of one image, of which it sees one value."""
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise SepbenchError(
            f"a batch of one image leaves a batch norm of this network a single value, which has no variance: "
            f"{what_to_do}"
        ) from error
