"""What stands in results/ is what its records give, and nothing else."""

import csv
import json
import re
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import matplotlib
import pytest
from scipy.stats import ttest_1samp

from bench.contracts.method import METHODS
from bench.core.errors import SepbenchError
from bench.flows.lossy import COST
from bench.read.plots import Sources
from bench.read.rebuild import rebuild
from bench.read.standins import loaded
from bench.read.stats.intervals import summarise
from bench.read.tables import latex_document
from bench.record.published import read_published
from bench.store.home import Home
from tests.making.pages import ROOT, read

RESULTS = ROOT / "results"
MADE = ("tables", "plots", "index.html")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with the committed records and nothing else."""
    shutil.copytree(RESULTS / "records", tmp_path / "results" / "records")
    return tmp_path / "results"


def made(results: Path, *, plots: bool) -> dict[str, bytes]:
    files = [path for path in results.rglob("*") if path.is_file() and path.relative_to(results).parts[0] in MADE]
    return {path.relative_to(results).as_posix(): path.read_bytes() for path in files if plots or path.suffix != ".svg"}


@pytest.mark.slow
def test_tables_plots_and_page_are_what_the_records_give(copy: Path, tmp_path: Path) -> None:
    written = {path.relative_to(copy).as_posix() for path in rebuild(copy, Home(tmp_path / "home"))}
    # Another matplotlib places letters elsewhere.
    pinned = re.search(r"^matplotlib==(\S+)$", read("constraints.txt"), re.MULTILINE)
    assert pinned is not None
    same_letters = matplotlib.__version__ == pinned[1]
    found, committed = made(copy, plots=same_letters), made(RESULTS, plots=same_letters)
    differing = [name for name in sorted({*found, *committed}) if found.get(name) != committed.get(name)]
    assert not differing, "make results makes them anew"
    assert written == {*made(RESULTS, plots=True)}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_every_table_fits_into_papers_of_one_column_and_of_two(tmp_path: Path) -> None:
    tables = []
    for folder in sorted((RESULTS / "records").iterdir()):
        with loaded([folder.name], Home(tmp_path), folder, profile=None, overrides=()) as (experiment,):
            tables.append(Sources(experiment, Home(tmp_path), folder).table)
    assert len(tables) > 5
    for columns in (1, 2):
        (tmp_path / "tables.tex").write_text(latex_document(tables, columns), encoding="utf-8")
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "tables.tex"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
        assert done.returncode == 0, done.stdout[-2000:]
        assert not re.findall(r"Overfull .*|.* too large .*", (tmp_path / "tables.log").read_text(encoding="latin-1"))


@pytest.mark.slow
def test_what_has_no_records_any_more_is_removed(copy: Path, tmp_path: Path) -> None:
    for folder in (copy / "records").iterdir():
        if folder.name != "quickstart":
            shutil.rmtree(folder)
    (copy / "tables").mkdir()
    (copy / "tables" / "cifar10-cpu.md").write_text("old")
    list(rebuild(copy, Home(tmp_path / "home")))
    assert not (copy / "tables" / "cifar10-cpu.md").exists()
    assert (copy / "tables" / "quickstart.md").is_file()


def test_a_record_that_breaks_the_rules_is_named(copy: Path, tmp_path: Path) -> None:
    path = next(path for path in (copy / "records" / "quickstart").iterdir() if '"sep"' in path.read_text())
    path.write_text(json.dumps({**json.loads(path.read_text()), "linf_levels": 40}))
    with pytest.raises(SepbenchError, match=f"{path.name}.*40 levels, beyond the budget linf-32"):
        list(rebuild(copy, Home(tmp_path / "home")))


def test_records_in_the_folder_of_another_experiment_are_named(copy: Path, tmp_path: Path) -> None:
    (copy / "records" / "quickstart").rename(copy / "records" / "other")
    with pytest.raises(SepbenchError, match="other holds records of quickstart: move them"):
        list(rebuild(copy, Home(tmp_path / "home")))


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SepbenchError, match="run an experiment with --results first"):
        list(rebuild(tmp_path, Home(tmp_path / "home")))


def test_every_number_in_the_text_was_measured_or_published() -> None:
    """Intervals stand in a table as they are told; other decimals in a table, a diagnosis or a published row."""
    tables = " ".join(path.read_text(encoding="utf-8") for path in (RESULTS / "tables").glob("*.md"))
    diagnoses = " ".join(path.read_text(encoding="utf-8") for path in (RESULTS / "diagnoses").glob("*.md"))
    text = read("results/README.md")
    measured = set(re.findall(r"(\d+\.\d)\** +± +(\d+\.\d)", f"{tables} {' '.join(own_sizes())}"))
    told = set(re.findall(r"(\d+\.\d)\s±\s(\d+\.\d)", text))
    assert told
    assert told <= measured
    known = set(re.findall(r"\d+\.\d+", f"{tables} {diagnoses} {' '.join([*own_sizes(), *by_passes()])}")) | {
        f"{one.test_acc:.2f}" for one in read_published()
    }
    assert set(re.findall(r"\d+\.\d+", text)) <= known


def test_what_jpeg_is_said_to_cost_is_what_its_table_has() -> None:
    table = read("results/tables/cifar10-cpu-jpeg.md")
    means = re.findall(r"^\| (?:plain|jpeg-\d+) .*\| +(\S+) ± \S+ \|$", table, re.MULTILINE)
    assert re.findall(r"(\d+\.\d) %", COST) == means
    assert len(means) == 5


def own_sizes() -> list[str]:
    """Return what was measured of pictures of mixed sizes, in the order of the file: mean and interval."""
    runs: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    with (RESULTS / "own-sizes.csv").open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            runs[line["trained_on"], line["fit"]].append(float(line["test_acc"]))
    found = [summarise(values) for values in runs.values()]
    return [f"{one.mean:.1f} ± {one.half_width:.1f}" for one in found]


def test_the_table_of_mixed_sizes_is_its_file() -> None:
    told = re.findall(r"\| (?:squeeze|crop) \| (.*?) \|", read("results/README.md"))
    assert told == own_sizes()


def by_passes() -> list[str]:
    """Return what SEP's checkpoints x steps of the text protect, and the p of differences to 15 x 30 and 3 x 30."""
    found: defaultdict[tuple[int, int], dict[str, dict[int, float]]] = defaultdict(dict)
    for experiment in ("cifar10-cpu-passes", "cifar10-cpu-passes-linf-4"):
        for path in (RESULTS / "records" / experiment).glob("*.json"):
            record = json.loads(path.read_text(encoding="utf-8"))
            params = record["method_params"]
            if record["method"] == "sep" and params["step_size"] is None:
                setting = found[params["checkpoints"], params["steps"]]
                setting.setdefault(experiment, {})[record["seed"]] = record["test_acc"]
    rows, reference, preset = list[str](), found[15, 30], found[3, 30]
    for checkpoints, steps in ((15, 30), (3, 30), (5, 10), (3, 10)):
        own, cells = found[checkpoints, steps], [str(checkpoints * steps)]
        for experiment, by_seed in own.items():
            one = summarise([by_seed[seed] for seed in (0, 1, 2)])
            to_reference = p_of({experiment: by_seed}, {experiment: reference[experiment]})
            cells += [f"{one.mean:.1f} ± {one.half_width:.1f}", to_reference]
        rows.append(" | ".join([*cells, p_of(own, reference), p_of(own, preset)]))
    return rows


