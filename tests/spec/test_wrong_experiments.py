"""A mistake in an experiment file is answered with the file, the line, the field and what to do."""

from pathlib import Path

import pytest

from tests.making.asking import changed, refusal, write
from tests.making.experiments import TINY

pytestmark = pytest.mark.usefixtures("own_place")

MISSPELT = [
    ("victims: [", "victim: [", 18, "victim", "did you mean victims?"),
    ("seeds: [0]", "sedes: [0]", 20, "sedes", "did you mean seeds"),
    ("seeds: [0]", "seeds: [0]\nfoo: 1", 21, "foo", "known: name, title, recipe, dataset,"),
    ("  epochs: 2", "  epoch: 2", 4, "recipe.epoch", "did you mean epochs"),
    ("  epochs: 2", "  augmentation: {crop_paddin: 1}", 4, "recipe.augmentation.crop_paddin", "mean crop_padding?"),
    ("  epochs: 2", "  normalisation: {mean: [0, 0, 0], sd: [1, 1, 1]}", 4, "recipe.normalisation.sd", "mean std?"),
    ("  epochs: 2", "  schedule:\n    rises: 0.2", 5, "recipe.schedule.rises", "did you mean rise?"),
    ("  limit: 200", "  limt: 200", 7, "dataset.limt", "did you mean limit"),
    ("  columns: [", "  colums: [", 23, "table.colums", "did you mean columns?"),
    ("      steps: 2", "      step: 2", 16, "methods.2.sep.step", "did you mean steps"),
    ("  - random-noise", "  - random-noise: {seed: 1}", 13, "methods.1.random-noise.seed", "it takes none"),
    ("[plain]", "[{plain: {level: 1}}]", 19, "defenses.0", "level: there is no such field; it takes none"),
    ("[plain]", "['plain:level=1']", 19, "defenses.0", "level: there is no such field; it takes none"),
    ("seeds: [0]", "seeds: [0]\nprofile: cpu", 21, "profile", "did you mean profiles"),
]
UNKNOWN = [
    ("  name: digits\n  epochs", "  name: digit\n  epochs", 3, "recipe.name", "recipe 'digit': did you mean digits?"),
    (
        "  name: digits\n  limit",
        "  name: digitz\n  limit",
        6,
        "dataset.name",
        "data set 'digitz': did you mean digits?",
    ),
    ("  name: digits\n  limit", "  name: x\n  format: parket\n  limit", 7, "dataset.format", "mean parquet?"),
    ("surrogate: resnet8", "surrogate: resnt8", 9, "surrogate", "'resnt8': did you mean resnet8"),
    ("victims: [resnet8]", "victims: [resnt8]", 18, "victims.0", "'resnt8': did you mean resnet8"),
    ("  - random-noise", "  - random-nose", 13, "methods.1.random-nose", "did you mean random-noise"),
    ("  - sep:", "  - spe:", 14, "methods.2.spe", "unknown method 'spe': did you mean sep"),
    ("      step_size: 16", "      network: resnt8", 14, "methods.2.sep", "'resnt8': did you mean resnet8"),
    ("[plain]", "[plane]", 19, "defenses.0", "unknown defense 'plane': did you mean plain"),
    ("[plain]", "[plain+plane]", 19, "defenses.0", "unknown defense 'plane': did you mean plain"),
    ("  rows: method", "  rows: metod", 22, "table.rows", "unknown table axis 'metod': did you mean method?"),
    ("  value: test_acc", "  value: tset_acc", 24, "table.value", "did you mean test_acc"),
    ("  epochs: 2", "  schedule: {kind: onecycle}", 4, "recipe.schedule", "did you mean one-cycle?"),
]
BUDGETS = [
    ("[linf--3]", 10, "budgets.0", "'linf--3' is negative"),
    ("[l2--0.5]", 10, "budgets.0", "'l2--0.5' is negative"),
    ("[linf-0]", 10, "budgets", "a budget of zero lets method 'random-noise' change nothing: give a positive budget"),
    ("[linf-256]", 10, "budgets.0", "not a whole number of 1/255 levels from 0 to 255"),
    ("[linf-1.5]", 10, "budgets.0", "not a whole number of 1/255 levels from 0 to 255"),
    (f"[l2-{10**400}]", 10, "budgets.0", "is larger than any finite number"),
    (f"[l0-{10**400}]", 10, "budgets.0", "is larger than any finite number"),
    ("[lots]", 10, "budgets.0", "'lots' is not a budget: write linf-LEVELS, such as linf-8"),
    ("[~]", 10, "budgets.0", "'' is not a budget: write linf-LEVELS, such as linf-8"),
    ("[8]", 10, "budgets.0", "'8' is not a budget: write linf-LEVELS, such as linf-8"),
    ("\n  - linf-8\n  - linf-x", 12, "budgets.1", "'linf-x' is not a budget"),
    ("[]", 10, "budgets", "method 'random-noise' needs a budget of norm linf, l2 or l0, and there is none: add one"),
    ("[linf-8, linf-8]", 10, "budgets", "linf-8 stands here more than once: name each once"),
    ("linf-8", 10, "budgets", "must be a list, written [a, b], not 'linf-8'"),
]
VALUES = [
    ("  epochs: 2", "  epochs: many", 4, "recipe.epochs", "must be a whole number, not 'many'"),
    ("  epochs: 2", "  epochs:", 4, "recipe.epochs", "must be a whole number, and nothing is given"),
    ("  epochs: 2", "  epochs: 0", 4, "recipe.epochs", "must be at least 1, not 0"),
    ("  epochs: 2", "  batch_size: 1.5", 4, "recipe.batch_size", "must be a whole number, not 1.5"),
    ("  epochs: 2", "  lr: fast", 4, "recipe.lr", "must be a number, not 'fast'"),
    ("  epochs: 2", "  lr: 1e-1", 4, "recipe.lr", "not '1e-1', which YAML takes for text: write 0.1"),
    ("  epochs: 2", "  lr: .inf", 4, "recipe.lr", "must be a finite number, not inf"),
    ("  epochs: 2", "  lr: 1.0e+39", 4, "recipe.lr", "must be at most 3.4e+38, not 1e+39"),
    ("  epochs: 2", "  clip_gradient: .nan", 4, "recipe.clip_gradient", "must be a finite number, not nan"),
    ("      step_size: 16", "      step_size: .inf", 17, "methods.2.sep.step_size", "must be a finite number, not inf"),
    ("[plain]", "[{dp-sgd: {clip: .inf}}]", 19, "defenses.0", "dp-sgd: clip: must be a finite number, not inf"),
    ("[plain]", "['coin:alpha=nan']", 19, "defenses.0", "coin:alpha=nan: alpha: must be a finite number, not 'nan'"),
    ("seeds: [0]", "seeds: [0]\nprotected_fractions: [.nan]", 21, "protected_fractions.0", "must be "),
    ("  epochs: 2", "  momentum: 1", 4, "recipe.momentum", "must be less than 1, not 1"),
    ("  epochs: 2", "  nesterov: maybe", 4, "recipe.nesterov", "must be true or false, not 'maybe'"),
    (
        "  epochs: 2",
        "  normalisation: cifar",
        4,
        "recipe.normalisation",
        "must be 'measured', 'cifar10', 'cifar100' or",
    ),
    (
        "  epochs: 2",
        "  normalisation: {mean: [0, 0, 0, 0], std: [1, 1, 1]}",
        4,
        "recipe.normalisation.mean",
        "must have 3 or fewer entries, not [0, 0, 0, 0]",
    ),
    ("  epochs: 2", "  schedule: cosine", 4, "recipe.schedule", "must be a mapping of fields, not 'cosine'"),
    ("  limit: 200", "  limit: all", 7, "dataset.limit", "must be a whole number, not 'all'"),
    ("name: tiny", "name: 5", 1, "name", "must be text, not 5: put it in quotes"),
    ("name: tiny", "name: my experiment", 1, "name", "'my experiment' cannot name files: use letters, digits"),
    ("name: tiny", "name: ../tiny", 1, "name", "'../tiny' cannot name files"),
    ("      steps: 2", "      steps: 0", 16, "methods.2.sep.steps", "must be at least 1, not 0"),
    ("      steps: 2", "      steps: [2, 0]", 16, "methods.2.sep.steps", "must be at least 1, not 0"),
    ("      steps: 2", "      steps: []", 16, "methods.2.sep.steps", "a row for each, and this one is empty"),
    ("      steps: 2", "      steps: true", 16, "methods.2.sep.steps", "must be a whole number, not true"),
    ("  - random-noise", "  - random-noise: 3", 13, "methods.1.random-noise", "parameters are a mapping"),
    ("  - random-noise", "  - 3", 13, "methods.1", "3 is not a method: write its name"),
    ("  - random-noise", "  -", 13, "methods.1", "nothing is not a method: write its name"),
    ("surrogate: resnet8", "surrogate:", 9, "surrogate", "must be the name of an architecture, not nothing"),
    ("victims: [resnet8]", "victims: [18]", 18, "victims.0", "must be the name of an architecture, not 18"),
    ("  - random-noise", "  - {3: {}}", 13, "methods.1.3", "unknown method '3'"),
    ("  - random-noise", "  - [random-noise]", 13, "methods.1", "is not a method: write its name"),
    (
        "      checkpoints: 2",
        "      checkpoints: 3",
        14,
        "methods.2.sep",
        "3 checkpoints were asked of a surrogate that",
    ),
    ("victims: [resnet8]", "victims: []", 18, "victims", "must not be empty"),
    ("victims: [resnet8]", "victims: resnet8", 18, "victims", "must be a list, written [a, b], not 'resnet8'"),
    ("victims: [resnet8]", "victims: [resnet8, resnet8]", 18, "victims", "resnet8 stands here more than once"),
    ("[plain]", "[]", 19, "defenses", "must not be empty"),
    ("[plain]", "[5]", 19, "defenses.0", "5 is not a defense: write its name"),
    ("seeds: [0]", "seeds: []", 20, "seeds", "must not be empty"),
    ("seeds: [0]", "seeds: [0, 1, 0]", 20, "seeds", "0 stands here more than once: name each once"),
    ("seeds: [0]", "seeds: [0, -1]", 20, "seeds.1", "must be at least 0, not -1"),
    ("seeds: [0]", "seeds: 3", 20, "seeds", "must be a list, written [a, b], not 3"),
    ("seeds: [0]", "seeds: [one]", 20, "seeds.0", "must be a whole number, not 'one'"),
    ("  columns: [budget]", "  columns: budget", 23, "table.columns", "must be a list, written [a, b], not 'budget'"),
    ("  columns: [budget]", "  columns: [method]", 21, "table", "the table axis 'method' is used twice"),
]


