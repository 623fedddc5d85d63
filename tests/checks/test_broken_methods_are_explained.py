"""`sepbench check` finds what is wrong with a method, and says in a sentence what, where, and what to do."""

import pytest

from bench.checks.of_methods import CHECKS
from tests.making.failed_checks import failures
from tests.making.plugin_sources import method

pytestmark = pytest.mark.usefixtures("own_place", "plugins_as_before")

NOISE = "return budget.project(data.x, data.x + budget.radius * {}.sign())"


LEARNING = """recipe = Recipe(name="own", source="-", epochs=1, batch_size=8, lr=0.1, schedule=Steps(at=()))
        Learner(ctx, data, recipe)
        return data.x"""

UNCOUNTED = """for round_ in ctx.rounds(1):
            x = data.x.clone().requires_grad_()
            net = ARCHITECTURES.get("resnet8")(data.classes)
            F.cross_entropy(net(x), data.y).backward()
        return data.x"""
"""Takes a gradient of each image with a network of its own."""


METHODS = {
    "nothing": (
        method("pass"),
        "returns images and leaves its inputs alone: mine.py:18: the method 'mine' returned nothing from craft: return "
        "the protected images, a tensor of floats [24, 3, 16, 16] in [0, 1]",
    ),
    "bytes": (
        method("return (data.x * 255).to(torch.uint8)"),
        "returns images and leaves its inputs alone: mine.py:18: the method 'mine' returned uint8 from craft, not "
        "floats in [0, 1]: leave rounding to the harness, or divide by 255",
    ),
    "input changed": (
        method("data.x.clamp_(0.1, 0.9); return budget.project(data.x, data.x)"),
        "returns images and leaves its inputs alone: mine.py:18: the method 'mine' changed its input data.x in place "
        "in craft: work on a copy, data.x.clone()",
    ),
    "labels changed": (
        method("data.y.add_(1); return data.x"),
        "returns images and leaves its inputs alone: mine.py:18: the method 'mine' changed its input data.y in place "
        "in craft: work on a copy, data.y.clone()",
    ),
    "not a number": (
        method("return data.x / 0"),
        "returns images and leaves its inputs alone: mine.py:18: the method 'mine' returned NaN or infinite values "
        "from craft, in 24 of 24 images: look for a gradient that is not finite, or a division by zero",
    ),
    "another shape": (
        method("return data.x[:, :, 2:, 2:]"),
        "returns images and leaves its inputs alone: mine.py:18: the method 'mine' returned images of shape "
        "[24, 3, 14, 14] from craft where it was given [24, 3, 16, 16]: return an image of the same size for each, in "
        "their order",
    ),
    "levels": (
        method("return data.x * 255"),
        "returns images and leaves its inputs alone: mine.py:18: the method 'mine' returned values from 0 to 255 from "
        "craft, not in [0, 1]: end with budget.project(data.x, images)",
    ),
    "no budget": (
        method("return 1 - data.x"),
        "keeps its budget: mine.py:18: a released pixel moved by 255 levels, the budget is linf-1: end craft with "
        "budget.project(data.x, images)",
    ),
    "torch's stream": (
        method(NOISE.format("torch.randn_like(data.x)"), per_sample=False),
        "takes chance from its seed alone: mine.py:18: the crafted images depend on torch's global random state in "
        "craft: take every draw from ctx.generator()",
    ),
    "numpy's stream": (
        method(NOISE.format("torch.from_numpy(np.random.randn(*data.x.shape)).float()"), per_sample=False),
        "takes chance from its seed alone: mine.py:18: the crafted images depend on numpy's global random state in "
        "craft: take every draw from ctx.generator()",
    ),
    "no seed at all": (
        method(
            NOISE.format("torch.from_numpy(np.random.default_rng().standard_normal(data.x.shape)).float()"),
            per_sample=False,
        ),
        "takes chance from its seed alone: mine.py:18: the crafted images come out other when craft is called again "
        "with the same inputs: take every draw from ctx.generator(), and from no clock, no generator of its own "
        "without a seed, and nothing that an earlier call has left",
    ),
    "per_sample": (
        method(NOISE.format("torch.randn(data.x.shape, generator=ctx.generator())")),
        "crafts images one by one where it says so: mine.py:18: per_sample is set, and 23 of 24 images come out other "
        "where they are crafted 1 at a time: set per_sample = False, or let no image depend on others of the call, nor "
        "on their number; data.index tells which images these are",
    ),
    "kept from call to call": (
        method(
            "self.calls = getattr(self, 'calls', 0) + 1; "
            "return budget.project(data.x, data.x + budget.radius * (-1) ** self.calls)"
        ),
        "crafts images one by one where it says so: mine.py:18: per_sample is set, and images come out other when "
        "craft is called once more with the same ones: what it returns depends on what an earlier call has left; let "
        "craft keep nothing in self or elsewhere, and prepare whatever all calls share",
    ),
    "a gradient": (
        method("return budget.project(data.x, data.x.clone().requires_grad_() * 0.99)"),
        "returns images and leaves its inputs alone: mine.py:18: the method 'mine' returned images from craft that "
        "still hold their gradient: return images.detach()",
    ),
    "the end of Python": (
        method("raise SystemExit(0)"),
        "returns images and leaves its inputs alone: mine.py:19: it fails (SystemExit: 0): repair it",
    ),
    "no passes": (
        method("return data.x", more="    def needs(self):\n        return [Surrogate(checkpoints=2)]"),
        "says what it costs: mine.py:12: passes returns 0, and it needs 1 surrogate: return how many forward and "
        "backward passes over the training set crafting takes",
    ),
    "undescribed": (
        method("return data.x").replace('"""Somebody\'s own."""', '""""""'),
        "describes itself: mine.py:12: it has no docstring: write one, whose first line is what sepbench ls prints",
    ),
    "a round that begins anew": (
        method(
            "moved = data.x.clone()\n        for round_ in ctx.rounds(3):\n            moved += 1 / 255\n"
            "        return budget.project(data.x, moved)",
            per_sample=False,
            more="    trains = True",
        ),
        "goes on where it was stopped: mine.py:18: stopped after each round, and going on from what ctx.rounds kept, "
        "it makes other images: give ctx.rounds all that changes from round to round, and take every draw from "
        "ctx.generator(purpose, round)",
    ),
    "a round of prepare that begins anew": (
        method(
            "return budget.project(data.x, data.x + self.moved)",
            more="    def prepare(self, data, ctx):\n        self.moved = 0.0\n"
            "        for round_ in ctx.rounds(3):\n            self.moved += 1 / 255",
        ),
        "goes on where it was stopped: mine.py:20: stopped after each round, and going on from what ctx.rounds kept, "
        "it makes other images: give ctx.rounds all that changes from round to round, and take every draw from "
        "ctx.generator(purpose, round)",
    ),
    "rounds of its own": (
        method("return data.x", per_sample=False, more="    trains = True"),
        "goes on where it was stopped: mine.py:18: trains is set, and it has no round after which it could be stopped: "
        "loop over ctx.rounds(count, name=value) with what changes from round to round",
    ),
    "rounds without end": (
        method("return [data.x for round_ in ctx.rounds(501)][0]", per_sample=False, more="    trains = True"),
        "goes on where it was stopped: mine.py:18: it has more than 500 rounds of eight images: check it with fewer "
        "(--set)",
    ),
    "a network that learns, unsaid": (
        method(LEARNING, per_sample=False),
        "returns images and leaves its inputs alone: mine.py:20: a Learner is a network that the method trains "
        "while it crafts: set trains = True",
    ),
    "uncounted gradients": (
        method(UNCOUNTED, per_sample=False, more="    trains = True\n    def passes(self):\n        return 1"),
        "takes the passes that it says: mine.py:18: crafting takes the gradients of 4 images, and ctx.spent counts 0: "
        "add to it what no Learner counts",
    ),
    "more gradients than said": (
        method(UNCOUNTED.replace("x = data", "ctx.spent += 4; x = data"), per_sample=False, more="    trains = True"),
        "takes the passes that it says: mine.py:12: crafting takes the gradients of 4 images, and passes() and "
        "image_passes() come to 0: return what it takes at most",
    ),
    "fewer passes than said": (
        method(
            "net, x = ctx.surrogates[0][0], data.x.clone().requires_grad_(); F.cross_entropy(net(x), data.y)"
            ".backward(); return budget.project(data.x, data.x + budget.radius * x.grad.sign())",
            more="    def needs(self):\n        return [Surrogate(checkpoints=2)]\n"
            "    def passes(self):\n        return 2",
        ),
        "takes the passes that it says: mine.py:22: passes returns 2, and crafting takes 1 gradient passes of each "
        "image: return that",
    ),
    "breaks down": (
        method("return data.images"),
        "returns images and leaves its inputs alone: mine.py:19: it fails (AttributeError: 'CraftData' object has no "
        "attribute 'images'): repair it",
    ),
}


@pytest.mark.parametrize("mistake", METHODS)
def test_what_is_wrong_with_a_method_is_said_in_a_sentence(mistake: str) -> None:
    source, sentence = METHODS[mistake]
    assert sentence in failures(source)


def test_of_every_check_there_is_a_method_that_fails_it() -> None:
    assert {sentence.partition(": ")[0] for _, sentence in METHODS.values()} == CHECKS.keys()
