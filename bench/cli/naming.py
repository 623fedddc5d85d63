"""Options that change an experiment, and names for what they changed."""

import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from bench.core.disk import make_folder, write_atomically, writing
from bench.core.errors import SepbenchError
from bench.core.outside import json_of

SET = click.option(
    "--set", "overrides", multiple=True, metavar="FIELD=VALUE", help="Change a field, such as recipe.epochs=5."
)
_PROFILE = click.option("--profile", metavar="NAME", help="Apply a named set of changes from the experiment file.")
_CALLED = click.option(
    "--called", "called", metavar="NAME", help="Call the changes of --set and --profile so, or make those called so."
)


class Changes(NamedTuple):
    """How an experiment is changed from its file: a profile, and `field=value` each."""

    profile: str | None
    overrides: tuple[str, ...]

    def __str__(self) -> str:
        from bench.read.variants import changes_text

        return changes_text(*self)


def changing(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command `--set`, `--profile` and `--called`; it takes `overrides` and `profile`, whatever told them."""

    @functools.wraps(command)
    def changed(overrides: Sequence[str], profile: str | None, called: str | None, **rest: Any) -> None:
        given = Changes(profile, tuple(overrides))
        if called is not None:
            given = _called(called, rest["experiments"] if "experiments" in rest else (rest["experiment"],), given)
        command(overrides=given.overrides, profile=given.profile, **rest)

    return SET(_PROFILE(_CALLED(changed)))


def _called(name: str, experiments: Sequence[str], given: Changes) -> Changes:
    """Return the changes of a name, which are given now or were before.

    Raises `SepbenchError` where no changes are called so, or others are.
    """
    from bench.spec.file import load_experiment
    from bench.spec.names import NAMES_FILES, names_files
    from bench.store.home import Home

    if not names_files(name):
        raise SepbenchError(f"--called {name}: '{name}' cannot name files: use {NAMES_FILES}")
    if not experiments:
        raise SepbenchError(f"--called {name}: a name is of one experiment's changes: name that, too")
    if len(experiments) > 1:
        raise SepbenchError(f"--called {name}: a name is of one experiment's changes: ask for the table of each alone")
    experiment, home = experiments[0], Home.find()
    path = home.variants(Path(experiment).stem) / f"{name}.json"
    known = _read(path)
    if given == Changes(None, ()):
        if known is None:
            others = sorted(other.stem for other in path.parent.glob("*.json"))
            there = f"changes of it are called {', '.join(others)}" if others else "none have a name"
            advice = "give them once with --set or --profile"
            raise SepbenchError(f"--called {name}: no changes of {experiment} are called so ({there}): {advice}")
        return known
    if known not in (None, given):
        raise SepbenchError(f"--called {name}: {known} is called so: choose another name, or leave these changes out")
    load_experiment(experiment, profile=given.profile, overrides=given.overrides)  # no name for what cannot be
    with writing(home.root):
        make_folder(path.parent)
        write_atomically(path, json.dumps(given._asdict(), indent=1).encode())
    return given


def _read(path: Path) -> Changes | None:
    try:
        told = json_of(path.read_bytes())
        return Changes(told["profile"], tuple(told["overrides"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SepbenchError(f"{path} cannot be read: remove it, and give the changes again") from error
