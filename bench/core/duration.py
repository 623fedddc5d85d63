"""Durations as people write them and say them."""

import re

from bench.core.errors import SepbenchError

_LONGEST = 10 * 366 * 86_400  # seconds: what a timer of the system takes, and more than anybody waits


def parse_duration(text: str, option: str = "--time-limit") -> float:
    """Return the seconds of `90`, `90s`, `9m`, `1h30m`; raises `SepbenchError` for anything else, naming the option."""
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?", text)
    seconds = (
        sum(int(part or 0) * unit for part, unit in zip(match.groups(), (3600, 60, 1), strict=True)) if match else 0
    )
    if not 0 < seconds <= _LONGEST:
        longest = ", of ten years at most" if seconds else ""
        raise SepbenchError(f"{option} {text}: write a duration such as 90s, 9m or 1h30m{longest}")
    return seconds


def duration(seconds: float) -> str:
    """Return a duration as a person says it: 8 s, 3 min 20 s, 2 h 05 min, 12 days."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 72 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole / 86400:.0f} days"
