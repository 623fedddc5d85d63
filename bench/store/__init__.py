"""Where work is kept: artifacts, locks, the home."""
