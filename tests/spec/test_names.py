"""How names are written for people."""

import pytest

from bench.contracts.defense import Defenses
from bench.spec.axes import AXES
from bench.spec.names import defense_label


@pytest.mark.parametrize(
    ("written", "label"),
    [
        ("plain", "plain"),
        ("jpeg-10", "jpeg-10"),
        ("jpeg-10+cutout-16", "jpeg-10+cutout-16"),
        ("adversarial-training:radius=8,steps=3", "adversarial training, radius 8, 3 steps"),
        ("adversarial-training:radius=8,steps=1", "adversarial training, radius 8, 1 step"),
        ("adversarial-training:radius=8,step_size=1.5", "adversarial training, radius 8, step size 1.5"),
        ("cutmix+gaussian-blur:size=3,sigma=0.1", "cutmix + gaussian blur, size 3, sigma 0.1"),
        ("dp-sgd:clip=1.0", "dp-sgd, clip 1.0"),
        ("mine:fast=True,hard=False", "mine, fast, no hard"),
    ],
)
def test_a_defense_with_parameters_reads_as_people_write(written: str, label: str) -> None:
    assert defense_label(written) == label


def test_a_value_may_be_asked_for_as_commands_take_it_or_as_it_is_shown() -> None:
    written = str(Defenses.parse("adversarial-training:steps=3"))
    texts = AXES["defense"].texts({"defense": written})
    assert written == texts[0]
    assert AXES["defense"].label(written) in texts
