"""`plot`: the figures of an experiment that has run."""

from pathlib import Path

import pytest
from PIL import Image

from bench.read.plots import KINDS
from tests.making.asking import Finished, ask, changed, done, refusal, write
from tests.making.experiments import TINY

pytestmark = pytest.mark.usefixtures("own_place")


def test_a_run_gives_every_kind_that_it_has_enough_for(finished: Finished, tmp_path: Path) -> None:
    answer = ask("plot", "tiny.yaml", "--out", tmp_path)
    assert answer.code == 0, answer.err
    drawn = [kind for kind in KINDS if kind not in ("ablation", "passes")]
    assert answer.out.split() == [f"{tmp_path}/tiny-{kind}.{form}" for kind in drawn for form in ("png", "svg")]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(Path(path).name for path in answer.out.split())
    assert answer.err.startswith("sepbench: no ablation: no numeric parameter of a method has 3 values in tiny: ")
    assert (
        "\nsepbench: no passes: tiny has no 3 finished methods side by side whose crafting passes differ" in answer.err
    )


def test_records_alone_are_enough_for_bars_and_for_the_same_bytes(finished: Finished, tmp_path: Path) -> None:
    done("plot", "tiny.yaml", "--kind", "bars", "--out", tmp_path / "a")
    done("plot", "tiny.yaml", "--kind", "bars", "--records", "results/records", "--out", tmp_path / "b")
    assert (tmp_path / "a" / "tiny-bars.svg").read_bytes() == (tmp_path / "b" / "tiny-bars.svg").read_bytes()


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("ablation", "no numeric parameter of a method has 3 values in tiny"),
        ("curves", "curves need the finished victims of tiny, which records do not hold"),
        ("classes", "classes need the finished victims of tiny, which records do not hold"),
        ("similarity", "similarity needs a trained surrogate of tiny"),
        ("examples", "examples need protected sets of tiny"),
    ],
)
def test_a_kind_that_cannot_be_drawn_is_refused_with_the_reason(
    finished: Finished, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, reason: str
) -> None:
    monkeypatch.setenv("SEPBENCH_HOME", str(tmp_path / "elsewhere"))
    done("plan", "tiny.yaml")  # the data set's card is made by the first plan
    sentence = refusal("plot", "tiny.yaml", "--kind", kind, "--records", "results/records", "--out", tmp_path / "out")
    assert sentence.startswith(reason)
    assert not (tmp_path / "out").exists()


def test_for_a_paper_there_are_pdfs_of_the_width_that_is_asked_for(finished: Finished, tmp_path: Path) -> None:
    answer = done("plot", "tiny.yaml", "--kind", "bars", "--paper", "--width", "5", "--out", tmp_path)
    assert [Path(path).suffix for path in answer.split()] == [".pdf", ".png", ".svg"]
    with Image.open(tmp_path / "tiny-bars.png") as image:
        assert image.width == 5 * 200


def test_a_width_is_that_of_a_paper(finished: Finished) -> None:
    assert refusal("plot", "tiny.yaml", "--width", "5").startswith("--width goes with --paper: add it")


def test_an_unknown_kind_is_refused(finished: Finished) -> None:
    assert refusal("plot", "tiny.yaml", "--kind", "bar") == "unknown kind of plot 'bar': did you mean bars?"


def test_an_unknown_method_is_refused(finished: Finished) -> None:
    sentence = refusal("plot", "tiny.yaml", "--kind", "classes", "--method", "sepp")
    assert sentence == "unknown method with finished victims 'sepp': did you mean sep?"


def test_an_experiment_that_never_ran_has_nothing_to_draw() -> None:
    write(changed(TINY, "name: tiny", "name: untouched"))
    done("plan", "tiny.yaml")
    Path("records").mkdir()
    assert refusal("plot", "tiny.yaml", "--records", "records").startswith(
        "nothing can be drawn of untouched: there are no records of untouched"
    )


def test_a_folder_that_cannot_be_made_is_named(finished: Finished, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    sentence = refusal(
        "plot", "tiny.yaml", "--kind", "bars", "--records", "results/records", "--out", tmp_path / "file"
    )
    assert sentence.startswith(f"cannot write to {tmp_path / 'file'}")
