"""The command answers at once: nothing heavy is imported before it is needed."""

import logging
import subprocess
import sys
from pathlib import Path

import click
import pytest

import bench
from bench.cli.app import cli
from tests.making.asking import ask, done

pytestmark = pytest.mark.usefixtures("own_place")

HEAVY = ("torch", "torchvision", "mlflow", "pandas", "sklearn", "scipy", "pyarrow")


def process(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(Path(bench.__file__).parents[1])}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment, check=True)


@pytest.mark.parametrize("request_", [[], ["--help"], ["run", "--help"], ["--version"]], ids=" ".join)
def test_help_and_version_import_nothing_heavy(request_: list[str]) -> None:
    code = (
        "import sys, bench.cli.app\n"
        "try:\n"
        "    bench.cli.main(sys.argv[1:])\n"
        "finally:\n"
        f"    print('heavy:', *(name for name in {HEAVY} if name in sys.modules))\n"
    )
    assert process("-c", code, *request_).stdout.splitlines()[-1] == "heavy:"


@pytest.mark.slow
def test_a_listing_leaves_mlflow_and_pandas_alone() -> None:
    code = (
        "import sys, bench.cli.app; bench.cli.main(['ls', 'recipes']); print({'mlflow', 'pandas'} & set(sys.modules))"
    )
    assert process("-c", code).stdout.splitlines()[-1] == "set()"


def test_the_package_runs_as_a_module() -> None:
    assert process("-m", "bench", "--version").stdout == f"sepbench, version {bench.__version__}\n"


def test_the_version_is_the_packages() -> None:
    assert done("--version") == f"sepbench, version {bench.__version__}\n"


def test_who_calls_from_python_has_their_own_logging_back() -> None:
    logger, own = logging.getLogger("sepbench"), logging.NullHandler()
    logger.addHandler(own)
    try:
        assert ask("show", "no-such-thing").code == 2
        assert own in logger.handlers
        assert logger.propagate
    finally:
        logger.removeHandler(own)
    assert logger.handlers == []


def test_without_a_command_the_help_is_shown() -> None:
    assert ask().out == ask("--help").out == ask("-h").out
    assert ask().code == ask("--help").code == 0


@pytest.mark.parametrize("name", cli.commands)
def test_every_command_says_what_it_does_and_what_its_options_are(name: str) -> None:
    command = cli.commands[name]
    shown = done(name, "--help")
    assert command.help
    assert command.help.partition("\n")[0] in " ".join(shown.split())
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts[0]} has no help"
            assert (parameter.opts[0] in shown) != parameter.hidden


def test_every_command_is_listed_with_what_it_does() -> None:
    shown = done("--help")
    listed = {name: command for name, command in cli.commands.items() if not command.hidden}
    for name, command in listed.items():
        assert any(line.split()[:1] == [name] and line.split()[1:] for line in shown.splitlines()), name
        assert command.get_short_help_str()