@pytest.mark.parametrize(("old", "new", "line", "field", "says"), [*MISSPELT, *UNKNOWN, *VALUES])
def test_a_mistake_is_shown_with_its_line_and_what_to_do(old: str, new: str, line: int, field: str, says: str) -> None:
    message = refusal("plan", write(changed(TINY, old, new)))
    assert message.startswith(f"tiny.yaml:{line}: {field}: ")
    assert says in message


@pytest.mark.parametrize(("written", "line", "field", "says"), BUDGETS)
def test_a_budget_that_cannot_be_is_refused(written: str, line: int, field: str, says: str) -> None:
    message = refusal("run", write(changed(TINY, "[linf-32]", written)))
    assert message.startswith(f"tiny.yaml:{line}: {field}: ")
    assert says in message


def test_no_budgets_at_all_are_missed_by_the_first_method_that_needs_one() -> None:
    message = refusal("plan", write(changed(TINY, "budgets: [linf-32]\n", "")))
    assert message == (
        "tiny.yaml: budgets: method 'random-noise' needs a budget of norm linf, l2 or l0, and there is none: "
        "add one, such as budgets: [linf-8]"
    )


def test_more_checkpoints_than_epochs_say_how_many_there_can_be() -> None:
    message = refusal("plan", write(changed(TINY, "checkpoints: 2", "checkpoints: 3")))
    assert message.endswith(
        "3 checkpoints were asked of a surrogate that is trained for 2 epochs: ask for at most 2, or train longer "
        "with recipe.epochs"
    )


