"""What a process under test writes down for the test that watches it."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Event:
    """Something that happened: `started`, `progress`, `ended`, `waiting`, `asked`, `decoded` or `held`."""

    what: str
    label: str = ""
    key: str = ""
    fraction: float = 0.0


class Notes:
    """A file of events, one a line, in a folder that the process and the test share.

    `triggers` are called in the process after an event was written.
    """

    def __init__(self, folder: Path) -> None:
        self.triggers: list[Callable[[Event], None]] = []
        self.move(folder)

    def move(self, folder: Path) -> None:
        """Go on in another folder, where a process of its own does so."""
        self._events, self._go = folder / "events", folder / "go"
        self.triggers.clear()

    def take(self, event: Event) -> None:
        """Write an event down."""
        with self._events.open("a") as file:
            file.write(json.dumps(asdict(event)) + "\n")
        for trigger in [*self.triggers]:
            trigger(event)

    def read(self) -> list[Event]:
        """Return the events so far, in their order."""
        text = self._events.read_text() if self._events.exists() else ""
        return [Event(**json.loads(line)) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def hold(self) -> None:
        """Wait until `let_go` was called in another process."""
        self.take(Event("held"))
        while not self._go.exists():
            time.sleep(0.005)

    def let_go(self) -> None:
        """End every `hold`."""
        self._go.touch()
