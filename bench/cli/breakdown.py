"""What a command broke down over that is no mistake of the harness: somebody's plug-in, or the system."""

import traceback
from contextlib import suppress

from bench.core.broken import told


def sentence_on(error: BaseException) -> str | None:
    """Return the sentence on an error that a plug-in or the system is to blame for, None for any other.

    The traceback is kept in the logs of the home, for the author of the plug-in.
    """
    if isinstance(error, OSError) and error.errno is not None:  # whoever met it
        place = f" {error.filename}" if error.filename else ""
        return (
            f"the system refuses{place} ({error.strerror}): check that path, its disk and its permissions{_kept(error)}"
        )
    at_fault = _plugin_in(error)
    if at_fault is not None:
        return f"the plug-in {at_fault} fails ({told(error)}): repair it{_kept(error)}"
    return None


def _plugin_in(error: BaseException) -> str | None:
    """Return file and line of the plug-in that an error has come through last."""
    from bench.contracts.registries import REGISTRIES

    files = {file for registry in REGISTRIES.values() for file in registry.files()}
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in files]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else None


def _kept(error: BaseException) -> str:
    from bench.store.home import Home

    path = Home.find().logs / "traceback.log"
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(traceback.format_exception(error)), encoding="utf-8", errors="backslashreplace")
        return f"; the traceback is in {path}"
    return ""
