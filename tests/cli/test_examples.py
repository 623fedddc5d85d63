"""Every command's help ends with an example, which is a request that the command takes."""

import shlex
from collections.abc import Iterator

import click
import pytest

from bench.cli.app import cli
from bench.spec.file import load_experiment
from tests.making.asking import done

pytestmark = pytest.mark.usefixtures("own_place")


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words that lead to every command that people see, groups included."""
    for name, command in group.commands.items():
        if not command.hidden:
            yield (*path, name)
            if isinstance(command, click.Group):
                yield from commands(command, (*path, name))


COMMANDS = [" ".join(path) for path in commands(cli)]


def example_of(command: str) -> list[str]:
    """Return the words of the last line of a command's help, less `sepbench`."""
    last = done(*command.split(), "--help").rstrip().splitlines()[-1].strip()
    lead = "Example: sepbench "
    assert last.startswith(lead), f"the help of {command} ends without an example: see bench.cli.help_example"
    return shlex.split(last.removeprefix(lead))


def parsed(words: list[str]) -> tuple[list[str], click.Context]:
    """Return the command that a request leads to, in words, and what it makes of the rest; runs nothing."""
    command, path, rest = cli, [], list(words)
    found: click.Command = command
    while isinstance(found, click.Group):
        path.append(rest.pop(0))
        found = found.commands[path[-1]]
    return path, found.make_context(" ".join(path), rest)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_ends_with_an_example_that_it_takes(command: str) -> None:
    path, _ = parsed(example_of(command))
    assert path[: len(command.split())] == command.split()


@pytest.mark.parametrize("command", COMMANDS)
def test_the_experiment_of_an_example_comes_with_sepbench_and_can_be_changed_so(command: str) -> None:
    _, context = parsed(example_of(command))
    if "experiment" in context.params:
        load_experiment(context.params["experiment"], overrides=context.params.get("overrides", ()))


def test_an_example_that_a_command_does_not_take_is_found() -> None:
    with pytest.raises(click.UsageError):
        parsed(["run", "quickstart", "--out", "plots"])
    with pytest.raises(click.UsageError):
        parsed(["export"])
