"""What a plug-in does wrongly in a run fails its cells in one sentence that names it, or is said beside its results."""

from pathlib import Path

import pytest
import torch

from bench.record.record import read_records
from bench.run.redo import _why
from bench.run.stages.second_look import second_look
from tests.making.asking import ask, changed, write
from tests.making.experiments import TINY
from tests.making.plugin_sources import GOOD, defense, method, network, write_plugin

pytestmark = pytest.mark.usefixtures("own_place", "plugins_as_before")

SHORT = changed(TINY, "  epochs: 2\n", "  epochs: 1\n")
MINE = changed(SHORT[: SHORT.index("methods:")], "limit: 200", "limit: 40") + (
    "methods: [none, mine]\nvictims: [resnet8]\nseeds: [0, 1]\n"
)
NOISE = "return budget.project(data.x, data.x + budget.radius * torch.randn(data.x.shape{}).sign())"


def said(*arguments: str) -> list[str]:
    """Return what a run says to its person, progress left out."""
    answer = ask("run", *arguments, "--no-mlflow")
    lines = [line.removeprefix("sepbench: ") for line in answer.err.splitlines() if not line.startswith("[")]
    return [line for line in lines if not line.startswith("set aside ")]


METHODS = {
    "nothing": (
        method("pass"),
        "the method 'mine' returned nothing from craft: return the protected images, a tensor of floats [40, 3, 16, "
        "16] in [0, 1]",
    ),
    "bytes": (
        method("return (data.x * 255).to(torch.uint8)"),
        "the method 'mine' returned uint8 from craft, not floats in [0, 1]: leave rounding to the harness, or divide "
        "by 255",
    ),
    "input changed": (
        method("return data.x.mul_(0.99)"),
        "the method 'mine' changed its input data.x in place in craft: work on a copy, data.x.clone()",
    ),
    "not a number": (
        method("return data.x / 0"),
        "the method 'mine' returned NaN or infinite values from craft, in 40 of 40 images: look for a gradient that is "
        "not finite, or a division by zero",
    ),
    "another shape": (
        method("return data.x[:, :, 2:, 2:]"),
        "the method 'mine' returned images of shape [40, 3, 14, 14] from craft where it was given [40, 3, 16, 16]: "
        "return an image of the same size for each, in their order",
    ),
    "a gradient": (
        method("return budget.project(data.x, data.x.clone().requires_grad_() * 0.99)"),
        "the method 'mine' returned images from craft that still hold their gradient: return images.detach()",
    ),
    "the end of Python": (method("raise SystemExit(0)"), "SystemExit: 0"),
    "the end of Python, as if it were stopped": (method("raise SystemExit(3)"), "SystemExit: 3"),
    "no budget": (
        method("return 1 - data.x"),
        "the method 'mine' leaves its budget in craft: a released pixel moved by 255 levels, the budget is linf-32; "
        "end with budget.project(data.x, images)",
    ),
}


@pytest.mark.parametrize("mistake", METHODS)
def test_what_a_method_returns_wrongly_is_said_once(mistake: str) -> None:
    source, sentence = METHODS[mistake]
    file = write_plugin(source)
    answer = ask("run", write(MINE), "--plugin", file, "--only", "method=mine", "--no-mlflow")
    assert answer.code == 1
    assert f"failed: mine resnet8 plain seed 0 and 1 more cell: craft mine linf-32 failed: {sentence}\n" in answer.err
    assert answer.err.count(sentence) == 1


DEFENSES = {
    "bytes": (
        "def batch(self, x, y, generator): return (x * 255).to(torch.uint8), y",
        "the defense 'mine' returned uint8 from batch, not floats in [0, 1]: divide bytes by 255",
    ),
    "levels": (
        "def batch(self, x, y, generator): return x * 50, y",
        "the defense 'mine' returned values from 0 to 50 from batch, not in [0, 1]: divide or clamp them, "
        "x.clamp(0, 1)",
    ),
    "cropped": (
        "def batch(self, x, y, generator): return x[..., 2:, 2:], y",
        "the defense 'mine' returned images of shape [40, 3, 14, 14] from batch where it was given [40, 3, 16, 16]: "
        "return an image of the same size for each",
    ),
    "stored as floats": (
        "def dataset(self, images, labels, generator): return images / 255",
        "the defense 'mine' returned float32 from dataset, not bytes: round to levels from 0 to 255 and "
        "convert to uint8",
    ),
    "labels overwritten": (
        "def dataset(self, images, labels, generator): labels.zero_(); return images",
        "the defense 'mine' changed its input in place in dataset: work on copies, images.clone() or labels.clone()",
    ),
    "no network": (
        "def network(self, network): network.eval()",
        "the defense 'mine' returned nothing from network: return the network, wrapped or not",
    ),
    "a loss of nothing": (
        "def loss(self, loss, epoch): return lambda n, x, y, g: x.sum()",
        "the loss of the defense 'mine' never calls the network it is given: it has to be of network(x)",
    ),
}


