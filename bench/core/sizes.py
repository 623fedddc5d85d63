"""Bytes as a person reads them."""


def size_text(count: float) -> str:
    """Return a number of bytes in the largest of KiB, MiB and GiB of which it has one, such as `5.4 GiB`."""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count / 2**10:.1f} KiB"
