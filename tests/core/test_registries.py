"""Names lead to plug-ins: ours from a package, others' from what is installed, mistakes get one sentence."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.contracts.dataset import DATASETS
from bench.contracts.defense import DEFENSES
from bench.contracts.method import METHODS
from bench.contracts.network import ARCHITECTURES
from bench.core.registry import BrokenPlugin, Registry, UnknownName

REPOSITORY = Path(__file__).parents[2]
GROUP = "sepbench.tests.toys"
FAR_METHOD = '''
from bench.api import METHODS, Method


@METHODS.register("far")
class Far(Method):
    """A method from far away."""

    norms = ()

    def craft(self, data, budget, ctx):
        return data.x
'''


class Top:
    """A toy."""


class Ball:
    """Another toy."""


def registry(package: str) -> Registry[Any]:
    return Registry("toy", package, GROUP)


def install(folder: Path, name: str, source: str, entry_points: str) -> Path:
    """Leave in `folder` what installing a distribution of one module leaves in site-packages."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(source)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)
    return folder


def sepbench(*arguments: str, site: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(site)])}
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments], capture_output=True, text=True, env=environment, check=False
    )


def test_a_registered_plugin_is_found_and_told_its_name(empty_package: str) -> None:
    toys = registry(empty_package)
    assert toys.register("top")(Top) is Top
    assert toys.get("top") is Top
    assert Top.name == "top"  # type: ignore[attr-defined]
    assert "top" in toys
    assert "ball" not in toys
    assert toys.names() == ["top"]


def test_a_name_claimed_twice_is_refused_and_both_claims_are_named(empty_package: str) -> None:
    toys = registry(empty_package)
    toys.register("top")(Top)
    toys.register("top")(Ball)
    toys.register("ball")(Ball)
    with pytest.raises(BrokenPlugin) as caught:
        toys.get("top")
    assert str(caught.value) == (
        f"toy 'top' is defined twice, by {__name__}.Top and by {__name__}.Ball: rename one of them, or remove its file "
        f"or package"
    )
    assert "top" not in toys
    assert toys.get("ball") is Ball
    assert toys.names() == ["ball"]
    assert [str(one) for one in toys.broken()] == [str(caught.value)]


def test_the_same_plugin_may_be_imported_again(empty_package: str) -> None:
    toys = registry(empty_package)
    toys.register("top")(Top)
    toys.register("top")(type("Top", (), {"__module__": __name__, "__qualname__": "Top"}))
    assert toys.names() == ["top"]


@pytest.mark.parametrize("plugins", [METHODS, ARCHITECTURES, DEFENSES, DATASETS], ids=lambda plugins: plugins.kind)
def test_a_misspelt_name_is_answered_with_the_right_one(plugins: Registry[Any]) -> None:
    for name in plugins.names():
        misspelt = f"{name[:-1]}{'q' if name.endswith('x') else 'x'}"
        with pytest.raises(UnknownName) as caught:
            plugins.get(misspelt)
        assert f"unknown {plugins.kind} '{misspelt}'" in str(caught.value)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_name_like_no_other_is_answered_with_all_there_are(empty_package: str) -> None:
    toys = registry(empty_package)
    toys.register("top")(Top)
    toys.register("ball")(Ball)
    with pytest.raises(UnknownName, match="unknown toy 'zeppelin': known: ball, top"):
        toys.get("zeppelin")


def test_a_family_answers_for_the_names_with_its_prefix(empty_package: str) -> None:
    toys = registry(empty_package)
    toys.register("top")(Top)
    balls = {"red": Ball}

    @toys.register_family("ball:")
    def ball(name: str) -> type:
        if name not in balls:
            raise UnknownName("ball", name, balls)
        return balls[name]

    assert toys.get("ball:red") is Ball
    assert "ball:red" in toys
    assert "ball:green" not in toys
    assert toys.names() == ["top"]
    with pytest.raises(UnknownName, match="unknown ball 'rad': did you mean red"):
        toys.get("ball:rad")
    with pytest.raises(UnknownName, match="unknown toy 'bell:red'"):
        toys.get("bell:red")


def test_an_error_that_lists_what_is_known_stays_readable(empty_package: str) -> None:
    toys = registry(empty_package)
    for number in range(50):
        toys.register(f"top{number:02d}")(Top)
    with pytest.raises(UnknownName) as caught:
        toys.get("zeppelin")
    assert "known: top00, top01" in str(caught.value)
    assert str(caught.value).endswith("top39 and 10 more")


