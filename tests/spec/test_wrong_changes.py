"""A mistake in --set or in a profile is shown where it was made, not where the file is right."""

import pytest

from tests.making.asking import changed, refusal, write
from tests.making.experiments import TINY

pytestmark = pytest.mark.usefixtures("own_place")

PROFILES = """\
profiles:
  short:
    recipe.epoch: 1
  thin:
    seeds: [0]
    victims: [resnt8]
  part:
    dataset.limt: 10
  whole:
    methods:
      - none
      - sep: {step: 2}
  number: 5
  empty:
  wrong: {5: 3}
  fine: {seeds: [3]}
"""


@pytest.mark.parametrize(
    ("override", "field", "says"),
    [
        ("sedes=[0]", "sedes", "there is no such field; did you mean seeds"),
        ("foo=1", "foo", "there is no such field; known: name, title,"),
        ("recipe.epoch=3", "recipe.epoch", "did you mean epochs"),
        ("recipe.schedule.rises=0.2", "recipe.schedule.rises", "did you mean rise?"),
        ("dataset.limt=3", "dataset.limt", "did you mean limit"),
        ("dataset.train=x.parquet", "dataset.train", "there is no such field; known: name, format, limit"),
        ("table.colums=[budget]", "table.colums", "did you mean columns?"),
        ("methods=[{sep: {step: 3}}]", "methods.0.sep.step", "did you mean steps"),
        ("recipe=digit", "recipe", "unknown recipe 'digit': did you mean digits?"),
        ("methods=[sepp]", "methods.0.sepp", "unknown method 'sepp': did you mean sep"),
        ("methods=[]", "methods", "must be a list of names"),
        ("victims=[resnt8]", "victims.0", "did you mean resnet8"),
        ("budgets=[linf-256]", "budgets.0", "not a whole number of 1/255 levels"),
        ("budgets=[linf-0]", "budgets", "a budget of zero"),
        ("budgets=[]", "budgets", "and there is none"),
        ("budgets=", "budgets", "must be a list, written [a, b], and nothing is given"),
        ("seeds=[0,0]", "seeds", "stands here more than once"),
        ("recipe.epochs=many", "recipe.epochs", "must be a whole number, not 'many'"),
        ("recipe.weight_decay=1e-4", "recipe.weight_decay", "which YAML takes for text: write 0.0001"),
        ("profile=cpu", "profile", "there is no such field"),
    ],
)
def test_a_mistake_of_set_is_shown_as_that_option(override: str, field: str, says: str) -> None:
    message = refusal("plan", write(TINY), "--set", override)
    assert message.startswith(f"--set {override}: {field}: ")
    assert says in message


@pytest.mark.parametrize("override", ["recipe.epochs", "=3", "", "recipe..epochs=3", ".epochs=3", "recipe.epochs.=3"])
def test_what_is_no_override_is_told_how_to_write_one(override: str) -> None:
    message = refusal("plan", write(TINY), "--set", override)
    assert message == f"--set {override}: write --set FIELD=VALUE, such as --set recipe.epochs=5"


@pytest.mark.parametrize("value", ["[0", "2024-13-45", "{a: b: c}"])
def test_a_value_that_is_no_yaml_is_refused(value: str) -> None:
    message = refusal("plan", write(TINY), "--set", f"seeds={value}")
    assert message.startswith(f"--set seeds={value}: the value is not YAML: ")


@pytest.mark.parametrize("field", ["seeds.first", "methods.sep.steps", "name.short", "recipe.epochs.first"])
def test_a_field_below_one_that_has_none_is_refused(field: str) -> None:
    above = field.split(".")[-2] if field.startswith("recipe") else field.split(".")[0]
    message = refusal("plan", write(TINY), "--set", f"{field}=1")
    assert message == f"--set {field}=1: {above} is not a mapping of fields: set {above} as a whole"


def test_an_override_is_not_blamed_for_a_mistake_of_the_file() -> None:
    write(changed(TINY, "  name: digits\n  epochs", "  name: digit\n  epochs"))
    assert refusal("plan", "tiny.yaml", "--set", "recipe.epochs=3").startswith("tiny.yaml:3: recipe.name: ")
    write(changed(TINY, "  name: digits\n  limit", "  name: x\n  format: parquet\n  limit"))
    assert refusal("plan", "tiny.yaml", "--set", "dataset.limit=3").startswith("tiny.yaml:5: dataset.train: ")


@pytest.mark.parametrize(
    ("profile", "line", "field", "says"),
    [
        ("short", 27, "recipe.epoch", "there is no such field; did you mean epochs"),
        ("thin", 30, "victims.0", "did you mean resnet8"),
        ("part", 32, "dataset.limt", "did you mean limit"),
        ("whole", 36, "methods.1.sep.step", "did you mean steps"),
    ],
)
def test_a_mistake_of_a_profile_is_shown_with_its_line_there(profile: str, line: int, field: str, says: str) -> None:
    message = refusal("plan", write(TINY + PROFILES), "--profile", profile)
    assert message.startswith(f"tiny.yaml:{line}: profile {profile}: {field}: ")
    assert says in message


@pytest.mark.parametrize(("profile", "line"), [("number", 37), ("empty", 38), ("wrong", 39)])
def test_a_profile_that_is_no_set_of_changes_is_refused(profile: str, line: int) -> None:
    message = refusal("plan", write(TINY + PROFILES), "--profile", profile)
    assert message == (
        f"tiny.yaml:{line}: profile {profile}: must be a mapping of changed fields, such as recipe.epochs: 5"
    )


def test_the_last_to_set_a_field_is_the_one_to_blame() -> None:
    write(TINY + PROFILES)
    message = refusal("plan", "tiny.yaml", "--profile", "fine", "--set", "seeds=[4]", "--set", "seeds=[-4]")
    assert message.startswith("--set seeds=[-4]: seeds.0: ")


def test_an_unknown_profile_is_answered_with_those_there_are() -> None:
    message = refusal("run", write(TINY + PROFILES), "--profile", "shrt")
    assert message.startswith("tiny.yaml: unknown profile 'shrt': did you mean short")
    assert refusal("run", write(TINY), "--profile", "cpu") == "tiny.yaml has no profiles: leave --profile cpu out"


@pytest.mark.parametrize("written", ["[short]", "5", "short"])
def test_profiles_that_are_no_mapping_are_refused(written: str) -> None:
    write(f"{TINY}profiles: {written}\n")
    for options in ([], ["--profile", "short"]):
        message = refusal("plan", "tiny.yaml", *options)
        assert message == "tiny.yaml:25: profiles: must be a mapping of names to changed fields"