@pytest.mark.parametrize("mistake", DEFENSES)
def test_what_a_defense_returns_wrongly_is_said(mistake: str) -> None:
    hook, sentence = DEFENSES[mistake]
    spec = changed(MINE, "methods: [none, mine]", "methods: [none]\ndefenses: [mine]")
    assert f"failed: none resnet8 mine seed 0 and 1 more cell: {sentence}" in said(
        write(spec), "--plugin", write_plugin(defense(hook))
    )


NETWORKS = {
    "too many outputs": (
        network(outputs="classes + 5"),
        "the architecture 'mine' returns float32 of shape [2, 15] for 10 classes: it has to return logits, "
        "floats [2, 10]",
    ),
    "not a number": (
        network("return x.mean((2, 3)) / 0 * 0"),
        "the architecture 'mine' returns NaN or infinite values with its first weights: look at what divides and what "
        "initialises it",
    ),
}


@pytest.mark.parametrize("mistake", NETWORKS)
def test_what_a_network_returns_wrongly_is_said(mistake: str) -> None:
    source, sentence = NETWORKS[mistake]
    spec = changed(changed(MINE, "methods: [none, mine]", "methods: [none]"), "victims: [resnet8]", "victims: [mine]")
    assert f"failed: none mine plain seed 0 and 1 more cell: {sentence}" in said(
        write(spec), "--plugin", write_plugin(source)
    )


def records() -> dict[str, bool]:
    return {one.method: one.deterministic for one in read_records(Path("home") / "records")}


@pytest.mark.parametrize("per_sample", [True, False])
def test_a_method_that_is_not_deterministic_is_said_to_be_so_and_recorded(per_sample: bool) -> None:
    file = write_plugin(method(NOISE.format(""), per_sample=per_sample))
    assert said(write(MINE), "--plugin", file) == [
        "the method 'mine' is not deterministic: the same images, crafted a second time, came out other; take every "
        "draw from ctx.generator()"
    ]
    assert records() == {"none": True, "mine": False}


def test_a_method_that_is_not_per_sample_and_says_so_is_found_out() -> None:
    file = write_plugin(method("return budget.project(data.x, data.x + budget.radius * (len(data.x) / 40 - 0.5))"))
    assert said(write(MINE), "--plugin", file) == [
        "the method 'mine' says per_sample, and 4 images that are crafted by themselves come out other than among the "
        "rest: set per_sample = False, or let no image depend on others of the call"
    ]


BRIGHTNESS = "return budget.project(data.x, data.x + budget.radius * (data.x.mean((0, 1)) - {}).sign())"


def test_a_method_that_looks_at_the_mean_of_its_call_is_found_out() -> None:
    assert said(write(MINE), "--plugin", write_plugin(method(BRIGHTNESS.format("data.x.mean()")))) == [
        "the method 'mine' says per_sample, and 4 images that are crafted by themselves come out other than among the "
        "rest: set per_sample = False, or let no image depend on others of the call"
    ]


def images(*moved: int) -> torch.Tensor:
    """Return two grey images of 3x16x16 bytes, of which those at these positions are moved."""
    made = torch.full((2, 768), 100, dtype=torch.uint8)
    made[:, list(moved)] += 8
    return made.reshape(2, 3, 16, 16)


def looked_at(released: torch.Tensor, *again: torch.Tensor, exact: bool = True) -> str:
    """Return what is said of a `per_sample` method whose images come out so when they are crafted again."""
    calls = iter(again)
    found = second_look("mine", images(), released, lambda: next(calls), per_sample=True, exact=exact)
    return "nothing" if found is None else "chance" if "deterministic" in found else "others"


def test_a_second_look_sees_the_few_bytes_of_a_sparse_perturbation() -> None:
    before, other = images(*range(12)), images(*range(12, 24))
    assert looked_at(before, before) == "nothing"
    assert looked_at(before, other, before) == "chance"
    assert looked_at(before, other, other) == "others"
    assert looked_at(before, other, other, exact=False) == "others"
    last = before.clone()
    last[1] = other[1]
    assert looked_at(before, last, last) == "others", "each image counts, not their mean"


def test_what_another_batch_rounds_otherwise_is_no_lie_and_the_same_batch_is_the_same() -> None:
    before, rounded = images(*range(12)), images(*range(9), *range(12, 15))
    assert looked_at(before, rounded, rounded) == "nothing"
    assert looked_at(before, rounded, before) == "chance"
    assert looked_at(before, rounded, before, exact=False) == "nothing"


