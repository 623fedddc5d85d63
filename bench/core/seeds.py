"""Independent random streams from one seed."""

import hashlib


def derive(seed: int, *purpose: str | int) -> int:
    """Return a 63-bit seed for one purpose: streams for different purposes or seeds are unrelated."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
