"""What `show` says a plug-in costs and how it is asked for: counted by hand, and read as an experiment reads it."""

from typing import Any

import pytest
import yaml

from bench.cli.particulars import particulars
from bench.contracts.dataset import DATASETS
from bench.contracts.defense import DEFENSES, Defenses
from bench.contracts.method import METHODS
from bench.contracts.network import ARCHITECTURES
from bench.core.norms import NORMS
from bench.data.spec import DatasetSpec
from bench.spec.file import load_experiment
from tests.making.asking import done, write
from tests.making.experiments import TINY

pytestmark = pytest.mark.usefixtures("own_place")


def line(name: str, start: str) -> str:
    (found,) = [one for one in done("show", name).splitlines() if one.startswith(f"{start} ")]
    return found


def asked_for(name: str, plugin: Any) -> dict[str, Any]:
    """Return the part of an experiment that the description ends with."""
    lines = particulars(name, plugin)
    found: dict[str, Any] = yaml.safe_load("\n".join(lines[lines.index("in an experiment:") + 1 :]))
    return found


@pytest.mark.parametrize(
    ("method", "cost"),
    [
        (  # 30 steps on each of 30 checkpoints
            "sep",
            "900 passes over the images, forward and backward (by steps, checkpoints and epochs); before, 1 surrogate "
            "to train, of which it uses 30 checkpoints",
        ),
        (
            "sep-fast",
            "90 passes over the images, forward and backward (by steps, checkpoints and epochs); before, 1 surrogate "
            "to train, of which it uses 3 checkpoints",
        ),
        (  # 30 steps on all 15 checkpoints, and on one of them 15 times within each; features of all 15 before
            "sep-fa-vr",
            "900 passes over the images, forward and backward (by steps, checkpoints, epochs and inner_steps), after "
            "at most 15 forward alone (by checkpoints, epochs and train_mode_means); before, 1 surrogate to train, of "
            "which it uses 15 checkpoints",
        ),
        (  # 30 steps on each of 5 checkpoints; 10 places of 10 colours before
            "dune",
            "150 passes over the images, forward and backward (by checkpoints and steps), after at most 500 forward "
            "alone (by checkpoints, particles and iterations); before, 1 surrogate to train, of which it uses 5 "
            "checkpoints",
        ),
        (  # 30 steps on the last checkpoint of each of 5 runs
            "seed-ensemble",
            "150 passes over the images, forward and backward (by steps and runs); before, 5 surrogates to train, of "
            "which it uses 5 checkpoints",
        ),
        (
            "single-checkpoint",
            "30 passes over the images, forward and backward (by steps and restarts); before, 1 surrogate to train, of "
            "which it uses 1 checkpoint",
        ),
        ("random-noise", "no passes"),
        (  # 20 steps in each of 50 rounds, and 10 batches of 512: 256,000 / 50,000 = 5.12
            "em",
            "at most 1,000 passes over the images, forward and backward (by noise, rounds and steps) and those of "
            "256,000 single images (by rounds, batches and batch_size), or 1,005 in all with 50,000 images; meanwhile "
            "it trains the experiment's surrogate",
        ),
        (  # 10 steps at the end, and 5000 times one and ten of 128 images: 10 + 640,000 * 11 / 50,000
            "em-online",
            "at most 10 passes over the images, forward and backward (by noise_steps) and those of 7,040,000 single "
            "images (by steps, batch_size and noise_steps), or 150.8 in all with 50,000 images; meanwhile it trains "
            "the experiment's surrogate",
        ),
    ],
)
def test_a_method_says_what_it_costs_and_what_decides_it(method: str, cost: str) -> None:
    assert line(method, "cost") == f"cost {cost}"


@pytest.mark.parametrize(
    ("defense", "cost"),
    [
        ("adversarial-training", "11 passes an epoch instead of 1 (by steps)"),  # ten of the attack
        ("ueraser", "2.67 passes an epoch instead of 1 (by variant and draws)"),  # five forward ones, a third each
        ("cutout", "no further passes"),
    ],
)
def test_a_defense_says_what_an_epoch_costs(defense: str, cost: str) -> None:
    assert line(defense, "cost") == f"cost {cost}"


def test_a_method_says_which_budgets_it_keeps() -> None:
    assert line("random-noise", "norms") == "norms linf, l2, l0"
    assert line("none", "norms") == "norms none: it takes no budget"


def test_a_data_set_that_is_published_says_how_large_it_is() -> None:
    holds = "holds 50,000 training and 10,000 test images of 100 classes, 32x32 pixels"
    assert line("cifar100", "holds") == holds
    assert "\nholds " not in done("show", "parquet")


def test_brought_images_are_asked_for_by_their_command() -> None:
    assert "asked for by sepbench evaluate PROTECTED --clean DATA" in done("show", "brought")


@pytest.mark.parametrize("name", [name for name in METHODS.names() if name != "brought"])
def test_the_row_of_a_method_is_one_that_an_experiment_takes(name: str) -> None:
    (row,) = asked_for(name, METHODS.get(name))["methods"]
    # A surrogate of as many epochs as there are checkpoints at most.
    recipe = {"name": "digits", "epochs": 30}
    budgets = [ball.example for ball in NORMS.values()]
    experiment = {**yaml.safe_load(TINY), "methods": [row], "recipe": recipe, "budgets": budgets}
    found = load_experiment(write(yaml.safe_dump(experiment))).methods[-1]
    assert (found.name, found.params) == (name, METHODS.get(name).Params())


@pytest.mark.parametrize("name", DEFENSES.names())
def test_the_defense_is_one_that_an_experiment_takes(name: str) -> None:
    (written,) = asked_for(name, DEFENSES.get(name))["defenses"]
    assert [part.name for part in Defenses.parse(written).chain] == [name]


@pytest.mark.parametrize("name", DATASETS.names())
def test_the_data_set_is_one_that_an_experiment_takes(name: str) -> None:
    assert DatasetSpec.parse(asked_for(name, DATASETS.get(name))["dataset"]).format == name


@pytest.mark.parametrize("name", ARCHITECTURES.names())
def test_the_victim_is_one_that_an_experiment_takes(name: str) -> None:
    assert asked_for(name, ARCHITECTURES.get(name)) == {"victims": [name]}


def test_a_file_that_a_defense_reads_is_asked_for() -> None:
    assert asked_for("purified", DEFENSES.get("purified"))["defenses"] == [{"purified": {"by": "BY", "folder": "PATH"}}]
