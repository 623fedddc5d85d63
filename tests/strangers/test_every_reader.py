"""Files from strangers: what is read is refused in a sentence or taken, whatever was done to it.

`SEPBENCH_FUZZ=5000` reads so many files of each kind in place of a few.
"""

import os
import resource
import signal
import warnings
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.core.errors import SepbenchError
from bench.core.outside import printable
from tests.strangers.edits import Change
from tests.strangers.readers import READ

COUNT = int(os.environ.get("SEPBENCH_FUZZ", "6"))
MOST_MIB = 600
SECONDS = 20


def _hangs(number: int, frame: FrameType | None) -> None:
    raise AssertionError(f"reading takes more than {SECONDS} seconds")


def _most() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.parametrize("name", READ)
def test_whatever_is_read_is_taken_or_refused_in_a_sentence(name: str, tmp_path: Path) -> None:
    reader = READ[name]
    path = reader.make(tmp_path)
    valid = path.read_bytes()
    reader.read(path)
    before, done = _most(), 0
    signal.signal(signal.SIGALRM, _hangs)

    @settings(max_examples=COUNT, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(reader.change, min_size=1, max_size=3))
    def check(changes: list[Change]) -> None:
        nonlocal done
        data = valid
        for change in changes:
            try:
                data = change(data)
            except Exception:  # what is no such file any more
                break
        path.write_bytes(data)
        done, sentences = done + 1, list[str]()
        signal.alarm(SECONDS)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                reader.read(path)
        except reader.also:
            pass
        except SepbenchError as error:
            sentences.append(str(error))
        finally:
            signal.alarm(0)
        assert not any("\n" in printable(one) for one in sentences)

    check()
    used = _most() - before
    print(f"{name}: {done} read, {used:.0f} MiB more at most")
    assert used < MOST_MIB
