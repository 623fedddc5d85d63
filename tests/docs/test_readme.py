"""Every command of the pages works, every link leads somewhere, every number was measured."""

import json
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import cli
from bench.cli.app import cli as group
from bench.contracts.defense import DEFENSES
from bench.contracts.method import METHODS
from bench.contracts.reference import references
from bench.core.registry import Registry
from bench.record.record import read_records
from bench.spec.file import experiment_names, load_experiment
from tests.making.pages import ROOT, anchors, blocks, commands, headings, links, read, rows, tables
from tests.making.protections import pets
from tests.making.tiny_data import encoded, pixels, write_parquet

PAGES = ("README.md", "CONTRIBUTING.md", "TROUBLESHOOTING.md")
COMMANDS = list(dict.fromkeys(command for page in PAGES for command in commands(page)))
RECORDS = ROOT / "results" / "records"

# What the reduced runs change, after what the command itself changes.
SMALL = (
    "dataset.limit=60",
    "dataset.test_limit=30",
    "recipe.epochs=2",
    "methods=[random-noise, {single-checkpoint: {steps: 2}}, {sep: {checkpoints: 2, steps: 2}}]",
    "seeds=[0]",
)
RUN_ONLY = ("--time-limit", "--force", "--executor", "--address", "--jobs", "--results")


@dataclass
class Shell:
    """Runs `sepbench` in this process and remembers what it printed; every command of a page shares one home."""

    home: Path
    capture: pytest.CaptureFixture[str]

    def sepbench(self, *arguments: str) -> str:
        """Return what a command prints to its standard output; its complaint is the failure."""
        logger = logging.getLogger("sepbench")
        before, propagate = list(logger.handlers), logger.propagate
        code: object = 0
        try:
            cli.main(arguments)
        except SystemExit as exit_:
            code = exit_.code
        finally:
            logger.handlers[:], logger.propagate = before, propagate
        printed = self.capture.readouterr()
        assert code in (0, None), f"sepbench {shlex.join(arguments)} ended with {code}: {printed.err}"
        return printed.out

    def small(self, *arguments: str) -> str:
        """Do the same with an experiment reduced to seconds."""
        return self.sepbench(*arguments, *(word for change in SMALL for word in ("--set", change)))

    def a_key(self) -> str:
        """Return the key of some record of the quickstart in the home."""
        self.small("run", "quickstart")
        return read_records(self.home / "records" / "quickstart")[0].key


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    home = tmp_path_factory.mktemp("home")
    shutil.copy(empty_database, home)
    return home


@pytest.fixture(scope="module")
def cifar10(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many training images as the experiments ask for, but tiny ones and of noise."""
    folder = tmp_path_factory.mktemp("data")
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    for split, count in (("train", 5000), ("test", 100)):
        images = [encoded(image) for image in pixels(count, side=8)]
        write_parquet(folder / f"cifar10-{split}.parquet", images, [one % 10 for one in range(count)], names)
    return folder


@pytest.fixture
def shell(
    home: Path,
    cifar10: Path,
    loops_in_forks: None,
    plugins_as_before: None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Shell:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("SEPBENCH_HOME", str(home))
    monkeypatch.setenv("SEPBENCH_DATA", str(cifar10))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Shell(home, capsys)


def check_make(shell: Shell, *words: str) -> None:
    for target in (word for word in words if "=" not in word):
        assert re.search(rf"^\.PHONY:.*\b{target}\b", read("Makefile"), re.MULTILINE), f"make has no target {target}"
    done = subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def check_run(shell: Shell, *arguments: str) -> None:
    planned = shell.sepbench("plan", *without(arguments, RUN_ONLY))
    assert planned.startswith(load_experiment(arguments[0]).name)
    # The repository's results stay as they are, and there is no cluster.
    printed = shell.small("run", *without(arguments, ("--results", "--executor", "--address")))
    *table, last = printed.rstrip().splitlines()
    assert table[0].startswith(f"**{load_experiment(arguments[0]).name}")
    program, *_ = shlex.split(last.removeprefix("MLflow: "))
    assert last.startswith("MLflow: ")
    assert shutil.which(program), f"{program}, which opens MLflow's page, is not there"


def check_table(shell: Shell, *arguments: str) -> None:
    if "--records" in arguments:
        if not RECORDS.is_dir() and not measured("README.md"):
            pytest.skip("nothing has been measured yet")
        assert shell.sepbench("table", *arguments).strip()
        return
    shell.small("run", arguments[0])
    assert "sep" in shell.small("table", *arguments)


def check_diagnose(shell: Shell, *arguments: str) -> None:
    shell.small("run", arguments[0])
    assert "mean cosine" in shell.small("diagnose", *arguments)


def check_print(command: str) -> Callable[..., None]:
    """Return a check of a command that prints at once; KEY in it stands for any record's."""

    def check(shell: Shell, *arguments: str) -> None:
        assert shell.sepbench(command, *(shell.a_key() if word == "KEY" else word for word in arguments)).strip()

    return check


def check_export(shell: Shell, *assignments: str) -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "bench").rglob("*.py")]
    for assignment in assignments:
        name, equals, _ = assignment.partition("=")
        assert equals
        assert any(f'"{name}"' in text for text in sources), f"nothing reads {name}"


