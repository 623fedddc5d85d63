"""The Python of README.md does what stands there."""

import doctest
from pathlib import Path

import pytest

from tests.making.pages import blocks

SESSIONS = [block.text for block in blocks("README.md", "python") if ">>>" in block.text]


def test_a_session_was_found_and_is_short() -> None:
    (session,) = SESSIONS
    assert sum(line.startswith((">>> ", "... ")) for line in session.splitlines()) <= 10


@pytest.mark.slow
@pytest.mark.parametrize("session", SESSIONS)
def test_a_session_gives_what_the_page_shows(session: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEPBENCH_HOME", raising=False)
    test = doctest.DocTestParser().get_doctest(session, {}, "README.md", "README.md", 0)
    told: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=told.append)
    assert told == []
    assert test.examples
    assert list(tmp_path.iterdir()) == []
