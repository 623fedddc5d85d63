"""`sepbench check` finds what is wrong with a plug-in, and says in a sentence what, where, and what to do."""

from pathlib import Path
from typing import Any

import pytest

from bench.checks import of_architectures, of_datasets, of_defenses
from tests.making.asking import ask
from tests.making.failed_checks import failures
from tests.making.plugin_sources import GOOD, HEAD, dataset, defense, method, network, write_plugin

pytestmark = pytest.mark.usefixtures("own_place", "plugins_as_before")

DOUBLED = """
from typing import Annotated
from pydantic import AfterValidator

class Amount(Params):
    amount: Annotated[int, AfterValidator(lambda value: 2 * value)] = Field(1, description="how much")

"""
DEFENSES = {
    "bytes": (
        "def batch(self, x, y, generator): return (x * 255).to(torch.uint8), y",
        "keeps batches what they are: mine.py:16: the defense 'mine' returned uint8 from batch, not floats in [0, 1]: "
        "divide bytes by 255",
    ),
    "levels": (
        "def batch(self, x, y, generator): return x * 50, y",
        "keeps batches what they are: mine.py:16: the defense 'mine' returned values from 0 to 50 from batch, not in "
        "[0, 1]: divide or clamp them, x.clamp(0, 1)",
    ),
    "cropped": (
        "def batch(self, x, y, generator): return x[..., 2:, 2:], y",
        "keeps batches what they are: mine.py:16: the defense 'mine' returned images of shape [24, 3, 14, 14] from "
        "batch where it was given [24, 3, 16, 16]: return an image of the same size for each",
    ),
    "labels": (
        "def batch(self, x, y, generator): return x, y + 1 if y.dim() == 1 else y",
        "keeps batches what they are: mine.py:16: the defense 'mine' returned targets from 1 to 10 from batch where "
        "there are 10 classes: these count from 0",
    ),
    "soft labels lost": (
        "def batch(self, x, y, generator): return x, y.float() * 2",
        "keeps batches what they are: mine.py:16: the defense 'mine' returned targets of float32 from batch, [24]: "
        "these have to be int64",
    ),
    "no pair": (
        "def batch(self, x, y, generator): pass",
        "keeps batches what they are: mine.py:16: the defense 'mine' returned nothing from batch: return a pair of "
        "tensors, images and targets",
    ),
    "global stream": (
        "def batch(self, x, y, generator): return (x + 0.1 * torch.rand_like(x)).clamp(0, 1), y",
        "takes chance from its generator alone: mine.py:16: the batches of this defense depend on torch's global "
        "random state in batch: take every draw from the generator that it is given",
    ),
    "floats stored": (
        "def dataset(self, images, labels, generator): return images / 255",
        "keeps training images bytes and the release as it is: mine.py:16: the defense 'mine' returned float32 from "
        "dataset, not bytes: round to levels from 0 to 255 and convert to uint8",
    ),
    "overwritten": (
        "def dataset(self, images, labels, generator): return images.fill_(7)",
        "keeps training images bytes and the release as it is: mine.py:16: the defense 'mine' changed its input in "
        "place in dataset: work on copies, images.clone() or labels.clone()",
    ),
    "many losses": (
        "def loss(self, loss, epoch): return lambda n, x, y, g: F.cross_entropy(n(x), y, reduction='none')",
        "has a loss to learn from: mine.py:16: the loss of the defense 'mine' is of shape [24], not one number: return "
        "the mean over the batch",
    ),
    "no network": (
        "def network(self, network): network.eval()",
        "returns what its other hooks are for: mine.py:16: the defense 'mine' returned nothing from network: return "
        "the network, wrapped or not",
    ),
    "undescribed": (
        defense("short = None").replace('"""Somebody\'s own."""', '""""""'),
        "describes itself: mine.py:12: it has no docstring: write one, whose first line is what sepbench ls prints",
    ),
    "a parameter that reading changes": (
        defense("short = None")
        .replace("\n\n@DEFENSES", DOUBLED + "@DEFENSES")
        .replace("(Defense)", "(Defense[Amount])"),
        "is read back as it is written: mine.py:17: 'mine:amount=4', as tables call it, is read back with other "
        "parameters: name one of them in short, or use plain numbers and words as parameters",
    ),
    "no epoch": (
        "def judged_epoch(self, test_acc): return len(test_acc)",
        "returns what its other hooks are for: mine.py:16: the defense 'mine' returned 1 from judged_epoch after 1 "
        "epochs: return one of 0 to 0",
    ),
}


