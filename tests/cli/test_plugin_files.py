"""`--plugin FILE.py` knows the plug-ins of a file; what cannot be known is refused in a sentence."""

import re
from pathlib import Path

import pytest

from bench.contracts.plugin_files import attach_again, attached
from bench.core.errors import SepbenchError
from tests.making.asking import ask, changed, done, write
from tests.making.experiments import TINY
from tests.making.plugin_sources import GOOD, defense, method, network, write_plugin

pytestmark = pytest.mark.usefixtures("own_place", "plugins_as_before")

MINE = changed(TINY, "  - random-noise\n", "  - mine\n")


def refused(*arguments: str) -> str:
    answer = ask(*arguments)
    assert (answer.code, answer.out) == (2, "")
    (line,) = answer.err.splitlines()
    return line.removeprefix("sepbench: ")


def test_an_experiment_may_name_the_plugins_of_a_file() -> None:
    experiment = write(MINE)
    assert "methods.1.mine: unknown method 'mine'" in refused("plan", experiment)
    assert re.search("craft +mine", done("plan", experiment, "--plugin", write_plugin(GOOD)))


def test_each_of_several_files_is_known() -> None:
    spec = changed(changed(MINE, "[resnet8]", "[mine]"), "[plain]", "[plain, mine]")
    files = [write_plugin(GOOD), write_plugin(network(), "net.py"), write_plugin(defense("short = None"), "defense.py")]
    plan = done("plan", write(spec), *(word for file in files for word in ("--plugin", file)))
    assert "12 cells" not in plan
    assert "6 cells" in plan


def test_what_a_plugin_imports_may_lie_beside_it() -> None:
    Path("our_helpers.py").write_text("def brighter(x, radius):\n    return x + radius\n")
    source = method("return budget.project(data.x, brighter(data.x, budget.radius))").replace(
        "import random\n", "import random\nfrom our_helpers import brighter\n", 1
    )
    assert ask("check", write_plugin(source)).code == 0


def test_a_name_that_is_taken_is_refused_and_stays_whose_it_is() -> None:
    file = write_plugin(method("return data.x", name="sep"))
    assert refused("plan", write(TINY), "--plugin", file) == (
        "mine.py calls a method 'sep', which is the name of methods.sep.SEP: give it another name"
    )
    assert "Self-Ensemble Protection" in done("show", "sep")


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("mine.txt", "", "mine.txt is no Python file: name one that ends in .py"),
        (
            "empty.py",
            "x = 1\n",
            'empty.py registers no plug-in: write @METHODS.register("NAME") over its class, or the like with DEFENSES, '
            "ARCHITECTURES or DATASETS",
        ),
    ],
)
def test_a_file_without_plugins_is_refused(name: str, text: str, sentence: str) -> None:
    Path(name).write_text(text)
    assert refused("plan", write(TINY), "--plugin", name) == sentence


def test_a_file_that_is_not_there_is_refused() -> None:
    assert refused("plan", write(TINY), "--plugin", "gone.py") == "there is no plug-in file gone.py: check the path"


def test_a_file_that_cannot_be_imported_is_named_with_its_line_and_leaves_nothing() -> None:
    file = write_plugin(GOOD + "\nimport gone\n")
    sentence = refused("plan", write(TINY), "--plugin", file)
    assert sentence == (
        f"the plug-in in {Path.cwd()}/mine.py:{len((GOOD + 'x').splitlines()) + 1} cannot be loaded "
        f"(ModuleNotFoundError: No module named 'gone'): repair or remove the file"
    )
    assert "unknown method 'mine'" in refused("plan", write(MINE))
    assert re.search("craft +mine", done("plan", write(MINE), "--plugin", write_plugin(GOOD)))


def test_an_edited_file_is_read_anew_in_the_same_process() -> None:
    write_plugin(GOOD)
    assert "Somebody's own." in done("show", "mine", "--plugin", "mine.py")
    write_plugin(GOOD.replace("Somebody's own.", "Somebody else's."))
    assert "Somebody else's." in done("show", "mine", "--plugin", "mine.py")


def test_a_further_process_of_a_run_reads_the_files_of_the_first_and_no_others() -> None:
    done("show", "mine", "--plugin", write_plugin(GOOD))
    handed_over = attached()
    assert list(handed_over) == [str(Path.cwd() / "mine.py")]
    attach_again(handed_over)
    write_plugin(GOOD + "# a remark\n")
    with pytest.raises(SepbenchError) as refusal:
        attach_again(handed_over)
    assert str(refusal.value) == (f"{Path.cwd()}/mine.py changed after the run began: run the same command again")
