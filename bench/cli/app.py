"""The command `sepbench`: its commands in one group, and what becomes of their errors."""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from bench import __version__
from bench.cli import asking, carrying, checking, judging, keeping, measuring, protecting, reading, running, verifying
from bench.cli.breakdown import sentence_on
from bench.cli.options import say
from bench.cli.streams import standard_streams
from bench.core.errors import SepbenchError, Stopped


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="sepbench")
def cli() -> None:
    """Craft protective perturbations for images, train victims on them, and compare what is left.

    \b
    Start with:  sepbench run quickstart
    """


for command in (
    *(running.run, running.work, running.sync),
    *(reading.table, reading.plot, reading.diff, reading.diagnose),
    *(reading.export, carrying.import_, reading.leaderboard, reading.rebuild),
    *(asking.ls, asking.show, asking.plan, asking.doctor),
    *(keeping.du, keeping.clean, verifying.verify),
    measuring.perf,
    *(protecting.protect, judging.evaluate, checking.check),
):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit: 0 done, 1 some cells failed, 2 the request is wrong, 3 stopped and resumable.

    A pipe that nobody reads any more does not stop the work.
    """
    with standard_streams() as out, _warnings_on_standard_error():
        code = _run(sys.argv[1:] if arguments is None else arguments)
        out.flush()
        if out.failure is not None and not isinstance(out.failure, BrokenPipeError):
            say(
                f"what was to be printed is not all there, as standard output takes no more ({out.failure.strerror}): "
                f"finished work is kept; free some space or print elsewhere, and ask again"
            )
            code = code or 2
    if code:
        sys.exit(code)


@contextmanager
def _warnings_on_standard_error() -> Iterator[None]:
    """Print what is logged as sentences while a command runs; whoever calls from Python has their own logging back."""
    logger = logging.getLogger("sepbench")
    before = logger.handlers, logger.propagate
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("sepbench: %(message)s"))
    logger.handlers, logger.propagate = [handler], False
    try:
        yield
    finally:
        logger.handlers, logger.propagate = before


def _run(arguments: Sequence[str]) -> int:
    if sys.platform == "win32":
        say("sepbench does not run on Windows itself: install WSL 2 (wsl --install) and run it in there, as on Linux")
        return 2
    try:
        cli.main(args=list(arguments), prog_name="sepbench", standalone_mode=False)
    except (SepbenchError, Stopped) as error:
        say(str(error))
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
    except click.ClickException as error:
        say(_usage(error, arguments))
        return 2
    except (click.Abort, KeyboardInterrupt):
        say("interrupted: finished work is kept, the same command goes on from here")
        return 3
    except SystemExit as ended:
        sentence = sentence_on(ended)  # a plug-in that ends Python has done nothing that was asked for
        if sentence is None:
            return ended.code if isinstance(ended.code, int) else bool(ended.code)
        say(sentence)
        return 2
    except Exception as error:
        sentence = sentence_on(error)
        if sentence is None:
            raise
        say(sentence)
        return 2
    return 0


def _usage(error: click.ClickException, arguments: Sequence[str]) -> str:
    """Return click's complaint in the form of ours."""
    message = error.format_message().rstrip(".").replace("'. Did you mean", "': did you mean")
    context = getattr(error, "ctx", None)
    named = " ".join(["sepbench", *(name for name in arguments[:1] if name in cli.commands)])
    command = named if context is None else context.command_path
    return f"{message[:1].lower()}{message[1:]}{' See' if message.endswith('?') else ': see'} {command} --help"
