"""Who does what a sentence says is not told it again."""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from bench.core.errors import SepbenchError
from bench.data.loading import load
from bench.data.spec import DatasetSpec
from tests.making.asking import ask, changed, done, refusal, write
from tests.making.experiments import TINY
from tests.making.tiny_data import pixels

pytestmark = pytest.mark.usefixtures("own_place")

NOISE = changed(TINY, TINY[TINY.index("  - sep:") : TINY.index("victims:")], "").replace("epochs: 2", "epochs: 1")
TOLD_TO_FORCE = re.compile(r"run the experiment with (--force \w+)")


def forced(sentence: str) -> list[str]:
    """Return the options with which a sentence says that the experiment is to be run."""
    told = TOLD_TO_FORCE.search(sentence)
    assert told is not None, sentence
    return told[1].split()


def test_protected_sets_that_finished_victims_need_no_more_can_be_had_again() -> None:
    done("run", write(NOISE), "--no-mlflow")
    shutil.rmtree("home/store/craft")
    answer = ask("export", "tiny.yaml", "--out", "sets")
    assert answer.err == (
        "sepbench: 2 protected sets are not crafted yet: run the experiment with --force craft (without it a run makes "
        "only what unfinished victims need), then export again\n"
    )
    sentence = refusal("plot", "tiny.yaml", "--kind", "examples")
    assert sentence.startswith("examples need protected sets of tiny, and the store in ")
    assert forced(sentence) == forced(answer.err)
    done("run", "tiny.yaml", "--no-mlflow", *forced(sentence))
    assert len(done("export", "tiny.yaml", "--out", "sets").splitlines()) == 2
    done("plot", "tiny.yaml", "--kind", "examples")


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        ("craft", ["export", "--out", "sets"]),
        ("craft", ["plot", "--kind", "examples"]),
        ("craft", ["diagnose", "--no-mlflow", "--images", "8"]),
        ("surrogate", ["diagnose", "--no-mlflow", "--images", "8"]),
        ("surrogate", ["plot", "--kind", "similarity"]),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_a_damaged_artifact_is_named_and_can_be_made_anew(kind: str, command: list[str]) -> None:
    name, *options = command
    done("run", write(TINY), "--no-mlflow", "--set", "recipe.epochs=2")
    for path in Path("home/store", kind).rglob("*.safetensors"):
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    same = ["--set", "recipe.epochs=2"]
    answer = ask(name, "tiny.yaml", *options, *same)
    assert answer.code == 2
    (sentence,) = answer.err.splitlines()
    assert f"the {kind} artifact " in sentence
    assert "its bytes do not match their digest" in sentence
    done("run", "tiny.yaml", "--no-mlflow", *same, *forced(sentence))
    done(name, "tiny.yaml", *options, *same)


def test_an_experiment_without_surrogates_is_not_to_be_run_for_them() -> None:
    done("plan", write(NOISE))  # the data set's card is made by the first plan
    sentence = refusal("diagnose", "tiny.yaml", "--no-mlflow")
    assert sentence == "no method of tiny needs a surrogate: add one that does, such as sep"
    assert refusal("plot", "tiny.yaml", "--kind", "similarity") == sentence


def test_an_experiment_without_budgets_is_not_to_be_run_for_examples() -> None:
    done("plan", write(changed(NOISE, "  - random-noise\n", "")))
    sentence = refusal("plot", "tiny.yaml", "--kind", "examples")
    assert sentence == "examples need a method with a budget, and tiny has none: add one"


@pytest.mark.parametrize("command", [["table"], ["plot", "--kind", "bars"]], ids=lambda command: command[0])
def test_records_of_two_versions_of_a_data_set_are_told_apart_as_the_sentence_says(command: list[str]) -> None:
    name, *options = command
    dataset = "dataset: {name: mine, format: npz, train: train.npz, test: test.npz}\n"
    write(changed(NOISE, "dataset:\n  name: digits\n  limit: 200\n  test_limit: 100\n", dataset))
    for seed in (0, 1):
        np.savez("train.npz", images=pixels(24, seed=seed, side=16), labels=np.arange(24) % 3)
        np.savez("test.npz", images=pixels(6, side=16), labels=np.arange(6) % 3)
        done("run", "tiny.yaml", "--no-mlflow")
    records = ["--records", "home/records"]
    sentence = refusal(name, "tiny.yaml", *options, *records)
    assert "these records come from two versions of the training set of mine" in sentence
    _, _, advice = sentence.partition("choose one with ")
    done(name, "tiny.yaml", *options, *records, *shlex.split(advice))


DIGITS = len(load(DatasetSpec.parse("digits")).train)


@pytest.mark.parametrize("count", [1, 1000, DIGITS - 10])
def test_clean_images_find_room_where_the_limit_is_what_the_sentence_says(count: int) -> None:
    with pytest.raises(SepbenchError, match=r": lower it, or set dataset\.limit to \d+ or less$") as refused:
        load(DatasetSpec.parse("digits"), extra=[count])
    limit = int(re.findall(r"\d+", str(refused.value))[-1])
    assert len(load(DatasetSpec.parse({"name": "digits", "limit": limit}), extra=[count]).extra[count]) == count
    with pytest.raises(SepbenchError):
        load(DatasetSpec.parse({"name": "digits", "limit": limit + 1}), extra=[count])


@pytest.mark.parametrize("count", [DIGITS, DIGITS + 1])
def test_no_limit_makes_room_for_more_clean_images_than_there_are(count: int) -> None:
    with pytest.raises(SepbenchError, match=r"and it has 0 more: lower it$"):
        load(DatasetSpec.parse("digits"), extra=[count])


def test_a_variable_of_a_defense_is_set_to_what_the_defense_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEPBENCH_PRETRAINED", raising=False)
    assert refusal("plan", write(changed(NOISE, "[plain]", "[pretrained]"))) == (
        "pretrained: weights uses ${SEPBENCH_PRETRAINED}, which is not set: set it, or write the defense as "
        "{pretrained: {weights: PATH}}"
    )
