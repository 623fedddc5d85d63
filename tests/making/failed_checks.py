"""What `sepbench check` says of a plug-in."""

from tests.making.asking import ask
from tests.making.plugin_sources import write_plugin


def failures(source: str) -> list[str]:
    """Return what is said of each check that fails."""
    answer = ask("check", write_plugin(source))
    found = [line.removeprefix("  ✗ ") for line in answer.out.splitlines() if line.startswith("  ✗ ")]
    assert answer.code == bool(found), answer
    assert answer.err == ""
    assert answer.out.splitlines()[-1].startswith("1 plug-in: ")
    return found
