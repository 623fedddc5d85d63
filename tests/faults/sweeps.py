"""A sweep that something happens to, and what has to hold afterwards."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.store.artifacts import CorruptArtifact
from tests.making.alterations import Alteration
from tests.making.process_notes import Event
from tests.making.whole_runs import KINDS, Ended, Sepbench, Undisturbed


@dataclass
class Sweep:
    """The tiny experiment, come to some stage, in a home where something goes wrong.

    Attributes
    ----------
    rng
        Decides what, where and when.
    damaged
        Keys of artifacts that the fault itself has damaged: these alone may be made again.

    """

    sepbench: Sepbench
    undisturbed: Undisturbed
    rng: random.Random
    damaged: set[str] = field(default_factory=set)

    @property
    def command(self) -> tuple[str, ...]:
        """The command of the sweep, which is the same before and after."""
        return ("run", self.sepbench.experiment(), "--no-mlflow")

    def run(self, *options: str, alter: Sequence[Alteration] = ()) -> Ended:
        """Run it to its end, or to what is an end for it."""
        return self.sepbench.call(*self.command, *options, alter=alter)

    def finished(self) -> dict[str, tuple[int, int]]:
        """Return inode and time of every file of the artifacts that are whole, but for the damaged ones."""
        found = {}
        for path, state in self.sepbench.files().items():
            kind, _, key = path.partition("/store/")[2].split("/")[:3]
            if key not in self.damaged and self.sepbench.store.has(kind, key):
                found[path] = state
        return found

    def survive(self) -> None:
        """Go on as a person would, by the same command, and check what came of it."""
        whole = self.finished()
        keys = {path.split("/")[-2] for path in whole}
        again = self.run()
        assert again.code == 0, f"{again.code}: {again.err}"
        lost = [event.label for event in again.events if event.what == "started" and event.key in keys]
        assert not lost, f"finished work was done again: {lost}"
        assert whole.items() <= self.sepbench.files().items(), "a finished artifact was touched"
        assert again.table == self.undisturbed.table
        assert self.sepbench.outcomes() == self.undisturbed.outcomes
        self._check_tensors()
        idle = self.run()
        assert (idle.code, idle.ran, idle.table) == (0, [], self.undisturbed.table)

    def _check_tensors(self) -> None:
        """Read all that a later run might read: it is right, or refused where nobody had to make it again."""
        right, store, refused = self.undisturbed.home.store, self.sepbench.store, set()
        for kind in KINDS:
            for key in (folder.name for folder in (right.root / kind).glob("*/*")):
                try:
                    assert store.names(kind, key) == right.names(kind, key)
                    for name in right.names(kind, key):
                        assert store.data(kind, key, name) == right.data(kind, key, name)
                except CorruptArtifact:
                    refused.add(key)
        assert refused <= self.damaged


def injected(events: Sequence[Event]) -> bool:
    """Tell whether a process got as far as what was to go wrong in it."""
    return any(event.what == "injected" for event in events)