@pytest.mark.parametrize("mistake", DEFENSES)
def test_what_is_wrong_with_a_defense_is_said_in_a_sentence(mistake: str) -> None:
    source, sentence = DEFENSES[mistake]
    assert sentence in failures(source if source.startswith(HEAD) else defense(source))


NETWORKS = {
    "too many outputs": (
        network(outputs="classes + 5"),
        "has logits that are the head of its features: mine.py:20: the architecture 'mine' returns float32 of shape "
        "[2, 105] for 100 classes: it has to return logits, floats [2, 100]",
    ),
    "not a number": (
        network("return x.mean((2, 3)) / 0 * 0"),
        "has logits that are the head of its features: mine.py:20: the architecture 'mine' returns NaN or infinite "
        "values with its first weights: look at what divides and what initialises it",
    ),
    "one size alone": (
        network("return x.reshape(len(x), 3, 1024).mean(2)"),
        "has logits that are the head of its features: mine.py:17: it fails (RuntimeError: shape '[2, 3, 1024]' is "
        "invalid for input of size 1536): repair it",
    ),
    "features unpooled": (
        network("return x.flatten(2).transpose(1, 2)"),
        "has logits that are the head of its features: mine.py:20: the architecture 'mine' returns float32 of shape "
        "[2, 256, 100] for 100 classes: it has to return logits, floats [2, 100]",
    ),
    "its batch": (
        network("f = x.mean((2, 3)); return f - f.mean(0)"),
        "judges an image whatever is in its batch: mine.py:20: in eval mode it judges an image otherwise beside "
        "another one: let no image depend on its batch",
    ),
    "numpy's weights": (
        network(init="self.head.weight.data = torch.from_numpy(np.random.randn(classes, 3)).float()"),
        "has first weights from its seed alone: mine.py:20: its first weights are other ones each time, or depend on "
        "numpy's or random's global state: draw them by torch alone, which the harness seeds",
    ),
    "a seed of its own": (
        network(init="torch.manual_seed(3); self.head = nn.Linear(3, classes)"),
        "has first weights from its seed alone: mine.py:20: another seed gives the same first weights: draw them by "
        "torch, and do not seed that yourself",
    ),
    "idle weights": (
        network(init="self.extra = nn.Linear(2, 2)"),
        "learns with every weight: mine.py:20: training gives no finite gradient to extra.weight, extra.bias: use it "
        "in features or remove it",
    ),
    "drawn beside its weights": (
        network("return x.mean((2, 3)) * self.scale", init="self.scale = float(torch.rand(()))"),
        "survives being stored and loaded: mine.py:20: with the stored weights of another it computes something else: "
        "keep all it has in parameters and buffers",
    ),
    "undescribed": (
        network().replace('"""Somebody\'s own."""', '""""""'),
        "describes itself: mine.py:20: it has no docstring: write one, whose first line is what sepbench ls prints",
    ),
    "no way back": (
        network("return x.detach().mean((2, 3))"),
        "lets images have gradients: mine.py:20: images get no gradient through it in eval mode: no detach(), no "
        "rounding, no no_grad()",
    ),
}


@pytest.mark.parametrize("mistake", NETWORKS)
def test_what_is_wrong_with_an_architecture_is_said_in_a_sentence(mistake: str) -> None:
    source, sentence = NETWORKS[mistake]
    assert sentence in failures(source)


FIXED = "let nothing but files and parameters decide them; draw with a seed of its own where something is drawn"
DATASETS = {
    "other images": (
        dataset("np.random.default_rng().integers(0, 256, (16, 16, 3), dtype=np.uint8)"),
        f"opens twice alike: mine.py:15: the training set has other images when they are read again: {FIXED}",
    ),
    "undescribed": (
        dataset().replace('"""Somebody\'s own."""', '""""""'),
        "describes itself: mine.py:12: it has no docstring: write one, whose first line is what sepbench ls prints",
    ),
    "one place for all": (
        dataset().replace("read=read)", "read=read, where=lambda position: 'somewhere')"),
        "leads people to each image: mine.py:15: where gives ['somewhere', 'somewhere', 'somewhere'] for images of the "
        "training set: lead to each by words of its own",
    ),
    "images beyond the first few": (
        dataset(
            "images[one] if one < 22 else np.random.default_rng().integers(0, 256, (16, 16, 3), dtype=np.uint8)",
            labels="np.arange(24) % 2",
        ).replace("(20, 16", "(24, 16"),
        f"loads as a run loads it: mine.py:15: images come out other when it is loaded again: {FIXED}",
    ),
    "another order": (
        dataset("images[sorted(positions)[0]]"),
        "reads images in the order asked for: mine.py:15: read gives other images of the training set where several "
        "are asked for, or in another order: give those at the positions, in their order, also one twice",
    ),
    "labels beyond": (
        dataset(labels="np.arange(20) % 3"),
        "has labels that fit its classes: mine.py:12: the training set of 'mine' has label 2 (image 2) but 2 classes: "
        "labels must run from 0 to 1, without gaps",
    ),
    "labels as floats": (
        dataset(labels="np.arange(20) % 2 / 1"),
        "has labels that fit its classes: mine.py:15: the labels of the training set are no int64 [N]: convert them, "
        "labels.astype(np.int64)",
    ),
    "no such file": (
        dataset().replace("return []", "import pathlib; return [pathlib.Path('gone.bin')]"),
        "names its files: mine.py:17: files names gone.bin, which is no file: name each that decides the content",
    ),
}


