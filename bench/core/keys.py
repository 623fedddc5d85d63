"""Content keys: what a stage depends on, hashed."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def canonical(value: Any) -> str:
    """Return the one JSON text of a value: sorted fields, no spaces."""
    return _ENCODER.encode(value)


def key(value: Any) -> str:
    """Return the hex SHA-256 of a value's canonical JSON."""
    return _digest(canonical(value))


def key_of_texts(fields: Mapping[str, str]) -> str:
    """Return the key of a mapping whose values are given as their canonical JSON, of names that need no escape."""
    return _digest("{" + ",".join([f'"{name}":{fields[name]}' for name in sorted(fields)]) + "}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
