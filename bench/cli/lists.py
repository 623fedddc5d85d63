"""Lists of names, as a person writes them for an option."""

import re
from typing import Any

from bench.core.errors import SepbenchError
from bench.spec.yaml_text import NotYaml, value_of


def listed(option: str, text: str | None) -> list[Any] | None:
    """Return what a person lists on the command line, as in `plain, jpeg-10`; None for nothing."""
    if text is None:
        return None
    try:
        found = value_of(f"[{text}]")
    except NotYaml as error:
        raise SepbenchError(f"{option} {text}: this is no list of names: write them as in plain,jpeg-10") from error
    if not isinstance(found, list) or not found:
        raise SepbenchError(f"{option} {text}: this is no list of names: write them as in plain,jpeg-10")
    return _rejoined(found)


def _rejoined(names: list[Any]) -> list[Any]:
    """Return names with the parameters that a comma has torn off: `adversarial-training:radius=8,steps=3` is one."""
    whole: list[Any] = []
    for one in names:
        if (
            isinstance(one, str)
            and re.match(r"\w+=", one)
            and whole
            and isinstance(whole[-1], str)
            and ":" in whole[-1]
        ):
            whole[-1] = f"{whole[-1]},{one}"
        else:
            whole.append(one)
    return whole
