"""What git knows of the checkout that the package runs from."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""Of the checkout, or of whatever the package was installed into."""


def git(*arguments: str) -> str | None:
    """Return what git answers of the checkout; None where this is none, or there is no git."""
    if not (ROOT / ".git").exists():
        return None
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout
