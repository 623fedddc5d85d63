"""A plug-in that is broken stops what needs it, in one sentence, and nothing else."""

import json
import sys
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from pathlib import Path

import pytest

import bench.data.formats
import methods
import victims.architectures
import victims.defenses
from bench.contracts.registries import REGISTRIES
from tests.making.asking import Finished, ask, changed, done, write
from tests.making.experiments import TINY

pytestmark = pytest.mark.usefixtures("own_place", "fresh_registries")


@dataclass(frozen=True)
class Kind:
    """A kind of plug-in: where its files lie, and how an experiment asks for one called `far`."""

    folder: list[str]
    group: str
    registry: str
    before: str
    after: str


KINDS = {
    "methods": Kind(methods.__path__, "sepbench.methods", "METHODS", "  - random-noise", "  - far"),
    "victims": Kind(
        victims.architectures.__path__, "sepbench.architectures", "ARCHITECTURES", "[resnet8]", "[resnet8, far]"
    ),
    "defenses": Kind(victims.defenses.__path__, "sepbench.defenses", "DEFENSES", "[plain]", "[plain, far]"),
    "datasets": Kind(
        bench.data.formats.__path__,
        "sepbench.datasets",
        "DATASETS",
        "dataset:\n  name: digits\n",
        "dataset:\n  name: mine\n  format: far\n",
    ),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def fresh_registries() -> Iterator[None]:
    """Let the registries look for plug-ins anew, and forget afterwards what they found."""
    for one in REGISTRIES.values():
        one.names()
    before = [{name: copy(value) for name, value in vars(one).items()} for one in REGISTRIES.values()]
    folders = [[*kind.folder] for kind in KINDS.values()]
    for one in REGISTRIES.values():
        one._modules = one._entries = None
    yield
    for kind, folder in zip(KINDS.values(), folders, strict=True):
        kind.folder[:] = folder
    for one, state in zip(REGISTRIES.values(), before, strict=True):
        vars(one).update(state)


def add_file(kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch, source: str, name: str = "far") -> Path:
    """Add a plug-in's file to those of its kind."""
    package = KINDS[kind].folder
    (folder / kind).mkdir(exist_ok=True)
    path = folder / kind / f"{name}.py"
    path.write_text(source)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    package.append(str(folder / kind))
    monkeypatch.delitem(sys.modules, f"{REGISTRIES[kind].package}.{name}", raising=False)
    return path


def add_package(
    kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch, source: str, entry: str = "far = far_away:Far"
) -> None:
    """Install a package that offers a plug-in."""
    info = folder / "site" / "sepbench_far-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "site" / "far_away.py").write_text(source)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sepbench-far\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{KINDS[kind].group}]\n{entry}\n")
    monkeypatch.syspath_prepend(folder / "site")
    monkeypatch.delitem(sys.modules, "far_away", raising=False)


def naming_far(kind: str) -> str:
    """Write an experiment that needs the plug-in, and return its name."""
    return write(changed(TINY, KINDS[kind].before, KINDS[kind].after), "far.yaml")


def refused(*arguments: str | Path) -> str:
    """Run a command that must be refused in one line, and return it: the words of a plug-in's error may be any."""
    answer = ask(*arguments)
    assert (answer.code, answer.out) == (2, "")
    (line,) = answer.err.splitlines()
    return line.removeprefix("sepbench: ")


def sentence_of_doctor() -> str:
    answer = ask("doctor")
    assert answer.code == 1
    assert answer.err == ""
    (sentence,) = [line for line in answer.out.splitlines() if line.startswith("✗")]
    return sentence.removeprefix("✗ ")


FAULTS = {
    "gone": ("import gone\n", "ModuleNotFoundError: No module named 'gone'"),
    "raises": ("raise RuntimeError('no licence')\n", "RuntimeError: no licence"),
    "exits": ("import sys\nsys.exit('no licence')\n", "SystemExit: no licence"),
    "typo": ("class Far(:\n    pass\n", "SyntaxError: invalid syntax (far.py, line 1)"),
}


@every_kind
@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_that_cannot_be_imported_stops_only_what_needs_it(
    kind: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, reason = FAULTS[fault]
    text = f'{source}@{KINDS[kind].registry}.register("far")\ndef far(): ...\n'
    path = add_file(kind, tmp_path, monkeypatch, text)
    line = 2 if fault == "exits" else 1
    sentence = f"the {REGISTRIES[kind].kind} in {path}:{line} cannot be loaded ({reason}): repair or remove the file"
    assert json.loads(done("plan", write(TINY), "--json"))["stages"]
    complaint = refused("plan", naming_far(kind))
    assert complaint.startswith("far.yaml:")
    assert complaint.endswith(sentence)
    assert refused("show", "far") == sentence
    assert sentence_of_doctor() == sentence
    listed = {one["name"]: one["summary"] for one in json.loads(done("ls", kind, "--json"))}
    assert listed["far"] == f"cannot be loaded ({reason})"
    assert len(listed) > 3


@every_kind
def test_a_package_that_cannot_be_imported_stops_only_what_needs_it(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_package(kind, tmp_path, monkeypatch, "from torch import gone\n")
    assert "tiny" in done("plan", write(TINY))
    sentence = sentence_of_doctor()
    assert sentence.startswith(
        f"the {REGISTRIES[kind].kind} 'far' of the installed package sepbench-far cannot be loaded (ImportError: "
    )
    assert sentence.endswith("): repair or uninstall that package")
    assert ask("plan", naming_far(kind)).err.endswith(f"{sentence}\n")
    assert refused("show", "far") == sentence
    assert "\nfar " in done("ls", kind)


@every_kind
def test_a_package_without_what_its_entry_point_names_is_broken(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_package(kind, tmp_path, monkeypatch, "class Near: ...\n")
    assert "has no attribute 'Far'" in sentence_of_doctor()


@every_kind
def test_what_keeps_no_contract_is_no_plugin(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_package(kind, tmp_path, monkeypatch, "Far = 5\n")
    sentence = sentence_of_doctor()
    assert sentence.startswith(f"the {REGISTRIES[kind].kind} 'far' (a int) cannot be used, as it is no ")
    assert refused("show", "far") == sentence
    assert ask("plan", naming_far(kind)).code == 2
    assert ask("plan", write(TINY)).code == 0


METHOD = """
from bench.api import METHODS, Field, Method, Params

class FarParams(Params):
    steps: int = 3

class Far(Method[FarParams]):
    '''Far.'''

    def craft(self, data, budget, ctx):
        return data.x
"""


@pytest.mark.parametrize(
    ("old", "new", "breach"),
    [
        ("def craft", "def crafts", "it does not define craft"),
        ("'''Far.'''", "norms = ('l3',)", "its norms are ('l3',), not a tuple of linf, l2, l0, unbounded"),
        ("'''Far.'''", "norms = 'linf'", "its norms are 'linf', not a tuple of linf, l2, l0, unbounded"),
        ("'''Far.'''", "version = '2'", "its version is '2', not a whole number"),
        ("'''Far.'''", "cite = 5", "its cite is 5, not the key of a reference"),
        ("'''Far.'''", "Params = dict", "its Params is no class made of bench.api.Params"),
        (
            "int = 3",
            "int = Field(default_factory=lambda: 1 // 0)",
            "its parameters cannot be made (ZeroDivisionError: ",
        ),
        ("steps: int = 3", "steps: 'Steps' = 3", "its parameters cannot be made (PydanticUserError: "),
        ("Method[FarParams]", "Params", "it is no class made of bench.api.Method"),
    ],
)
def test_a_method_that_breaks_its_contract_is_told_how(
    old: str, new: str, breach: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_package("methods", tmp_path, monkeypatch, changed(METHOD, old, new))
    sentence = sentence_of_doctor()
    assert sentence.startswith(f"the method 'far' (far_away.Far) cannot be used, as {breach}")
    assert sentence.endswith(": repair or remove it")


@pytest.mark.parametrize(
    ("body", "breach"),
    [
        ("short = 'percent'", "it names a parameter 'percent', which it does not have"),
        ("files = ('folder',)", "it names a parameter 'folder', which it does not have"),
        ("files = 'folder'", "its files are 'folder', not a tuple of parameters"),
        ("words = 'a cut of {percent} %'", "its words name a parameter 'percent', which it does not have"),
        ("words = 'half a {'", "its words are 'half a {': Single '{' encountered in format string"),
        ("words = 3", "its words are 3, not text"),
    ],
)
def test_a_defense_that_breaks_its_contract_is_told_how(
    body: str, breach: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_package("defenses", tmp_path, monkeypatch, f"from bench.api import Defense\nclass Far(Defense):\n    {body}\n")
    assert sentence_of_doctor() == (
        f"the defense 'far' (far_away.Far) cannot be used, as {breach}: repair or remove it"
    )


def test_a_data_set_without_its_functions_is_told_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_package("datasets", tmp_path, monkeypatch, "from bench.api import DatasetPlugin\nclass Far(DatasetPlugin): ...")
    assert "as it does not define files and open: " in sentence_of_doctor()


def test_a_method_that_fails_while_it_is_asked_is_named_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = METHOD + "\n    def passes(self):\n        return {}['steps']\n"
    add_package("methods", tmp_path, monkeypatch, source)
    log = tmp_path / "home" / "logs" / "traceback.log"
    assert refused("plan", naming_far("methods")) == (
        f"the plug-in {tmp_path}/site/far_away.py:14 fails (KeyError: 'steps'): repair it; the traceback is in {log}"
    )
    assert log.read_text().startswith("Traceback")


@pytest.mark.parametrize("hook", ["needs", "passes"])
def test_a_method_that_ends_python_while_it_is_asked_has_not_done_what_was_asked_for(
    hook: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = METHOD + f"\n    def {hook}(self):\n        raise SystemExit(0)\n"
    add_package("methods", tmp_path, monkeypatch, source)
    asked = refused("plan", naming_far("methods"))
    assert asked.startswith(f"the plug-in {tmp_path}/site/far_away.py:14 fails (SystemExit: 0): repair it; ")


def test_a_network_that_is_no_classifier_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "from torch import nn\ndef Far(classes):\n    return nn.Sequential()\n"
    add_package("victims", tmp_path, monkeypatch, source)
    answer = ask("plan", naming_far("victims"))
    assert (answer.code, answer.err) == (
        2,
        "sepbench: the architecture 'far' returns a Sequential, not a bench.api.Classifier: repair or remove it\n",
    )


def test_a_name_of_ours_that_a_package_takes_is_nobodys_and_both_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_package("methods", tmp_path, monkeypatch, METHOD, "random-noise = far_away:Far")
    sentence = (
        "method 'random-noise' is defined twice, by methods.random_noise.RandomNoise and by far_away.Far: rename one "
        "of them, or remove its file or package"
    )
    assert refused("plan", write(TINY)) == f"tiny.yaml:13: methods.1.random-noise: {sentence}"
    assert refused("show", "random-noise") == sentence
    assert sentence_of_doctor() == sentence
    assert "none" in done("plan", write(changed(TINY, "  - random-noise\n", ""), "without.yaml"))


def test_two_files_that_claim_one_name_disturb_no_other_in_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = METHOD.replace("class Far(", '@METHODS.register("sep")\nclass Far(') + (
        '\n@METHODS.register("further")\nclass Further(Far):\n    "Further."\n'
    )
    add_file("methods", tmp_path, monkeypatch, source, "copied_sep")
    assert "further" in done("show", "further")
    assert "by methods.sep.SEP and by methods.copied_sep.Far" in refused("show", "sep") or (
        "by methods.copied_sep.Far and by methods.sep.SEP" in refused("show", "sep")
    )


def test_an_unknown_name_may_be_that_of_a_broken_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = add_file("methods", tmp_path, monkeypatch, "import gone\n", "half_done")
    hint = f"; or it is a plug-in that does not work: the method in {path}:1 cannot be loaded (ModuleNotFoundError: "
    for message in (refused("show", "zebra"), refused("plan", write(changed(TINY, "- random-noise", "- zebra")))):
        assert "'zebra': " in message
        assert hint in message
    assert hint not in refused("show", "quickstat.yaml")
    assert refused("show", "half-done").startswith(f"the method in {path}:1 cannot be loaded (")
    assert "half-done" in {one["name"] for one in json.loads(done("ls", "methods", "--json"))}


def test_what_reads_records_goes_on_without_the_plugin_that_made_them(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = done("table", "tiny.yaml", "--records", "results/records")
    page = done("leaderboard", "--records", "results/records", "--out", tmp_path / "before.html")
    assert page
    add_package("methods", tmp_path, monkeypatch, METHOD, "random-noise = far_away:Far")
    add_file("victims", tmp_path, monkeypatch, "import gone")
    add_file("defenses", tmp_path, monkeypatch, "import gone")
    add_file("datasets", tmp_path, monkeypatch, "import gone")
    without = write(changed(TINY, "  - random-noise\n", ""), str(tmp_path / "tiny.yaml"))
    assert "sep" in done("table", without, "--records", "results/records")
    assert "random-noise" in before
    done("leaderboard", "--records", "results/records", "--out", tmp_path / "after.html")
    assert (tmp_path / "after.html").read_text() == (tmp_path / "before.html").read_text()
    assert "svg" in done("plot", without, "--records", "results/records", "--out", tmp_path / "plots", "--kind", "bars")


def test_a_run_goes_on_beside_broken_plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in KINDS:
        add_file(kind, tmp_path, monkeypatch, "import gone")
    answer = ask("run", write(TINY), "--only", "method=none", "--no-mlflow")
    assert answer.code == 0, answer.err
    assert "gone" not in answer.err
