"""A command, option or name that does not exist is answered with what does."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import bench
from tests.making.asking import Finished, refusal, write
from tests.making.experiments import TINY

pytestmark = pytest.mark.usefixtures("own_place")


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (["frobnicate"], "no such command 'frobnicate': see sepbench --help"),
        (["plna", "tiny.yaml"], "no such command 'plna': did you mean 'plan'? See sepbench --help"),
        (["--frob"], "no such option '--frob': see sepbench --help"),
        (["plan"], "missing argument 'EXPERIMENT': see sepbench plan --help"),
        (["plan", "tiny.yaml", "--profil", "x"], "'--profil': did you mean '--profile'? See sepbench plan --help"),
        (["plan", "tiny.yaml", "more"], "got unexpected extra argument (more): see sepbench plan --help"),
        (["run", "tiny.yaml", "--set"], "option '--set' requires an argument: see sepbench run --help"),
        (["ls"], "missing argument 'methods|victims|defenses|datasets|recipes|experiments': see sepbench ls --help"),
        (["ls", "method"], "unknown kind 'method': did you mean methods?"),
        (["ls", "foo"], "unknown kind 'foo': known: datasets, defenses, experiments, methods, recipes, victims"),
        (["plan", "quikstart"], "unknown experiment 'quikstart': did you mean quickstart"),
        (["plan", "tiny"], "unknown experiment 'tiny': did you mean tiny.yaml"),
        (["plan", "gone.yaml"], "there is no experiment file gone.yaml: check the path, or see sepbench ls exp"),
        (["show", "gone.yml"], "there is no experiment file gone.yml: check the path, or see sepbench ls exp"),
        (["plan", "notes.txt"], "notes.txt is not an experiment file: its name must end in .yaml"),
        (["plan", "folder.yaml"], "folder.yaml cannot be read (Is a directory): name a readable file"),
        (["run", "tiny.yaml", "--executor", "lokal"], "unknown executor 'lokal': did you mean local?"),
        (["run", "tiny.yaml", "--force", "victims"], "unknown stage of --force 'victims': did you mean victim?"),
        (["plan", "tiny.yaml", "--only", "metod=sep"], "unknown field of --only 'metod': did you mean method?"),
        (["plan", "tiny.yaml", "--only", "method"], "--only method: write --only FIELD=VALUE, such as --only method"),
        (["plan", "tiny.yaml", "--only", "method=spe"], "--only method=spe: no cell has it; choose from none, random"),
        (["run", "tiny.yaml", "--only", "budget=linf-8"], "--only budget=linf-8: no cell has it; choose from linf-32"),
        (["run", "tiny.yaml", "--only", "method=sep", "--only", "budget=none"], "--only leaves no cell of the exp"),
        (
            ["run", "tiny.yaml", "--jobs", "0"],
            "invalid value for '--jobs': 0 is not in the range x>=1: see sepbench run",
        ),
        (["run", "tiny.yaml", "--jobs", "-1"], "invalid value for '--jobs': -1 is not in the range x>=1: see sepbench"),
        (["run", "tiny.yaml", "--jobs", "2", "--only", "method=spe"], "--only method=spe: no cell has it; choose from"),
        (["run", "tiny.yaml", "--jobs", "2", "--set", "seeds=[a]"], "--set seeds=[a]: seeds.0: must be a whole number"),
        (["run", "tiny.yaml", "--devices", "gpu"], "--devices gpu: there is no such device; write cpu, cuda or"),
        (["run", "tiny.yaml", "--devices", "mps"], "--devices mps: sepbench runs on cpu and cuda"),
        (["run", "tiny.yaml", "--devices", "cpu,"], "--devices cpu,: write devices with commas between them, such as"),
        (["run", "tiny.yaml", "--devices", "cpu,gpu"], "--devices gpu: there is no such device; write cpu, cuda or"),
        (["run", "tiny.yaml", "--address", "10.0.0.1:6379"], "--address 10.0.0.1:6379 is of a cluster: add --executor"),
        (
            ["protect", "pets", "--out", "new", "--devices", "cpu,cpu"],
            "--devices cpu,cpu: this command works on one device; write",
        ),
        (["run", "tiny.yaml", "--devices", ""], "--devices : there is no such device; write cpu, cuda or cuda:0"),
        (["show", "sepp"], "unknown name or key 'sepp': did you mean sep"),
        (["show", "zzz"], "unknown name or key 'zzz': known: "),
        (["table", "tiny.yaml", "--format", "xlsx"], "unknown table format 'xlsx': choose one of md, csv, latex, html"),
        (["table", "tiny.yaml", "--where", "seed"], "--where seed: write --where FIELD=VALUE, such as --where method"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_request_is_answered_with_what_to_write(request_: list[str], says: str) -> None:
    write(TINY)
    write("some text\n", "notes.txt")
    Path("folder.yaml").mkdir()
    assert says in refusal(*request_)


@pytest.mark.parametrize("limit", ["soon", "0", "", "5x", "-5m", "1.5h", "m"])
def test_a_time_limit_that_is_no_duration_is_refused(limit: str) -> None:
    message = refusal("run", write(TINY), "--time-limit", limit)
    assert message == f"--time-limit {limit}: write a duration such as 90s, 9m or 1h30m"


@pytest.mark.parametrize("option", ["--time-limit", "--stage-limit"])
def test_a_limit_that_no_timer_takes_is_refused(option: str) -> None:
    message = refusal("run", write(TINY), option, "99999999h")
    assert message == f"{option} 99999999h: write a duration such as 90s, 9m or 1h30m, of ten years at most"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_gpu_that_is_not_there_is_refused(command: str) -> None:
    message = refusal(command, write(TINY), "--devices", "cuda")
    assert message == (
        "--devices cuda asks for a GPU, and torch finds none on this machine: use --devices cpu, or see sepbench doctor"
    )


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (["table", "tiny.yaml", "--format", "latx"], "unknown table format 'latx': choose one of md, csv, latex, html"),
        (["table", "tiny.yaml", "--where", "metod=sep"], "unknown record field 'metod': did you mean method"),
        (["table", "tiny.yaml", "--where", "method=spe"], "no record has method=spe: choose from none, random-noise"),
        (["table", "tiny.yaml", "--set", "recipe.epochs=3"], "there are no records of tiny as asked for in MLflow"),
        (["run", "tiny.yaml", "--force", "train"], "unknown stage of --force 'train': known: craft, surrogate, victim"),
        (["run", "tiny.yaml", "--set", "seeds=[a]"], "--set seeds=[a]: seeds.0: must be a whole number"),
        (["show", "abcdef012345"], "has a key that starts with abcdef012345: sepbench table EXPERIMENT --format json"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_request_leaves_finished_work_alone(request_: list[str], says: str, finished: Finished) -> None:
    assert says in refusal(*request_)


@pytest.mark.slow
def test_a_real_process_answers_in_one_line_too(tmp_path: Path) -> None:
    root = str(Path(bench.__file__).parents[1])
    command = [sys.executable, "-m", "bench", "plan", "quikstart"]
    answer = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": root}, check=False)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr == "sepbench: unknown experiment 'quikstart': did you mean quickstart?\n"
    assert not (tmp_path / ".sepbench").exists()