def check_activation(shell: Shell, script: str) -> None:
    folder = re.search(r"^VENV \?= (\S+)$", read("Makefile"), re.MULTILINE)
    assert folder is not None
    assert script == f"{folder[1]}/bin/activate", "make puts the environment elsewhere"


def check_environment(shell: Shell, *words: str) -> None:
    module, name, folder = words
    assert (module, name) == ("-m", "venv")
    there = shell.home / "environment"
    done = subprocess.run(
        [sys.executable, module, name, "--without-pip", os.fspath(there)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (there / "bin" / "activate").is_file()
    assert f". {folder}/bin/activate" in COMMANDS


def check_pip(shell: Shell, action: str, *arguments: str) -> None:
    """Install from a copy of the checkout into a folder of its own, and run what comes of it; torch is there."""
    assert (action, arguments[0]) == ("install", ".")
    source, there = shell.home / "checkout", shell.home / "installed"
    for name in ("bench", "methods", "victims"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--target", os.fspath(there)]
    install = [sys.executable, "-m", "pip", action, *arguments, *offline]
    done = subprocess.run(install, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    program = [os.fspath(there / "bin" / "sepbench"), "show", "quickstart"]
    environment = {**os.environ, "PYTHONPATH": os.fspath(there)}
    ran = subprocess.run(program, cwd=shell.home, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("name: quickstart\n")


def check_ray(shell: Shell, action: str, *options: str) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'sepbench[ray]'")
    asked = [sys.executable, "-m", "ray.scripts.scripts", action, "--help"]
    told = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    assert [option for option in options if option.partition("=")[0] not in told] == []


def check_pre_commit(shell: Shell, action: str) -> None:
    assert action == "install"
    config = [sys.executable, "-m", "pre_commit", "validate-config", ".pre-commit-config.yaml"]
    done = subprocess.run(config, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def check_protected_sets(shell: Shell, *arguments: str) -> None:
    shell.small("run", arguments[0])
    out = shell.home / "exported"
    if "--state" in arguments:
        assert f"{out / 'state' / arguments[0]}.sepstate" in carried(shell, arguments[0], out / "state")
        return
    if "--hub" in arguments:
        *sets, card, _ = shell.small("export", arguments[0], "--hub", os.fspath(out / "hub")).splitlines()
        assert card == f"{out / 'hub' / 'README.md'}  data card"
        assert {Path(line.split()[0]) for line in sets} == {path for path in (out / "hub").iterdir() if path.is_dir()}
        return
    printed = shell.small("export", *without(arguments, ("--out",)), "--out", os.fspath(out))
    assert len(printed.splitlines()) == len(list(out.glob("*.npz"))) > 1


def carried(shell: Shell, experiment: str, out: Path) -> str:
    shell.small("run", experiment)
    return shell.small("export", experiment, "--state", "--out", os.fspath(out))


def check_import(shell: Shell, folder: str) -> None:
    carried(shell, "quickstart", shell.home / folder)
    with pytest.MonkeyPatch.context() as other:
        other.setenv("SEPBENCH_HOME", str(shell.home / "other"))
        printed = shell.sepbench("import", os.fspath(shell.home / folder))
    assert "craft sep " in printed
    assert "to go on from here: sepbench run quickstart " in printed


def check_plot(shell: Shell, *arguments: str) -> None:
    out = shell.home / f"plots-{arguments[0]}"
    request = ("plot", *without(arguments, ("--out",)), "--out", os.fspath(out))
    if "--records" in arguments:
        printed = shell.sepbench(*request)
    else:
        shell.small("run", arguments[0])
        printed = shell.small(*request)
    assert {Path(line) for line in printed.splitlines()} == set(out.iterdir()) != set()


def check_leaderboard(shell: Shell, *arguments: str) -> None:
    out = shell.home / "page.html"
    shell.sepbench("leaderboard", *without(arguments, ("--out",)), "--out", os.fspath(out))
    assert "quickstart" in out.read_text(encoding="utf-8")


def check_protect(shell: Shell, images: str, *arguments: str) -> None:
    there, out = pets(shell.home / "pictures", each=8), shell.home / "protected"
    here = {images: os.fspath(there), "protected": os.fspath(out)}
    printed = shell.sepbench("protect", *(here.get(word, word) for word in (images, *arguments)), "--recipe", "digits")
    assert "16 of 2 classes" in printed
    if "--plan" in arguments:
        assert not out.exists()
    else:
        assert {one.name for one in out.iterdir()} == {"cat", "dog", "manifest.json", "preview.png"}
        assert "Does protected within linf-8 hold on pictures?" in printed


def check_evaluate(shell: Shell, protected: str, *arguments: str) -> None:
    there = shell.home / protected
    clean = np.stack(list(pixels(5000, side=8)))
    np.save(there, clean ^ np.uint8(4))
    reduced = [word for change in SMALL[:3] for word in ("--set", change)]
    printed = shell.sepbench("evaluate", os.fspath(there), *without(arguments, ("--results",)), *reduced, "--no-mlflow")
    assert "5,000 of 5,000 clean images, in the same order" in printed
    assert ("Does theirs within linf-4 hold on cifar10-jpeg75?" in printed) == ("--plan" not in arguments)


def check_check(shell: Shell, plugin: str) -> None:
    (source,) = (block.text for block in blocks("CONTRIBUTING.md", "python") if Path(block.file or "").name == plugin)
    (shell.home / plugin).write_text(source, encoding="utf-8")
    assert shell.sepbench("check", os.fspath(shell.home / plugin)).endswith(", 0 failed\n")


_PRINT = ("plan", "ls", "show", "doctor", "sync", "perf", "du", "clean", "verify")
CHECKS: dict[str, Callable[..., None]] = {
    "make": check_make,
    "export": check_export,
    ".": check_activation,
    "source": check_activation,
    "python3": check_environment,
    "pip": check_pip,
    "pre-commit": check_pre_commit,
    "ray": check_ray,
    "sepbench run": check_run,
    "sepbench table": check_table,
    "sepbench diagnose": check_diagnose,
    "sepbench export": check_protected_sets,
    "sepbench evaluate": check_evaluate,
    "sepbench import": check_import,
    "sepbench leaderboard": check_leaderboard,
    "sepbench protect": check_protect,
    "sepbench plot": check_plot,
    "sepbench check": check_check,
    **{f"sepbench {one}": check_print(one) for one in _PRINT},
}


def without(arguments: Sequence[str], options: Sequence[str]) -> list[str]:
    """Return the arguments less these options and their values, and less `--no-mlflow`."""
    kept = [word for word in arguments if word != "--no-mlflow"]
    for option in options:
        while option in kept:
            position = kept.index(option)
            del kept[position : position + 2]
    return kept


def measured(page: str) -> list[str]:
    """Return the tables of a page that hold measurements."""
    return [table for table in tables(page) if "±" in table]


def test_commands_were_found() -> None:
    assert "make quickstart" in COMMANDS
    assert any(command.startswith("sepbench run") for command in COMMANDS)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_a_page_shows_works(command: str, shell: Shell) -> None:
    words = shlex.split(command, comments=True)
    words[0] = words[0].removeprefix(".venv/bin/")
    taken = 2 if words[0] == "sepbench" else 1
    check = CHECKS.get(" ".join(words[:taken]))
    if check is None:
        pytest.fail(f"nothing here can try '{command}': add it to CHECKS")
    check(shell, *words[taken:])


def test_what_show_prints_of_an_experiment_is_an_experiment_file(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(shell.sepbench("show", "cifar10-cpu"), encoding="utf-8")
    mine = load_experiment(str(tmp_path / "mine.yaml"))
    assert mine.model_dump() == load_experiment("cifar10-cpu").model_dump()


@pytest.mark.parametrize("page", [*PAGES, "results/README.md"])
def test_links_within_the_repository_lead_somewhere(page: str) -> None:
    folder = (ROOT / page).parent
    assert [target for target in links(page) if not (folder / target).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_within_a_page_lead_to_a_heading(page: str) -> None:
    assert set(anchors(page)) <= set(headings(page))


def test_the_readme_tells_its_story_in_order() -> None:
    page = read("README.md")
    places = [
        page.index(f"\n## {title}\n") for title in ("Install", "Three commands", "Results", "Add yours", "Reference")
    ]
    assert places == sorted(places)
    assert page.index("![") < places[0]


def test_every_command_is_in_the_readmes_table_with_what_it_does() -> None:
    shown = {name: command for name, command in group.commands.items() if not command.hidden}
    expected = {name: [(command.help or "").partition("\n")[0]] for name, command in shown.items()}
    assert rows("README.md", "Commands") == expected


@pytest.mark.parametrize(("heading", "registry"), [("Methods", METHODS), ("Defenses", DEFENSES)])
def test_every_plugin_is_in_the_readmes_table_with_what_it_does_and_its_source(
    heading: str, registry: Registry[Any], shell: Shell
) -> None:
    listed = json.loads(shell.sepbench("ls", heading.lower(), "--json"))
    expected = {one["name"]: [one["summary"], source(registry.get(one["name"]).cite)] for one in listed}
    assert rows("README.md", heading) == expected


def source(cite: str | None) -> str:
    if cite is None:
        return ""
    paper = references()[cite]
    return f"{paper.short_authors}, [{paper.short_title}]({paper.url}), {paper.venue} {paper.year}"


def test_every_method_that_trains_networks_of_its_own_is_said_to() -> None:
    sentence = read("README.md").partition(" train networks of their own")[0].rpartition(". ")[2]
    training = [name for name in METHODS.names() if METHODS.is_ours(name) and METHODS.get(name).trains]
    assert re.findall("`([^`]+)`", sentence) == sorted(training)


def test_cifar10_on_two_cores_takes_as_long_as_the_readme_says() -> None:
    found = read_records(RECORDS / "cifar10-cpu")
    crafted = {one.protected_key: one.craft_seconds or 0 for one in found}
    trained = {key: one.surrogate_seconds or 0 for one in found for key in one.surrogate_keys}
    seconds = sum(one.train_seconds or 0 for one in found) + sum(crafted.values()) + sum(trained.values())
    assert {one.host_cores for one in found} == {2}
    assert "about two hours on two CPU cores" in read("README.md")
    assert 1.5 < seconds / 3600 < 2.5


def test_every_number_in_the_readme_is_a_records_table(shell: Shell) -> None:
    shown = measured("README.md")
    if not shown:
        pytest.skip("nothing has been measured yet")
    printed = {
        name: shell.sepbench("table", name, "--records", os.fspath(RECORDS))
        for name in experiment_names()
        if (RECORDS / name).is_dir()
    }
    assert any(table in printed["quickstart"] for table in shown), "the quickstart's table is not what records say"
    assert [table for table in shown if not any(table in text for text in printed.values())] == []