@pytest.mark.parametrize("mistake", DATASETS)
def test_what_is_wrong_with_a_data_set_is_said_in_a_sentence(mistake: str) -> None:
    source, sentence = DATASETS[mistake]
    assert sentence in failures(source)


def test_images_of_several_sizes_are_brought_to_one_as_an_experiment_would_set_it() -> None:
    assert failures(dataset("images[one][: 16 - one % 2]")) == []


@pytest.mark.parametrize(
    ("mistakes", "checks"),
    [
        (DEFENSES, of_defenses.CHECKS),
        (NETWORKS, of_architectures.CHECKS),
        (DATASETS, of_datasets.CHECKS),
    ],
)
def test_of_every_check_there_is_a_plugin_that_fails_it(
    mistakes: dict[str, tuple[str, str]], checks: dict[str, Any]
) -> None:
    assert {sentence.partition(": ")[0] for _, sentence in mistakes.values()} == checks.keys()


@pytest.mark.parametrize("source", [GOOD, defense("short = None"), network(), dataset()])
def test_of_a_plugin_that_keeps_its_promises_nothing_is_said(source: str) -> None:
    assert failures(source) == []


def test_one_mistake_is_told_once_though_it_stops_several_checks() -> None:
    answer = ask("check", write_plugin(method("pass")))
    assert answer.out.count("returned nothing") == 1
    assert answer.out.splitlines()[-1] == "1 plug-in: 4 checks passed, 1 failed, 3 could not be told for that"
    assert "  · keeps its budget: see above" in answer.out


def test_a_parameter_without_a_default_is_asked_for_and_taken() -> None:
    source = GOOD.replace(
        "class Mine(Method)", "class Far(Params):\n    size: int = Field(description='x')\n\n\nclass Mine(Method[Far])"
    )
    source = source.replace('@METHODS.register("mine")\n', "").replace(
        "class Mine", '@METHODS.register("mine")\nclass Mine'
    )
    answer = ask("check", write_plugin(source))
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == "sepbench: method 'mine': size: this field is missing: give --set size=VALUE\n"
    assert ask("check", "mine.py", "--set", "size=3").code == 0
    wrong = ask("check", "mine.py", "--set", "sise=3")
    assert wrong.err == "sepbench: --set sise: no plug-in of mine.py has such a parameter: leave it out\n"


@pytest.mark.parametrize(
    ("source", "trouble"),
    [
        ("import gone\n", "the plug-in in {}/mine.py:1 cannot be loaded (ModuleNotFoundError: No module named 'gone')"),
        (
            GOOD.replace('("linf",)', '("L8",)'),
            "the method 'mine' (sepbench_plugin_mine",
        ),
    ],
)
def test_what_cannot_be_used_at_all_is_a_failed_check(source: str, trouble: str) -> None:
    answer = ask("check", write_plugin(source))
    assert answer.code == 1
    assert trouble.format(Path.cwd()) in answer.out
    assert answer.out.endswith("1 plug-in: 0 checks passed, 1 failed\n")


def test_a_package_that_is_not_installed_and_one_without_plugins_are_wrong_requests() -> None:
    assert ask("check", "sepbench-gone").err == (
        "sepbench: no package 'sepbench-gone' is installed: name a file, such as sepbench-gone.py, or install the "
        "package\n"
    )
    answer = ask("check", "numpy")
    assert (answer.code, answer.err) == (
        2,
        "sepbench: the package 'numpy' has no plug-in: name them as entry points, such as sepbench.methods\n",
    )
