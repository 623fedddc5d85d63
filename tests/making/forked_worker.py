"""A process of --jobs that has imported torch and MLflow already: a fork, in place of an interpreter of its own."""

import logging
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from io import BufferedWriter, FileIO
from typing import Any


class ForkedWorker:
    """A command of sepbench in a fork of this process, with what `subprocess.Popen` has that --jobs uses.

    Parameters
    ----------
    arguments
        Of sepbench.
    stdout
        Where all that it prints goes.
    env
        Its environment.
    prepare
        What it does first.

    """

    def __init__(
        self, arguments: Sequence[str], *, stdout: BufferedWriter, env: dict[str, str], prepare: Callable[[], None]
    ) -> None:
        ours, theirs = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            os.close(theirs)
            _work(arguments, ours, stdout, env, prepare)
        os.close(ours)
        self.stdin = FileIO(theirs, "w")

    def poll(self) -> int | None:
        """Return the exit code, None while it runs."""
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if ended else None
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code once it has ended."""
        limit = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if limit is not None and time.monotonic() > limit:
                raise subprocess.TimeoutExpired("a worker", timeout or 0)
            time.sleep(0.01)
        return code

    def kill(self) -> None:
        """End it by `kill -9`, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def _work(
    arguments: Sequence[str], stdin: int, stdout: BufferedWriter, env: dict[str, str], prepare: Callable[[], None]
) -> None:
    """Do what an interpreter of its own would do, and end."""
    code: Any = 1
    try:
        os.setsid()
        for source, target in ((stdin, 0), (stdout.fileno(), 1), (stdout.fileno(), 2)):
            os.dup2(source, target)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        logging.getLogger("sepbench").handlers.clear()
        os.environ.clear()
        os.environ.update(env)
        prepare()
        from bench.cli import main

        main(arguments)
        code = 0
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)
