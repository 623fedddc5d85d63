"""A release of which only some classes are protected, and judged."""

import io
import json
from pathlib import Path

import pytest
import torch

from bench.contracts.defense import Defenses
from bench.data.images import ImageSet, Splits
from bench.data.loading import card, load
from bench.data.spec import DatasetSpec
from bench.engine.recipe import Recipe
from bench.plan.make import make_plan, plan_experiment
from bench.plan.mixture import seen_by_victim
from bench.plan.stage import CraftJob, VictimJob
from bench.read.tabulation import table_of
from bench.record.record import Record
from bench.run.executors.executor import Workplace
from bench.run.invocation import Invocation, Summary, run_plan
from bench.run.progress import Clock, PlainProgress
from bench.run.stages.shards import shards
from bench.run.stopping import Stop
from bench.spec.experiment import Experiment
from bench.store.home import Home
from methods._targeted import targets
from tests.making.experiments import FIELDS
from tests.making.renaming import best_by_trying
from tests.making.tiny_data import complaint, encoded, pets, pixels, spec_of, write_parquet

DIGITS = {"name": "digits", "limit": 200, "test_limit": 60}
LABELS = torch.arange(50) % 5
NAMES = ("a", "b", "c", "d", "e")
CLEAN = ImageSet(torch.zeros(50, 3, 4, 4, dtype=torch.uint8), LABELS, NAMES)
OF_TWO = Splits(CLEAN, CLEAN, protected_classes=2)


