"""`sepbench evaluate`: somebody's file in, a report, a table, a verdict and records out."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from bench.data.loading import load
from bench.data.spec import DatasetSpec
from bench.record.record import read_records
from tests.making.asking import ask, done, refusal
from tests.making.brought_sets import LAYOUTS, clean_npz, pixels, protected

pytestmark = pytest.mark.usefixtures("own_place")

SMALL = ("--set", "dataset.limit=150", "--set", "dataset.test_limit=60", "--set", "recipe.epochs=2")


def digits(size: int = 32) -> np.ndarray:
    """Write a protected set of all digits, a pattern for each class, in the order that the data set has."""
    train = load(DatasetSpec.parse("digits")).train
    clean, labels = train.images.numpy(), train.labels.numpy()
    pattern = np.random.default_rng(0).choice([-size, size], (10, *clean.shape[1:]))
    released: np.ndarray = np.clip(clean + pattern[labels], 0, 255).astype(np.uint8)
    return released


def test_a_plan_says_how_the_set_was_read_and_what_would_run_and_trains_nothing() -> None:
    LAYOUTS["pt half"](Path())
    clean_npz(Path())
    printed = done("evaluate", "brought.pt", "--clean", "clean.npz", "--name", "tue", "--plan")
    report, _, outlook = printed.partition("\n\n")
    assert report.startswith("brought.pt, a protected set of clean\n  read          as 12 perturbations")
    assert re.match(r"evaluate-tue-on-clean-[0-9a-f]{8}: 7 cells on clean, recipe own-images\[", outlook)
    assert "20 % of the training images are held out as the test set" in outlook
    assert not (Path("home") / "store").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("nowhere.npy", "--clean", "clean.npz"), "there is no protected set at nowhere.npy: check the path"),
        (("brought.npy", "--clean", "nowhere"), "nowhere: nothing is there, and unknown data set 'nowhere'"),
        (
            ("brought.npy", "--clean", "clean.npz", "--budget", "linf-2"),
            "leaves the budget linf-2: 12 of its 12 images",
        ),
        (("brought.npy", "--clean", "clean.npz", "--as", "perturbation"), "beyond 255 levels"),
        (("brought.npy", "--clean", "clean.npz", "--set", "seeds=1"), "here it changes dataset or recipe"),
        (("brought.npy", "--clean", "clean.npz", "--seeds", "one"), "seeds: must be a whole number, not 'one'"),
        (("brought.npy", "--clean", "clean.npz", "--victims", "1"), "victims: must be names of architectures"),
        (("brought.npy", "--clean", "clean.npz", "--victims", "null"), "such as resnet8, not nothing"),
        (("brought.npy", "--clean", "clean.npz", "--scale", "nan"), "--scale nan: must be a number above 0"),
        (("brought.npy", "--clean", "brought.npy"), "brought.npy is no data set that can be read"),
    ],
)
def test_a_wrong_request_is_one_sentence(options: tuple[str, ...], said: str) -> None:
    np.save("brought.npy", protected() if "--as" not in options else protected().astype(np.float32) * 1.0)
    clean_npz(Path())
    if "--as" in options:
        options = (*options, "--scale", "100")
    assert said in refusal("evaluate", *options)


@pytest.mark.slow
def test_an_array_goes_in_and_a_table_a_verdict_and_a_row_of_the_leaderboard_come_out() -> None:
    np.save("theirs.npy", digits())
    request = ("evaluate", "theirs.npy", "--clean", "digits", "--recipe", "digits", "--name", "tue", *SMALL)
    command = (*request, "--no-mlflow", "--results", "results", "--defenses", "plain,grayscale")
    answer = ask(*command)
    assert answer.code == 0, answer.err
    assert re.search(r"\*\*evaluate-tue-on-digits-[0-9a-f]{8}: test accuracy \(%\)\*\*", answer.out)
    assert "**Does tue within linf-32 hold on digits?**" in answer.out
    made = [one for one in read_records(Path("results/records")) if one.method != "none"]
    assert {(one.method, one.brought, one.norm, one.budget) for one in made} == {("tue", True, "linf", 32.0)}
    assert {one.crafted_on for one in made} == {None}
    assert {(one.defense, one.protected_fraction) for one in made} == {
        ("plain", 1.0),
        ("plain", 0.9),
        ("grayscale", 1.0),
    }
    (digest,) = {one.protected_sha256 for one in made}
    assert f"digest        {str(digest)[:16]}…" in answer.out
    done("leaderboard", "--records", "results/records", "--out", "page.html")
    page = Path("page.html").read_text(encoding="utf-8")
    rows = json.loads(page.split('id="data">')[1].split("</script>")[0])["rows"]
    assert {row["marks"][0] for row in rows if row["method"] == "tue" and row["source"] is None} == {"brought"}
    files = sorted(Path("home/store").rglob("*.safetensors"))
    states = [path.stat() for path in files]

    order = np.random.default_rng(1).permutation(1297)
    np.savez("shuffled.npz", images=digits()[order].transpose(0, 2, 3, 1))
    again = ask(*(word if word != "theirs.npy" else "shuffled.npz" for word in command))
    assert again.code == 0, again.err
    assert "by distance, the nearest clean image, as the order did not fit" in again.out
    assert "[" not in again.err, "the same content was trained on before"
    assert again.out.partition("**evaluate-tue")[2] == answer.out.partition("**evaluate-tue")[2]
    assert [(one.st_ino, one.st_mtime_ns) for one in states] == [
        (path.stat().st_ino, path.stat().st_mtime_ns) for path in files
    ]


@pytest.mark.slow
def test_a_part_is_held_out_where_there_are_no_test_images() -> None:
    pictures = np.random.default_rng(0).integers(30, 220, (3, 16, 16, 3))
    labels = np.arange(60) % 3
    images = (pictures[labels] + np.random.default_rng(1).integers(-30, 31, (60, 16, 16, 3))).astype(np.uint8)
    np.savez("clean.npz", images=images, labels=labels)
    np.save("theirs.npy", images + np.uint8(4))
    command = ("evaluate", "theirs.npy", "--clean", "clean.npz", "--recipe", "digits", "--set", "recipe.epochs=1")
    answer = ask(*command, "--no-mlflow", "--defenses", "plain")
    assert answer.code == 0, answer.err
    made = read_records(Path("home/records"))
    assert {(one.n_train, one.n_test) for one in made} == {(48, 12)}
    assert {one.linf_levels for one in made if one.brought} == {4}


@pytest.mark.slow
def test_a_stopped_evaluation_goes_on_where_it_was() -> None:
    np.save("theirs.npy", digits())
    command = ("evaluate", "theirs.npy", "--clean", "digits", "--recipe", "digits", *SMALL, "--no-mlflow")
    stopped = ask(*command, "--time-limit", "1s")
    assert stopped.code == 3
    assert "finished work is kept, the same command goes on" in stopped.err
    assert ask(*command).code == 0


def test_nothing_of_the_clean_data_is_changed() -> None:
    clean_npz(Path())
    before = Path("clean.npz").read_bytes()
    np.save("brought.npy", pixels() + np.uint8(3))
    done("evaluate", "brought.npy", "--clean", "clean.npz", "--plan")
    assert Path("clean.npz").read_bytes() == before
