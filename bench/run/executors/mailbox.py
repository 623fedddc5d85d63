"""What the workers of a Ray run and its driver tell each other: how far stages are, and that it is to stop."""


class Mailbox:
    """An actor beside the driver; without torch, as it is a process of its own."""

    def __init__(self) -> None:
        self._fractions: dict[str, float] = {}
        self._wish: str | None = None

    def exchange(self, key: str, fraction: float) -> str | None:
        """Take in how far the stage of this key is; return why to stop at the next safe point, None to go on."""
        self._fractions[key] = fraction
        return self._wish

    def fractions(self) -> dict[str, float]:
        """Return how far each stage is that has begun."""
        return self._fractions

    def stop(self, why: str) -> None:
        """Ask all for a stop at their next safe point."""
        self._wish = why
