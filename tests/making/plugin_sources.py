"""Plug-ins as their authors write them, good and broken, as text for a file."""

from pathlib import Path

HEAD = """\
import random

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from bench.api import ARCHITECTURES, DATASETS, DEFENSES, METHODS, Learner, Recipe, Steps
from bench.api import Classifier, DatasetPlugin, Defense, Field, Method, Params, Source, Surrogate
"""


def method(body: str, *, per_sample: bool = True, more: str = "", name: str = "mine") -> str:
    """Return a method whose craft does `body`, with `more` lines in its class; craft stands in line 18."""
    return f'''{HEAD}

@METHODS.register("{name}")
class Mine(Method):
    """Somebody's own."""

    norms = ("linf",)
    per_sample = {per_sample}
    def craft(self, data, budget, ctx):
        {body}
{more}
'''


GOOD = method("return budget.project(data.x, data.x + budget.radius)")
"""Brightens every image."""


def defense(hook: str, name: str = "mine") -> str:
    """Return a defense with one hook, which stands in line 16."""
    return f'''{HEAD}

@DEFENSES.register("{name}")
class Mine(Defense):
    """Somebody's own."""

    {hook}
'''


def network(features: str = "return x.mean((2, 3))", *, init: str = "", outputs: str = "classes") -> str:
    """Return an architecture that begins in line 20: a head on what `features` returns."""
    return f'''{HEAD}
class Net(Classifier):
    def __init__(self, classes):
        super().__init__()
        self.head = nn.Linear(3, {outputs})
        {init or "pass"}
    def features(self, x):
        {features}


@ARCHITECTURES.register("mine")
def mine(classes):
    """Somebody's own."""
    return Net(classes)
'''


def dataset(read: str = "images[one]", *, labels: str = "np.arange(20) % 2", more: str = "") -> str:
    """Return a data set of 20 and 20 images of two classes; open stands in line 16."""
    return f'''{HEAD}
from PIL import Image
@DATASETS.register("mine")
class Mine(DatasetPlugin):
    """Somebody's own."""
    def open(self):
        return self.part(0), self.part(1)
    def files(self):
        return []
    def part(self, seed):
        images = np.random.default_rng(seed).integers(0, 256, (20, 16, 16, 3), dtype=np.uint8)
        def read(positions):
            return (Image.fromarray({read}) for one in positions)
        return Source(labels={labels}, classes=("left", "right"), read=read)
{more}
'''


def write_plugin(source: str, name: str = "mine.py") -> str:
    """Write a plug-in into the working directory and return the name of its file."""
    Path(name).write_text(source, encoding="utf-8")
    return name