def experiment(**changes: object) -> Experiment:
    return Experiment.model_validate(
        {
            **FIELDS,
            "name": "some-classes",
            "recipe": {"name": "digits", "epochs": 2, "augmentation": {"crop_padding": 0, "resized_crop": 0.25}},
            "dataset": {**DIGITS, "protected_classes": 4},
            **changes,
        }
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def summary(home: Home) -> Summary:
    watcher = PlainProgress([], Clock([], lambda stage: 0.0), io.StringIO())
    place = Workplace(home, torch.device("cpu"), watcher, Stop())
    done = run_plan(plan_experiment(experiment(), home.cards), Invocation(place))
    assert not done.failures
    return done


@pytest.fixture(scope="module")
def records(summary: Summary) -> dict[str, Record]:
    return {record.method: record for record in summary.records}


def test_all_classes_are_learned_and_only_the_first_ones_are_tested() -> None:
    splits = load(DatasetSpec.parse({**DIGITS, "protected_classes": 4}))
    whole = load(DatasetSpec.parse(DIGITS))
    assert splits.train.sha256 == whole.train.sha256
    assert set(splits.test.labels.tolist()) == {0, 1, 2, 3}
    assert len(splits.test) == 60
    assert splits.test.classes == whole.test.classes
    assert splits.judged_classes == 4
    assert torch.equal(splits.to_protect, (whole.train.labels < 4).nonzero()[:, 0])


def test_a_method_sees_only_what_it_is_to_protect_and_only_these_classes() -> None:
    parts = list(shards(OF_TWO, 8, torch.device("cpu")))
    assert [len(part.y) for part in parts] == [8, 8, 4]
    assert {part.classes for part in parts} == {2}
    index = torch.cat([part.index for part in parts])
    assert torch.equal(index, (LABELS < 2).nonzero()[:, 0])
    assert torch.equal(torch.cat([part.y for part in parts]), LABELS[index])


@pytest.mark.parametrize("method", ["random-noise", "sep"])
def test_images_of_other_classes_are_released_as_they_are(home: Home, records: dict[str, Record], method: str) -> None:
    clean = load(experiment().dataset).train
    released = home.store.tensors("craft", records[method].protected_key, "protected")["images"]
    changed = (released != clean.images).flatten(1).any(1)
    assert torch.equal(changed, clean.labels < 4)


def test_the_audit_is_of_the_protected_images_alone(home: Home, records: dict[str, Record]) -> None:
    clean = load(experiment().dataset).train
    released = home.store.tensors("craft", records["random-noise"].protected_key, "protected")["images"]
    chosen = clean.labels < 4
    error = ((released[chosen].double() - clean.images[chosen].double()) / 255).square().mean()
    psnr = records["random-noise"].psnr
    assert psnr is not None
    assert psnr == pytest.approx(float(-10 * error.log10()), abs=1e-6)


def test_a_record_says_how_many_classes_it_is_of_and_judges_these(home: Home, records: dict[str, Record]) -> None:
    for record in records.values():
        confusion = torch.tensor(home.store.meta("victim", record.key)["confusion"]).double()
        assert confusion.shape == (10, 10)
        assert int(confusion[4:].sum()) == 0
        right = confusion.diagonal()[:4]
        assert record.protected_classes == json.loads(record.to_json())["protected_classes"] == 4
        assert record.n_test == 60
        assert record.test_acc_per_class is not None
        expected = (100 * right / confusion[:4].sum(1)).tolist()
        assert record.test_acc_per_class == pytest.approx(expected, abs=1e-4)
        assert record.test_acc == pytest.approx(100 * float(right.sum()) / 60)
        renamed = float(confusion[range(4), best_by_trying(confusion[:4].numpy())].sum())
        assert record.relabelled_acc == pytest.approx(100 * renamed / 60)


def test_a_table_says_of_how_many_classes_it_is(summary: Summary, home: Home) -> None:
    table = table_of(plan_experiment(experiment(), home.cards), summary.records)
    assert "Of digits only the first 4 classes (0, 1, 2 and 3) are protected and judged." in table.notes


def test_a_record_of_all_classes_has_no_such_field(records: dict[str, Record]) -> None:
    whole = records["none"].model_copy(update={"protected_classes": None})
    assert "protected_classes" not in json.loads(whole.to_json())


def test_targets_are_half_the_protected_classes_ahead(home: Home) -> None:
    """With two protected classes, each is the other's target: what a victim of its own would then be taught."""
    method = experiment().methods[-1].build()
    part = next(shards(OF_TWO, 50, torch.device("cpu")))
    assert torch.equal(targets(part, method.params.shift), 1 - part.y)  # type: ignore[attr-defined]


def test_the_number_of_protected_classes_decides_crafting_and_judging(tmp_path: Path) -> None:
    def keys(**changes: object) -> dict[str, set[str]]:
        spec = experiment(dataset={**DIGITS, **changes})
        plan = make_plan(spec, card(spec.dataset, tmp_path))
        return {kind: {one.key for one in plan.stages.values() if one.kind == kind} for kind in ("craft", "victim")}

    assert not keys(protected_classes=4)["craft"] & keys()["craft"]
    assert not keys(protected_classes=4)["craft"] & keys(protected_classes=5)["craft"]
    assert not keys(protected_classes=4)["victim"] & keys()["victim"]
    assert keys(protected_classes=10) == keys()


def test_all_classes_named_by_their_number_are_all_classes(tmp_path: Path) -> None:
    assert card(DatasetSpec.parse({**DIGITS, "protected_classes": 10}), tmp_path).protected_classes is None


def test_crafting_is_planned_and_counted_for_the_protected_images_alone(
    tmp_path: Path, records: dict[str, Record]
) -> None:
    spec = experiment()
    plan = plan_experiment(spec, Home(tmp_path).cards)
    sep = next(s for s in plan.stages.values() if isinstance(s.job, CraftJob) and s.job.method.name == "sep")
    assert sep.passes == pytest.approx(4 * plan.card.n_protected / 200)
    assert records["sep"].craft_passes == sep.passes
    assert plan.card.n_protected == int((load(spec.dataset).train.labels < 4).sum())


def test_what_victims_are_to_see_as_stored_is_what_is_protected(home: Home) -> None:
    """All of it: training without augmentation. Some classes: neither that nor training with it."""

    def curves(classes: int | None, defense: str, *, augment_protected: bool) -> list[list[float]]:
        recipe = {"name": "digits", "epochs": 2, "augment_protected": augment_protected}
        dataset = {**DIGITS, "protected_classes": classes}
        made = experiment(recipe=recipe, dataset=dataset, methods=["random-noise"], defenses=[defense])
        plan = plan_experiment(made, home.cards, lambda cell: cell.method.name == "random-noise")
        watcher = PlainProgress([], Clock([], lambda stage: 0.0), io.StringIO())
        place = Workplace(home, torch.device("cpu"), watcher, Stop())
        (record,) = run_plan(plan, Invocation(place)).records
        history = home.store.meta("victim", record.key)["history"]
        return [history["train_loss"], history["test_acc"]]

    without = curves(None, "no-augmentation", augment_protected=True)
    assert curves(None, "plain", augment_protected=False) == without
    some = curves(4, "plain", augment_protected=False)
    assert some not in (
        curves(4, "no-augmentation", augment_protected=True),
        curves(4, "plain", augment_protected=True),
    )


def test_a_fraction_is_of_the_protected_images() -> None:
    job = VictimJob("resnet8", Recipe.model_validate("digits"), Defenses.parse("plain"), 0, "a" * 64, 0.5)
    released = CLEAN.images.clone()
    released[OF_TWO.to_protect] = 7
    seen = seen_by_victim(job, OF_TWO, released).images
    assert int((seen.amax((1, 2, 3)) == 7).sum()) == 10


def test_more_protected_classes_than_there_are_is_refused(tmp_path: Path) -> None:
    spec = spec_of(pets(tmp_path), protected_classes=4)
    assert complaint(load, spec) == (
        "dataset.protected_classes asks for 4 classes of 'pets', which has 3: lower it or leave it out"
    )


def test_test_images_of_other_classes_are_not_to_be_asked_for(tmp_path: Path) -> None:
    spec = spec_of(pets(tmp_path), protected_classes=2, test_limit=4)
    asked = "dataset.test_limit asks of the test set of 'pets', classes 1 to 2, 4 images, but it has 3"
    assert complaint(load, spec) == f"{asked}: lower it or leave it out"


def test_a_limit_that_leaves_nothing_to_protect_is_refused(tmp_path: Path) -> None:
    names = [f"class-{number}" for number in range(4)]
    labels = [0, 1, 2, 2, 2, 3, 3, 3]
    train = write_parquet(tmp_path / "train.parquet", [encoded(x) for x in pixels(8)], labels, names)
    test = write_parquet(tmp_path / "test.parquet", [encoded(x) for x in pixels(4)], [0, 1, 2, 3], names)
    mapping = {"name": "pets", "format": "parquet", "train": str(train), "test": str(test)}
    assert complaint(load, spec_of(mapping, limit=2, protected_classes=2)) == (
        "none of the 2 training images of 'pets' is of the first 2 classes, which dataset.protected_classes asks for: "
        "raise dataset.limit"
    )


def test_one_protected_class_has_no_other_to_be_taken_for_and_is_refused() -> None:
    sentence = complaint(DatasetSpec.parse, {**DIGITS, "protected_classes": 1})
    assert sentence == "dataset.protected_classes: must be at least 2, not 1"
