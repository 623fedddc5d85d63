"""Every protected set that is crafted is handed on under a name of its own, and no clean images unless asked for."""

from pathlib import Path

import pytest

from bench.cli.options import planned
from bench.read.hub import ready_sets
from tests.making.asking import Finished, ask, done, write
from tests.making.experiments import TINY
from tests.making.handed_on import SETS, front_matter

pytestmark = pytest.mark.usefixtures("own_place")


def test_the_command_ends_with_how_to_upload_and_leaves_clean_images_out(finished: Finished, tmp_path: Path) -> None:
    lines = done("export", "tiny.yaml", "--hub", tmp_path / "hub").splitlines()
    assert [line.split("  ", 1)[1] for line in lines[:-1]] == ["sep linf-32", "random-noise linf-32", "data card"]
    assert lines[-1] == (
        f"fill in the licence, then upload it: hf upload YOUR-NAME/digits-protected {tmp_path / 'hub'} . "
        f"--repo-type dataset"
    )
    assert sorted(path.name for path in (tmp_path / "hub").iterdir()) == ["README.md", *sorted(SETS), "sepbench.json"]
    assert [file["split"] for one in front_matter(tmp_path / "hub")["configs"] for file in one["data_files"]] == [
        "train",
        "train",
    ]


def test_what_is_not_crafted_yet_is_said_and_comes_in_later() -> None:
    write(TINY)
    done("run", "tiny.yaml", "--no-mlflow", "--only", "method=random-noise")
    answer = ask("export", "tiny.yaml", "--hub", "hub")
    assert answer.code == 1
    assert answer.err.startswith("sepbench: 1 protected sets are not crafted yet: run the experiment first")
    assert [one["config_name"] for one in front_matter(Path("hub"))["configs"]] == ["random-noise-linf-32"]


def test_replicates_and_variants_are_sets_of_their_own() -> None:
    text = TINY.replace("seeds: [0]", "seeds: [0]\ncraft_seeds: [0, 1]").replace("steps: 2", "steps: [2, 3]")
    plan = planned(write(text), (), None, ())
    names = [one.config for one in ready_sets._ready_sets(plan)]
    assert names == [
        *(f"sep-steps-{steps}-linf-32-craft-seed-{seed}" for steps in (2, 3) for seed in (0, 1)),
        *(f"random-noise-linf-32-craft-seed-{seed}" for seed in (0, 1)),
    ]
