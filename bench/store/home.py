"""Where sepbench keeps its work: `$SEPBENCH_HOME`, else `.sepbench` in the working directory."""

import os
from dataclasses import dataclass
from pathlib import Path

from bench.store.artifacts import Store


@dataclass(frozen=True)
class Home:
    """The folders below one root; each is made when first written to.

    One that is not `kept` is removed at the end of the call that made it.
    """

    root: Path
    kept: bool = True

    @classmethod
    def find(cls) -> "Home":
        """Return the home that the environment names."""
        return cls(Path(os.environ.get("SEPBENCH_HOME") or ".sepbench").absolute())

    @property
    def store(self) -> Store:
        """The artifacts of finished stages."""
        return Store(self.root / "store")

    @property
    def locks(self) -> Path:
        """Who works on what right now."""
        return self.root / "locks"

    @property
    def cards(self) -> Path:
        """What is known of data sets, and of files that defenses read, from reading them before."""
        return self.root / "cards"

    @property
    def paces(self) -> Path:
        """How fast work goes here, for estimates."""
        return self.root / "paces"

    @property
    def costs(self) -> Path:
        """What networks cost, for estimates."""
        return self.root / "costs"

    @property
    def answers(self) -> Path:
        """What commands answered that took seconds, as long as it holds."""
        return self.root / "answers"

    @property
    def outbox(self) -> Path:
        """Reports that MLflow has not confirmed yet."""
        return self.root / "outbox"

    @property
    def incoming(self) -> Path:
        """What is being brought from another home, until it is whole; on the disk of the store."""
        return self.store.root / "incoming"

    @property
    def arrays(self) -> Path:
        """Images that Python handed over in memory, and what became of them."""
        return self.root / "arrays"

    @property
    def logs(self) -> Path:
        """Tracebacks of failed stages, and what the further processes of a run printed."""
        return self.root / "logs"

    def records(self, experiment: str, variant: str) -> Path:
        """Return the folder of an experiment's records; `variant` is what `Experiment.variant` calls it."""
        return self.root / "records" / experiment / variant

    def variants(self, experiment: str) -> Path:
        """Return the folder with the changes of an experiment that somebody gave a name."""
        return self.root / "variants" / experiment