def p_of(own: dict[str, dict[int, float]], other: dict[str, dict[int, float]]) -> str:
    """Return the p of a t-test paired by experiment and seed, nothing of a setting and itself."""
    differences = [own[experiment][seed] - other[experiment][seed] for experiment in own for seed in own[experiment]]
    return f"{ttest_1samp(differences, 0).pvalue:.2g}" if any(differences) else ""


def test_the_table_of_fewer_passes_is_what_its_records_give() -> None:
    rows = re.findall(r"^\| \d+ x \d+ (?:\(`sep-fast`\) )?\| (\d.*) \|$", read("results/README.md"), re.MULTILINE)
    assert [re.sub(" +", " ", row).strip() for row in rows] == [re.sub(" +", " ", row).strip() for row in by_passes()]
    params = METHODS.get("sep-fast")().params.model_dump()
    assert (params["checkpoints"], params["steps"]) == (3, 30)


def test_the_readme_tells_what_perf_has_measured() -> None:
    def ratio(name: str, precision: str) -> str:
        rows = json.loads((RESULTS / "perf" / f"{name}.json").read_text())["rows"]
        return next(f"{row['ratio']:.1f}" for row in rows if row["precision"] == precision)

    told = re.search(
        r"training is (\S+) times as fast .*?`resnet18` and (\S+) times for `resnet8`, with bfloat16 .*?\) (\S+) and "
        r"(\S+) times; crafting SEP on five checkpoints of `resnet18` is (\S+) times as fast",
        " ".join(read("README.md").split()),
    )
    assert told is not None
    assert told.groups() == (
        ratio("train-resnet18", "fp32"),
        ratio("train-resnet8", "fp32"),
        ratio("train-resnet18", "bf16"),
        ratio("train-resnet8", "bf16"),
        ratio("craft-resnet18", "fp32"),
    )
