"""Tables, plots and the page of results of other people's plug-ins are the same where these are not installed."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from bench.contracts.registries import REGISTRIES
from bench.record.record import read_records
from tests.making.asking import ask, changed, done, refusal, write
from tests.making.experiments import TINY
from tests.making.plugin_sources import HEAD, network, write_plugin
from tests.making.submissions import submission, submissions
from tests.making.submissions import write as write_records

pytestmark = pytest.mark.usefixtures("own_place", "plugins_as_before")

SOURCE = f'''{HEAD}

class Strength(Params):
    strength: float = Field(1.0, gt=0, le=1, description="share of the budget")
    note: str = Field("a", description="nothing")


@METHODS.register("mine")
class Mine(Method[Strength]):
    """Somebody's own."""

    norms = ("linf",)
    per_sample = True

    def craft(self, data, budget, ctx):
        return budget.project(data.x, data.x + self.params.strength * budget.radius)


class Percent(Params):
    percent: int = Field(100, description="of what")


@DEFENSES.register("half")
class Half(Defense[Percent]):
    """Somebody's own."""

    short = "percent"
'''
SPEC = (
    changed(TINY, "  epochs: 2\n", "  epochs: 1\n").replace("limit: 200", "limit: 40").partition("methods:")[0]
    + """\
methods: [none, mine: {strength: [0.5, 1]}]
victims: [mine]
defenses: [plain, half, half-50]
seeds: [0]
table: {rows: method, columns: [defense]}
"""
)
FILES = ("--plugin", "mine.py", "--plugin", "net.py")


@pytest.fixture
def ran() -> str:
    """An experiment with somebody's method, defense and network that has run; nobody knows these any more."""
    write_plugin(SOURCE)
    write_plugin(network(), "net.py")
    before = {kind: dict(registry._plugins) for kind, registry in REGISTRIES.items()}
    assert ask("run", write(SPEC), *FILES, "--no-mlflow", "--results", "results").code == 0
    for kind, registry in REGISTRIES.items():
        registry._plugins = before[kind]
    assert "unknown method 'mine'" in ask("plan", "tiny.yaml").err
    return "tiny.yaml"


def test_what_is_read_of_records_needs_no_plugins(ran: str) -> None:
    records = ("--records", "results/records")
    for arguments in (
        ("table", ran, *records),
        ("table", ran, *records, "--format", "json"),
        ("leaderboard", *records, "--out", "page.html"),
        ("plot", ran, *records, "--kind", "bars", "--out", "plots"),
    ):
        without = done(*arguments)
        page = Path("page.html").read_text() if "page.html" in arguments else ""
        plugins = FILES if arguments[0] in ("table", "plot") else ()
        assert done(*arguments, *plugins) == without
        assert not page or Path("page.html").read_text() == page
        assert "unknown" in ask("plan", ran).err or plugins
        for registry in REGISTRIES.values():
            registry._plugins = {name: one for name, one in registry._plugins.items() if name not in ("mine", "half")}
    table = done("table", ran, *records)
    assert "| mine (strength=0.5) |" in table
    assert "half-100" in table
    assert "half-50" in table


def test_what_needs_the_plugin_itself_is_told_where_it_came_from(ran: str) -> None:
    for arguments in (("export", ran, "--out", "sets"), ("export", ran, "--hub", "hub"), ("plan", ran)):
        sentence = refusal(*arguments)
        assert re.search(r"unknown (method|defense|architecture) '\w+': ", sentence)
        assert re.search(
            r"; records here have one of \w+\.py: name its file by --plugin, or install its package$", sentence
        )


def test_a_record_tells_where_plugins_came_from(ran: str) -> None:
    (record,) = (
        one
        for one in read_records(Path("results/records"))
        if one.method_params.get("strength") == 0.5 and one.defense == "half-50"
    )
    digest = hashlib.sha256(Path("mine.py").read_bytes()).hexdigest()
    net = hashlib.sha256(Path("net.py").read_bytes()).hexdigest()
    assert record.plugins == {
        "method mine": {
            "package": "mine.py",
            "sha256": digest,
            "defaults": {"strength": 1.0, "note": "a"},
            "norms": ["linf"],
            "surrogates": False,
        },
        "defense half": {
            "package": "mine.py",
            "sha256": digest,
            "defaults": {"percent": 100},
            "short": "percent",
            "files": [],
        },
        "architecture mine": {"package": "net.py", "sha256": net},
    }
    clean = next(one for one in read_records(Path("results/records")) if one.method == "none")
    assert "method none" not in (clean.plugins or {})
    assert json.loads(submission().to_json()).get("plugins", "left out") == "left out"


def test_the_page_names_the_parameters_that_differ_from_the_recorded_defaults() -> None:
    told = {"package": "far 1.0", "sha256": "a" * 64, "defaults": {"strength": 1.0, "steps": 3}, "norms": ["linf"]}
    mine = {"method": "far", "plugins": {"method far": told}}
    records = [
        *submissions([20.0, 22.0], **mine, method_params={"strength": 0.5, "steps": 3}),
        *submissions([30.0, 32.0], **mine, method_params={"strength": 1.0}),  # from before it had steps
    ]
    write_records(records, Path("records"))
    done("leaderboard", "--records", "records", "--out", "page.html")
    page = Path("page.html").read_text()
    assert '"parameters":"strength=0.5"' in page
    assert '"parameters":""' in page
    assert "method far of far 1.0, sha256 aaaaaaaaaaaaaaaa" in page