def test_the_modules_of_the_package_are_scanned_but_not_its_helpers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "scanned_toys"
    package.mkdir()
    (package / "__init__.py").write_text(
        f'from bench.core.registry import Registry\n\nTOYS = Registry("toy", "scanned_toys", "{GROUP}")\n'
    )
    (package / "kite.py").write_text('from scanned_toys import TOYS\n\nTOYS.register("kite")(lambda: None)\n')
    (package / "_helper.py").write_text('raise AssertionError("a helper is imported by those that need it")\n')
    monkeypatch.syspath_prepend(tmp_path)
    import scanned_toys  # type: ignore[import-not-found]

    assert scanned_toys.TOYS.names() == ["kite"]


def test_a_plugin_of_an_installed_package_is_found(
    empty_package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = install(tmp_path / "site", "installed_toys", "class Drum: pass", f"[{GROUP}]\ndrum = installed_toys:Drum\n")
    monkeypatch.syspath_prepend(site)
    toys = registry(empty_package)
    toys.register("top")(Top)
    assert toys.names() == ["drum", "top"]
    assert toys.get("drum").__name__ == "Drum"


def test_an_installed_plugin_cannot_take_one_of_our_names(
    empty_package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = install(tmp_path / "site", "greedy_toys", "class Drum: pass", f"[{GROUP}]\ntop = greedy_toys:Drum\n")
    monkeypatch.syspath_prepend(site)
    toys = registry(empty_package)
    toys.register("top")(Top)
    toys.register("ball")(Ball)
    with pytest.raises(BrokenPlugin) as caught:
        toys.get("top")
    assert f"{__name__}.Top" in str(caught.value)
    assert "greedy_toys.Drum" in str(caught.value)
    assert toys.names() == ["ball"]


@pytest.mark.parametrize(
    ("source", "target", "says"),
    [
        ("", "no_such_module:Drum", "No module named 'no_such_module'"),
        ("", "broken_toys:Drum", "Drum"),
        ("import a_missing_dependency", "broken_toys:Drum", "No module named 'a_missing_dependency'"),
        ("class Drum(", "broken_toys:Drum", "SyntaxError"),
        ("raise RuntimeError('first line\\nsecond line')", "broken_toys:Drum", "first line second line"),
        ("import sys; sys.exit(3)", "broken_toys:Drum", "SystemExit: 3"),
        ("class Drum: pass", "broken toys", "its entry point is 'broken toys', not module:name"),
        (
            "class Drum:\n    def __init_subclass__(cls): raise KeyError('x')\nclass B(Drum): pass",
            "broken_toys:B",
            "KeyError",
        ),
    ],
)
def test_a_broken_installed_plugin_is_named_in_one_sentence(
    source: str, target: str, says: str, empty_package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = install(tmp_path / "site", "broken_toys", source, f"[{GROUP}]\ndrum = {target}\n")
    monkeypatch.syspath_prepend(site)
    monkeypatch.delitem(sys.modules, "broken_toys", raising=False)
    toys = registry(empty_package)
    toys.register("top")(Top)
    assert toys.get("top") is Top
    for _ in range(2):  # asking again must not pass it over
        with pytest.raises(BrokenPlugin) as caught:
            toys.get("drum")
        message = str(caught.value)
        assert message.startswith("the toy 'drum' of the installed package broken_toys cannot be loaded (")
        assert message.endswith("): repair or uninstall that package")
        assert says in message
        assert "\n" not in message
        assert toys.names() == ["top"]
        assert [str(one) for one in toys.broken()] == [message]


def test_a_package_that_nobody_asks_for_is_not_imported(
    empty_package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = f"[{GROUP}]\ndrum = slow_toys:Drum\nkite = swift_toys:Kite\n"
    site = install(tmp_path / "site", "slow_toys", "class Drum: pass", entries)
    (site / "swift_toys.py").write_text("class Kite: pass")
    monkeypatch.syspath_prepend(site)
    toys = registry(empty_package)
    toys.register("top")(Top)
    toys.get("top")
    toys.get("kite")
    assert "slow_toys" not in sys.modules
    assert toys.names() == ["drum", "kite", "top"]


def test_a_plugin_that_registers_itself_under_another_name_than_its_entry_is_found(
    empty_package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "import sys\nclass Drum: pass\nsys.toys.register('snare')(Drum)\n"
    site = install(tmp_path / "site", "named_toys", source, f"[{GROUP}]\ndrum = named_toys:Drum\n")
    monkeypatch.syspath_prepend(site)
    toys = registry(empty_package)
    monkeypatch.setattr(sys, "toys", toys, raising=False)
    assert toys.get("snare").__name__ == "Drum"
    assert toys.names() == ["snare"]


def test_what_a_module_registered_before_it_failed_is_taken_back(
    empty_package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "import sys\nclass Drum: pass\nsys.toys.register('drum')(Drum)\nDrum.size = 1 / 0\n"
    entries = f"[{GROUP}]\ndrum = half_toys:Drum\nsnare = half_toys:Drum\n"
    monkeypatch.syspath_prepend(install(tmp_path / "site", "half_toys", source, entries))
    toys = registry(empty_package)
    monkeypatch.setattr(sys, "toys", toys, raising=False)
    for name in ("drum", "snare", "drum"):
        with pytest.raises(BrokenPlugin, match="ZeroDivisionError"):
            toys.get(name)
    assert toys.names() == []


def test_a_broken_copy_of_a_plugin_takes_no_name_from_it(
    empty_package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "import sys\nclass Copy: pass\nsys.toys.register('drum')(Copy)\nCopy.size = 1 / 0\n"
    monkeypatch.syspath_prepend(
        install(tmp_path / "site", "copied_toys", source, f"[{GROUP}]\ncopy = copied_toys:Copy\n")
    )
    toys = registry(empty_package)
    monkeypatch.setattr(sys, "toys", toys, raising=False)

    @toys.register("drum")
    class Drum:
        pass

    assert toys.names() == ["drum"]
    assert toys.get("drum") is Drum
    assert [one.names for one in toys.broken()] == [("copy",)]


def test_a_package_whose_entry_points_cannot_be_read_disturbs_no_other(
    empty_package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "site", "torn_toys", "", f"[{GROUP}]\na line that is none\n")
    site = install(tmp_path / "site", "whole_toys", "class Drum: pass", f"[{GROUP}]\ndrum = whole_toys:Drum\n")
    monkeypatch.syspath_prepend(site)
    toys = registry(empty_package)
    assert toys.get("drum").__name__ == "Drum"
    (broken,) = toys.broken()
    assert str(broken).startswith("the installed package torn_toys has an entry_points.txt that cannot be read (")


def test_what_a_plugin_prints_while_it_is_imported_is_no_output(
    empty_package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = "print('Welcome to toys 2.0!')\nclass Drum: pass"
    entries = f"[{GROUP}]\ndrum = loud_toys:Drum\n"
    monkeypatch.syspath_prepend(install(tmp_path / "site", "loud_toys", source, entries))
    registry(empty_package).get("drum")
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "Welcome to toys 2.0!\n")


def test_an_interrupt_while_plugins_are_imported_is_an_interrupt(
    empty_package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = install(tmp_path / "site", "late_toys", "raise KeyboardInterrupt", f"[{GROUP}]\ndrum = late_toys:Drum\n")
    monkeypatch.syspath_prepend(site)
    with pytest.raises(KeyboardInterrupt):
        registry(empty_package).get("drum")


def test_a_family_whose_library_is_broken_is_told_in_one_sentence(empty_package: str) -> None:
    toys = registry(empty_package)

    @toys.register_family("ball:")
    def ball(name: str) -> type:
        raise RuntimeError("undefined symbol")

    with pytest.raises(BrokenPlugin, match=r"toy 'ball:red': what ball: stands for does not work .*undefined symbol"):
        toys.get("ball:red")
    assert "ball:red" not in toys


@pytest.mark.slow
def test_a_method_of_an_installed_package_is_listed_beside_ours(tmp_path: Path) -> None:
    site = install(tmp_path / "site", "far_away", FAR_METHOD, "[sepbench.methods]\nfar = far_away:Far\n")
    done = sepbench("ls", "methods", site=site)
    assert done.returncode == 0, done.stderr
    listed = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    assert ["far", "A method from far away."] in listed
    assert {"none", "random-noise", "sep", "single-checkpoint"} <= {name for name, _ in listed}


@pytest.mark.slow
def test_a_broken_installed_package_is_listed_as_such_and_stops_nothing(tmp_path: Path) -> None:
    site = install(tmp_path / "site", "far_away", "import gone", "[sepbench.methods]\nfar = far_away:Far\n")
    done = sepbench("ls", "methods", site=site)
    assert (done.returncode, done.stderr) == (0, "")
    listed = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert listed["far"] == "cannot be loaded (ModuleNotFoundError: No module named 'gone')"
    assert {"none", "random-noise", "sep"} <= listed.keys()