@pytest.mark.parametrize(
    ("gone", "field"),
    [
        ("name: tiny\n", "name"),
        ("surrogate: resnet8\n", "surrogate"),
        ("victims: [resnet8]\n", "victims"),
        ("recipe:\n  name: digits\n  epochs: 2\n", "recipe"),
    ],
)
def test_a_missing_field_is_named_with_two_ways_to_give_it(gone: str, field: str) -> None:
    message = refusal("plan", write(changed(TINY, gone, "")))
    assert message == f"tiny.yaml: {field}: this field is missing: add it, or give it with --set {field}=VALUE"


def test_a_missing_field_of_a_mapping_is_placed_at_the_mapping() -> None:
    message = refusal("plan", write(changed(TINY, "  name: digits\n  epochs: 2", "  epochs: 2")))
    assert message.startswith("tiny.yaml:2: recipe.name: this field is missing: ")
    message = refusal("plan", write(changed(TINY, "  name: digits\n  limit", "  name: x\n  format: parquet\n  limit")))
    assert message == (
        "tiny.yaml:5: dataset.train: this field is missing: add it, or give it with --set dataset.train=VALUE"
    )


def test_an_unknown_data_set_that_may_be_ones_own_is_told_of_formats() -> None:
    message = refusal("plan", write(changed(TINY, "  name: digits\n  limit", "  name: photographs\n  limit")))
    assert message.endswith(". For files of your own, give their format beside the name")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "tiny.yaml: the file is empty: write fields, such as name: my-experiment"),
        ("# nothing yet\n", "tiny.yaml: the file is empty: write fields, such as name: my-experiment"),
        ("- none\n- sep\n", "tiny.yaml: this is not a mapping of fields: write fields, such as name: my-experiment"),
        ("none\n", "tiny.yaml: this is not a mapping of fields: write fields, such as name: my-experiment"),
        ("name: tiny\nseeds: [0\nvictims: x\n", "tiny.yaml:3: this is not YAML: "),
        ("name: tiny\n\tseeds: [0]\n", "tiny.yaml:2: this is not YAML: "),
        ("name: tiny\n---\nname: other\n", "tiny.yaml:2: this is not YAML: expected a single document"),
        ("name: 2024-13-45\n", "tiny.yaml: this is not YAML: "),
        ("name: \0\n", "tiny.yaml: this is not YAML: "),
        ("name: !!python/name:os.system\n", "tiny.yaml:1: this is not YAML: "),
        ("name: &a [*a]\n", "tiny.yaml:1: name: must be text"),
        (TINY + "seeds: [1]\n", "tiny.yaml:25: seeds stands here a second time: remove one of the two"),
        (changed(TINY, "  epochs: 2", "  epochs: 2\n  epochs: 3"), "tiny.yaml:5: epochs stands here a second time"),
    ],
    ids=lambda value: None,
)
def test_what_is_no_experiment_is_refused_with_its_place(text: str, says: str) -> None:
    assert refusal("plan", write(text)).startswith(says)


