"""`ls` reads the files of plug-ins, imports none of them, and says what the registries would."""

import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.cli.listing import listing
from bench.cli.unimported import read_summaries
from bench.contracts import places
from bench.contracts.registries import REGISTRIES
from bench.core.registry import Place

REPOSITORY = Path(__file__).parents[2]
KINDS = [*REGISTRIES, "recipes", "experiments"]
HEAVY = ("torch", "torchvision", "mlflow", "pyarrow", "scipy", "pydantic")
ALL = (places.METHODS, places.ARCHITECTURES, places.DEFENSES, places.DATASETS)
TOY = '''
from bench.api import METHODS

pytestmark = pytest.mark.usefixtures("own_place")


@METHODS.register("toy")
class Toy:
    """A toy.

    More about it.
    """
'''


def readable(folder: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> dict[str, str] | None:
    """Return what is read of a package of methods whose only module has this source, and which cannot be imported."""
    package = folder / "read_toys"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "toy.py").write_text(f"{source}\nraise AssertionError('imported')\n")
    (package / "_helper.py").write_text("METHODS.register(name)")
    monkeypatch.syspath_prepend(folder)
    return read_summaries(Place("toy", "read_toys", "sepbench.tests.toys", "METHODS"))


@pytest.mark.parametrize("kind", REGISTRIES)
def test_what_is_read_is_what_importing_them_would_tell(kind: str) -> None:
    registry = REGISTRIES[kind]
    told = [(name, (inspect.getdoc(registry.get(name)) or "").partition("\n")[0]) for name in registry.names()]
    assert [(entry.name, entry.summary) for entry in listing(kind)] == told


@pytest.mark.parametrize("place", ALL, ids=lambda place: place.kind)
def test_every_plugin_of_ours_can_be_read(place: Place) -> None:
    assert read_summaries(place)


def test_the_registries_look_where_their_places_say() -> None:
    for place, registry in zip(ALL, REGISTRIES.values(), strict=True):
        assert (registry.kind, registry.package, registry.group) == place[:3]


RECORDS = REPOSITORY / "results" / "records"
KEY = next((RECORDS / "quickstart").iterdir()).stem


@pytest.mark.slow
def test_no_listing_imports_what_takes_long() -> None:
    script = (
        "import sys\nfrom bench.cli.app import cli\n"
        f"for kind in {KINDS}:\n"
        "    for options in ([], ['--json']):\n"
        "        cli.main(['ls', kind, *options], standalone_mode=False)\n"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)\n"
    )
    environment: dict[str, Any] = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, "[]\n")
    assert "self-ensemble" in done.stdout.lower()


@pytest.mark.slow
def test_what_is_shown_imports_torch_for_plugins_alone() -> None:
    script = (
        "import sys\nfrom bench.cli.app import cli\n"
        f"for name in ('quickstart', 'sep-2023', '{KEY}'):\n"
        f"    cli.main(['show', name, '--records', {str(RECORDS)!r}], standalone_mode=False)\n"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)\n"
    )
    environment: dict[str, Any] = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, "['pydantic']\n")  # which reads records
    assert done.stdout.startswith("name: quickstart\n")
    assert "\nepochs: " in done.stdout
    assert f'"key": "{KEY}"' in done.stdout


def test_a_name_and_the_first_line_are_read_without_importing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert readable(tmp_path, monkeypatch, TOY) == {"toy": "A toy."}


def test_what_registers_elsewhere_is_not_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = TOY.replace("METHODS", "DEFENSES").replace('"toy"', '"other"')
    assert readable(tmp_path, monkeypatch, TOY + other) == {"toy": "A toy."}


@pytest.mark.parametrize(
    "source",
    [
        TOY.replace('"toy"', "NAME"),
        TOY.replace('@METHODS.register("toy")', '@METHODS.register(name="toy")'),
        TOY.replace("class Toy:", "@dataclass\nclass Toy:"),
        TOY.replace("import METHODS", "import METHODS as M").replace("@METHODS", "@M"),
        TOY.partition('    """')[0] + "    pass\n",
        TOY + 'for name in "ab":\n    METHODS.register(name)(Toy)\n',
        TOY + TOY,
        "class Toy(",
    ],
    ids=["computed", "keyword", "decorated", "renamed", "undocumented", "loop", "twice", "broken"],
)
def test_what_cannot_be_read_is_left_to_importing(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert readable(tmp_path, monkeypatch, source) is None
