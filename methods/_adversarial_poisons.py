"""The network that all poisons of Fowl et al., "Adversarial Examples Make Strong Poisons", are crafted on."""

from typing import Literal

from bench.api import Surrogate

PUBLISHED = {
    "epochs": 40,
    "batch_size": 128,
    "lr": 0.1,
    "momentum": 0.9,
    "nesterov": True,
    "weight_decay": 5e-4,
    "schedule": {"kind": "steps", "at": (14, 25, 35), "factor": 0.1},
    "warmup_epochs": 0,
    "clip_gradient": None,
}
"""How the authors train their network; augmentation and normalisation are the experiment's."""

Training = Literal["published", "recipe"]
"""As the authors train, or as the experiment's recipe says."""


def trained(training: Training) -> list[Surrogate]:
    """Return one run, of which the last checkpoint is used."""
    return [Surrogate(placement="last", recipe=PUBLISHED if training == "published" else {})]
