"""sepbench protect as a person types it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.making.asking import ask, done, refusal
from tests.making.pictures import file_of, photo, put
from tests.making.protections import pets

pytestmark = pytest.mark.usefixtures("own_place")

QUICK = ("--recipe", "digits", "--method", "{sep: {checkpoints: 2, steps: 2}}")


def test_a_plan_says_what_would_be_done_and_does_nothing() -> None:
    pets(Path("pets"))
    said = done("protect", "pets", "--out", "out", "--plan").splitlines()
    assert said[0] == "pets"
    told = [line.split(maxsplit=1) for line in said[1:]]
    assert ["pictures", "12 of 2 classes (6 of each), all 16x16; they are only read"] in told
    assert ["surrogate", "resnet8, trained on all pictures"] in told
    # 60 epochs, the most there are, as 20,000 / 12 is more; and 30 steps on 3 checkpoints.
    assert any(line.startswith("  work  ") and "150 passes over the pictures, roughly" in line for line in said)
    # 3 kinds of training on clean and protected pictures and one diluted, 60 epochs of 0.8, and 0.35 of 0.2 to judge.
    assert any(line.startswith("  check  ") and "365 passes more" in line for line in said)
    assert any(line.startswith("  kept in  ") and str(Path("home").absolute()) in line for line in said)
    assert not Path("out").exists()
    assert not Path("home", "store").exists()


def test_a_plan_says_of_a_method_that_trains_what_and_how_much_at_most() -> None:
    pets(Path("pets"))
    method = "{em: {rounds: 4, steps: 3, batches: 2, batch_size: 6}}"
    said = done("protect", "pets", "--out", "out", "--plan", "--no-check", "--method", method)
    assert re.search(r"\n  surrogate +resnet8, trained while it crafts\n", said)
    # 4 rounds of 3 steps, and in each two batches of half the pictures.
    assert re.search(r"\n  work +at most 16 passes over the pictures, roughly ", said)


def test_a_budget_that_needs_longer_steps_gets_them() -> None:
    pets(Path("pets"))
    said = done("protect", "pets", "--out", "out", "--plan", "--budget", "linf-32", "--no-check")
    assert "sep-fast (steps 30, step_size 1.34, checkpoints 3, placement equidistant)" in said
    assert "linf-32, no value moves by more than 32 of 255 levels" in said
    assert "  check  " not in said


def test_pictures_of_several_sizes_are_told_and_what_is_not_kept_of_them() -> None:
    put(Path("pets"), {"cat/a.png": file_of(photo(20, 30)), "cat/b.png": file_of(photo(40, 10))})
    put(Path("pets"), {"dog/a.jpg": file_of(photo(20, 30), "JPEG", comment=b"mine"), "dog/notes.txt": b""})
    said = done("protect", "pets", "--out", "out", "--plan", "--no-check")
    assert "3 of 2 classes (1 to 2 of each), of 2 sizes, with sides of 10 to 40 pixels" in said
    assert "passed over 1 file that is no image" in said
    assert "20x20, for all of each picture; perturbations are brought to each picture's own size" in said


def test_jpeg_is_refused_unless_its_loss_is_taken() -> None:
    pets(Path("pets"))
    assert refusal("protect", "pets", "--out", "out", "--format", "jpeg").startswith("--format jpeg: ")
    assert not Path("out").exists()


@pytest.mark.parametrize("lossy", [(), ("--lossy",)])
def test_arrays_are_no_jpeg_whatever_loss_is_taken(lossy: tuple[str, ...]) -> None:
    np.savez("pets.npz", images=np.stack([photo(16, 16), photo(16, 16, seed=1)]), labels=[0, 1])
    said = refusal("protect", "pets.npz", "--out", "out", "--format", "jpeg", *lossy)
    assert said == "pets.npz holds pixels, and an archive of pixels is no JPEG: leave out the format"


def test_a_plan_looks_at_the_folder_for_what_comes_out() -> None:
    pets(Path("pets"))
    put(Path("out"), {"mine.txt": b"mine"})
    answer = ask("protect", "pets", "--out", "out", "--plan")
    assert answer.code == 2
    assert answer.out == ""
    assert answer.err.endswith("out is not empty, it has mine.txt: give a folder that is not there yet, or is empty\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--method", "{sep: {steps: 0}}"), "method sep.steps: must be at least 1, not 0"),
        (("--method", "{sep: {steps: [2, 3]}}"), "method sep: a list of values is several protections, give one value"),
        (("--method", "{sep: "), "--method {sep: : this is not YAML"),
        (("--budget", "8"), "'8' is not a budget"),
        (("--out", "pets/out"), "which are never touched"),
        (("--out", "pets/out", "--plan"), "which are never touched"),
    ],
)
def test_a_wrong_request_is_one_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    pets(Path("pets"))
    given = arguments if "--out" in arguments else ("--out", "out", *arguments, "--plan")
    answer = ask("protect", "pets", *given)
    assert answer.code == 2
    (said,) = answer.err.splitlines()
    assert sentence in said


@pytest.mark.slow
def test_pictures_go_in_and_come_out_protected_with_what_the_protection_holds() -> None:
    pets(Path("pets"), each=8)
    said = done("protect", "pets", "--out", "out", *QUICK)
    assert "16 protected pictures are in out: no value moved by more than 8 of 255 levels" in said
    assert "**Does out within linf-8 hold on pets?**" in said
    assert "4 clean test images" in said  # a fifth of 8, rounded, of each of two classes
    assert not list(Path("home").glob("mlflow*"))
    again = done("protect", "pets", "--out", "out", *QUICK)
    assert again.partition("**")[1:] == said.partition("**")[1:]


@pytest.mark.slow
def test_a_class_with_a_single_picture_is_protected_and_the_check_left_out_with_the_reason() -> None:
    put(pets(Path("pets"), each=3), {"owl/0.png": file_of(photo(16, 16))})
    said = done("protect", "pets", "--out", "out", *QUICK)
    assert "whether it holds is not checked: class 'owl' has a single picture, and none to hold out" in said
    assert Path("out/owl/0.png").is_file()
    assert "**" not in said


@pytest.mark.slow
def test_jpeg_that_is_asked_for_is_written_and_judged_by_what_it_moved() -> None:
    pets(Path("pets"), each=3)
    said = done("protect", "pets", "--out", "out", "--format", "jpeg", "--lossy", "--quality", "75", *QUICK)
    told = json.loads(Path("out/manifest.json").read_bytes())
    assert (told["form"], told["quality"]) == ("jpeg", 75)
    assert [path.name for path in sorted(Path("out/cat").iterdir())] == ["0.jpg", "1.jpg", "2.jpg"]
    assert told["spent"]["largest_linf"] > 8  # the budget is that of what was compressed
    assert "**Does out within linf-8 hold" not in said
    assert "**Does out " in said


@pytest.mark.slow
def test_what_a_time_limit_stopped_goes_on() -> None:
    pets(Path("pets"))
    stopped = ask("protect", "pets", "--out", "out", "--no-check", *QUICK, "--time-limit", "0s")
    assert stopped.code == 2  # no such duration
    stopped = ask("protect", "pets", "--out", "out", "--no-check", "--time-limit", "1s", "--method", QUICK[-1])
    assert stopped.code == 3
    assert stopped.err.splitlines()[-1] == (
        "sepbench: stopped by --time-limit: finished work is kept, the same command goes on"
    )
    done("protect", "pets", "--out", "out", "--no-check", "--method", QUICK[-1])
    assert Path("out/manifest.json").is_file()