def test_a_file_in_another_encoding_is_refused_with_its_line() -> None:
    Path("tiny.yaml").write_bytes(TINY.replace("tiny", "t\u00efny").encode("latin-1"))
    assert refusal("plan", "tiny.yaml") == "tiny.yaml:1: this is not text in UTF-8: save the file in that encoding"


def test_the_path_is_shown_as_the_person_wrote_it() -> None:
    Path("mine").mkdir()
    write(changed(TINY, "seeds", "sedes"), "mine/own.yml")
    assert refusal("plan", "mine/own.yml").startswith("mine/own.yml:20: sedes: ")
    assert refusal("show", "mine/own.yml").startswith("mine/own.yml:20: sedes: ")
    assert refusal("table", "mine/../mine/own.yml").startswith("mine/../mine/own.yml:20: sedes: ")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "[plain]",
            "[[{jpeg: {quality: x}}, {cutout: {}}]]",
            "tiny.yaml:19: defenses.0: jpeg+cutout: quality: must be a whole number, not 'x'",
        ),
        ("[plain]", "[{jpeg: 5}]", "tiny.yaml:19: defenses.0: jpeg: must be a mapping of fields, not 5"),
        ("name: tiny", "name: 2020-01-01", "tiny.yaml:1: name: must be text, not 2020-01-01: put it in quotes"),
        ("  - none", "  - 2020-01-01", "2020-01-01 is not a method: write its name, or one name with its parameters"),
        (
            "name: tiny",
            'name: tiny\ntitle: "\\ud800"',
            "tiny.yaml:2: '\\ud800' holds half a character: write the whole",
        ),
        ("[plain]", "[" * 3000 + "plain" + "]" * 3000, "tiny.yaml: what is written here is nested too deeply"),
    ],
    ids=["list", "mapping", "date", "dates", "surrogate", "deep"],
)
def test_what_no_field_can_hold_is_one_sentence(old: str, new: str, says: str) -> None:
    assert says in refusal("plan", write(changed(TINY, old, new)))


def test_a_value_nested_too_deeply_is_refused_on_the_command_line() -> None:
    message = refusal("plan", write(TINY), "--set", f"defenses={'[' * 3000}{']' * 3000}")
    assert "the value is not YAML: maximum recursion depth" in message