def released() -> str:
    (digest,) = {str(one.protected_sha256) for one in read_records(Path("home") / "records") if one.method == "mine"}
    return digest[:8]


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        (
            GOOD,
            GOOD.replace("+ budget.radius", "- budget.radius"),
            "its source has changed; raise the version of what you change, so that no old result is taken for a new",
        ),
        (
            method(NOISE.format("")),
            method(NOISE.format("")),
            "the method 'mine' is not deterministic: the same images, crafted a second time, came out other; take "
            "every draw from ctx.generator()",
        ),
    ],
    ids=["another source", "not deterministic"],
)
def test_force_says_where_a_set_came_out_other_and_why(before: str, after: str, why: str) -> None:
    said(write(MINE), "--plugin", write_plugin(before))
    first = released()
    last = said(write(MINE), "--plugin", write_plugin(after), "--force", "craft")[-1]
    assert last == (
        f"mine linf-32, crafted anew by --force, is not what it was ({first} before, {released()} now): {why}"
    )


def test_a_commit_is_blamed_last_and_with_doubt() -> None:
    made = {"version": "1", "torch": "2", "device": "cpu", "git_sha": "a", "deterministic": True}
    before = {"provenance": made}
    assert _why({"provenance": {**made, "git_sha": "b", "torch": "3"}}, before) == (
        "it was made with another torch (2 before, 3 now)"
    )
    assert _why({"provenance": {**made, "git_sha": "b"}, "doubt": "it draws"}, before) == "it draws"
    assert _why({"provenance": {**made, "git_sha": "b"}}, before) == (
        "that may be sepbench, which was at another commit (a before, b now), or its method is not deterministic"
    )
    one, two = ({"provenance": {**made, "threads": threads}} for threads in (1, 2))
    assert _why(two, one) == "it was made by another number of threads (1 before, 2 now), see OMP_NUM_THREADS"
    other, here = ({"provenance": {**made, "processor": name}} for name in ("Some 486", "AMD EPYC"))
    assert _why(here, other) == (
        "it was made on another processor (Some 486 before, AMD EPYC now), which rounds otherwise"
    )
    for now in (two, here):
        assert _why(now, before) == _why(before, before), "what was made before says nothing of it"
    assert _why(before, before).startswith("with the same source, parameters and seed its method is not deterministic")


def test_of_a_method_that_keeps_its_promises_nothing_is_said() -> None:
    assert said(write(MINE), "--plugin", write_plugin(GOOD)) == []
    assert records() == {"none": True, "mine": True}


def test_a_set_that_comes_out_the_same_by_force_is_not_spoken_of() -> None:
    file = write_plugin(GOOD)
    said(write(MINE), "--plugin", file)
    assert said(write(MINE), "--plugin", file, "--force", "craft") == []


def test_results_of_another_source_under_the_same_version_are_used_and_said() -> None:
    file = write_plugin(GOOD)
    said(write(MINE), "--plugin", file)
    write_plugin(GOOD.replace("+ budget.radius", "- budget.radius"))
    warning = (
        "the source of the method mine (mine.py) has changed since 1 protected set was made, and its version has not: "
        "what is there is used as it is; raise the version, or make it anew with --force craft"
    )
    assert said(write(MINE), "--plugin", file) == [warning]
    assert ask("plan", write(MINE), "--plugin", file).err == f"sepbench: {warning}\n"
    write_plugin(GOOD.replace("+ budget.radius", "- budget.radius").replace("per_sample", "version = 2; per_sample"))
    assert said(write(MINE), "--plugin", file) == []


def test_of_a_source_that_cannot_be_read_nobody_says_that_it_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_plugin(GOOD)
    with monkeypatch.context() as patch:
        patch.setattr("bench.core.origin.source_digest", lambda *where: "")
        said(write(MINE), "--plugin", file)
    assert said(write(MINE), "--plugin", file) == [
        "the source of the method mine (mine.py) cannot be read, so that nothing tells whether it has changed since 1 "
        "protected set was made: what is there is used as it is; raise the version, or make it anew with --force craft"
    ]


def test_results_of_a_changed_defense_and_network_are_said_as_well() -> None:
    spec = changed(
        MINE, "methods: [none, mine]\nvictims: [resnet8]", "methods: [none]\nvictims: [mine]\ndefenses: [mine]"
    )
    files = write_plugin(network(), "net.py"), write_plugin(defense("short = None"), "defense.py")
    options = [write(spec), "--plugin", files[0], "--plugin", files[1]]
    said(*options)
    write_plugin(network() + "# a remark\n", "net.py")
    write_plugin(defense("short = None") + "# a remark\n", "defense.py")
    ending = "and its version has not: what is there is used as it is; raise the version, or make it anew with --force"
    assert said(*options) == [
        f"the source of the architecture mine (net.py) has changed since 2 victims were made, {ending} victim",
        f"the source of the defense mine (defense.py) has changed since 2 victims were made, {ending} victim",
    ]
