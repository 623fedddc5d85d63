"""Artifacts that a reader finds damaged: a run makes them anew only where it needs them, so a person has to ask."""

from collections.abc import Iterator
from contextlib import contextmanager

from bench.core.errors import SepbenchError
from bench.store.artifacts import CorruptArtifact


@contextmanager
def undamaged() -> Iterator[None]:
    """Turn a damaged artifact into one `SepbenchError` that says how it is made anew."""
    try:
        yield
    except CorruptArtifact as damage:
        raise SepbenchError(f"{damage}: run the experiment with --force {damage.kind} to make it anew") from damage
