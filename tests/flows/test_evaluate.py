"""What is planned for a protected set that somebody brought, and what is said of it before."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from bench.data.loading import load
from bench.data.spec import DatasetSpec
from bench.flows.evaluate import Evaluation, plan_evaluation
from bench.plan.stage import CraftJob
from bench.read.publish import publish
from bench.run.assignment import Assignment
from bench.run.executors.executor import Workplace
from bench.run.progress import Silence
from bench.run.recording import failed_record
from bench.run.stopping import Stop
from bench.store.home import Home
from tests.making.brought_sets import COUNT, LABELS, LAYOUTS, SIDE, clean_npz, noise, pixels, protected, write_folder
from tests.making.tiny_data import as_stored, complaint


def planned(folder: Path, layout: str = "npy uint8", path: Path | None = None, **options: Any) -> Evaluation:
    clean = options.pop("clean", None) or clean_npz(folder)
    where = path or LAYOUTS[layout](folder)
    return plan_evaluation(where, clean, home=Home(folder / "home"), device=torch.device("cpu"), **options)


def name_of(evaluation: Evaluation) -> str:
    return evaluation.plan.experiment.methods[-1].known_as


def craft_key(evaluation: Evaluation) -> str:
    (key,) = (
        key
        for key, stage in evaluation.plan.stages.items()
        if isinstance(stage.job, CraftJob) and stage.job.method.name == "brought"
    )
    return key


def test_keys_depend_on_the_content_and_on_no_path_layout_or_name(tmp_path: Path) -> None:
    keys = {
        craft_key(planned(tmp_path, layout, name=name))
        for layout, name in (("npy uint8", "tue"), ("pt half", "tue"), ("npy int64", "another"), ("folder", None))
    }
    assert len(keys) == 1
    other = protected()
    other[0, 0, 0, 0] ^= 1
    np.save(tmp_path / "other.npy", other)
    assert craft_key(planned(tmp_path, path=tmp_path / "other.npy")) not in keys


def test_protected_copies_of_images_that_are_held_out_are_dropped(tmp_path: Path) -> None:
    evaluation = planned(tmp_path)
    splits = load(evaluation.plan.experiment.dataset)
    assert (len(splits.train), len(splits.test)) == (9, 3)
    clean, own = as_stored(splits.train), as_stored(evaluation.images)
    row_of = {pixels()[row].tobytes(): row for row in range(COUNT)}
    rows = [row_of[image.tobytes()] for image in clean]
    assert np.array_equal(own, protected()[rows])
    held_out = [row_of[image.tobytes()] for image in as_stored(splits.test)]
    assert sorted(rows + held_out) == list(range(COUNT))
    assert evaluation.images.labels.tolist() == LABELS[rows].tolist()


def test_test_images_of_ones_own_leave_all_training_images_to_train_on(tmp_path: Path) -> None:
    np.savez(tmp_path / "test.npz", images=255 - pixels(), labels=LABELS)
    evaluation = planned(tmp_path, test=tmp_path / "test.npz")
    assert len(evaluation.images) == COUNT
    assert evaluation.plan.card.n_test == COUNT


def test_a_data_set_with_test_images_takes_no_others(tmp_path: Path) -> None:
    sentence = complaint(planned, tmp_path, clean=DatasetSpec.parse("digits"), test=tmp_path)
    assert sentence.endswith("'digits' has test images of its own: leave --test out")


def test_by_default_plain_two_cheap_defenses_and_clean_images_among_protected_ones_of_plain_victims(
    tmp_path: Path,
) -> None:
    evaluation = planned(tmp_path, name="tue")
    cells = [
        (one.cell.method.known_as, one.cell.victim, str(one.cell.defense), one.cell.protected_fraction)
        for one in evaluation.plan.cells
    ]
    assert cells == [
        ("none", "resnet8", "plain", 1.0),
        ("none", "resnet8", "grayscale", 1.0),
        ("none", "resnet8", "jpeg-10", 1.0),
        ("tue", "resnet8", "plain", 1.0),
        ("tue", "resnet8", "plain", 0.9),
        ("tue", "resnet8", "grayscale", 1.0),
        ("tue", "resnet8", "jpeg-10", 1.0),
    ]


def test_a_name_that_is_given_or_that_of_the_file_is_what_records_will_say(tmp_path: Path) -> None:
    assert name_of(planned(tmp_path, name="em-2021")) == "em-2021"
    assert name_of(planned(tmp_path)) == "brought"
    np.save(tmp_path / "sep.npy", protected())
    assert name_of(planned(tmp_path, path=tmp_path / "sep.npy")) == "sep-brought"
    np.save(tmp_path / "my set (2).npy", protected())
    found = planned(tmp_path, path=tmp_path / "my set (2).npy")
    assert name_of(found) == "my-set-2"
    assert re.fullmatch("evaluate-my-set-2-on-pets-[0-9a-f]{8}", found.plan.experiment.name)
    np.save(tmp_path / f"{'a' * 200}.npy", protected())
    assert name_of(planned(tmp_path, path=tmp_path / f"{'a' * 200}.npy")) == "a" * 100


def test_only_what_may_stand_in_one_table_is_of_one_experiment(tmp_path: Path) -> None:
    def name(**options: Any) -> str:
        return planned(tmp_path, **{"name": "tue", "recipe": "digits", **options}).plan.experiment.name

    first = name()
    assert name(layout="pt half", victims=["vgg7"], seeds=[1], defenses=["plain"]) == first
    np.save(tmp_path / "other.npy", (pixels() + noise(size=7)).astype(np.uint8))
    other = clean_npz(tmp_path, name="cats")
    others: list[dict[str, Any]] = [
        {"path": tmp_path / "other.npy"},
        {"budget": "linf-12"},
        {"recipe": "fast"},
        {"clean": other},
    ]
    assert len({first, *(name(**options) for options in others)}) == 5
    clean_npz(tmp_path)
    np.savez(tmp_path / "test.npz", images=255 - pixels(), labels=LABELS)
    assert name(test=tmp_path / "test.npz") != first


def test_results_stay_when_others_of_the_same_name_join_them(tmp_path: Path) -> None:
    kept: set[str] = set()
    for options in ({}, {"seeds": [1]}, {"victims": ["vgg7"]}, {"budget": "linf-16"}, {"clean": "cats"}):
        clean = clean_npz(tmp_path, name=options.pop("clean", "pets"))
        plan = planned(tmp_path, name="tue", clean=clean, defenses=["plain"], **options).plan
        made = [failed_record(plan, one, "for a test", torch.device("cpu")) for one in plan.cells]
        publish(plan, made, tmp_path / "results", plan)
        kept |= {f"{plan.experiment.name}/{one.key}.json" for one in made}
        folder = tmp_path / "results" / "records"
        assert {path.relative_to(folder).as_posix() for path in folder.rglob("*.json")} == kept
    assert len(kept) == 15
    assert len(list((tmp_path / "results" / "tables").glob("*.md"))) == 3


def test_the_same_bytes_of_files_that_spent_more_elsewhere_have_an_audit_of_their_own(tmp_path: Path) -> None:
    first = planned(tmp_path, budget="unbounded")
    held_out = next(
        row for row, one in enumerate(protected()) if not (as_stored(first.images) == one).all((1, 2, 3)).any()
    )
    other = protected()
    other[held_out] = 255 - other[held_out]
    np.save(tmp_path / "other.npy", other)
    second = planned(tmp_path, path=tmp_path / "other.npy", budget="unbounded")
    assert second.images.sha256 == first.images.sha256
    assert craft_key(second) != craft_key(first)
    (spent,) = (one.cell.method.params.spent for one in second.plan.cells[-1:])
    assert spent == second.brought.spent.most()
    assert spent["linf_levels"] > 8


@pytest.mark.parametrize(
    ("given", "planned_for"),
    [(["jpeg-10"], ["plain", "jpeg-10"]), (["jpeg-10", "plain"], ["jpeg-10", "plain"]), (["plain"], ["plain"])],
)
def test_plain_victims_are_always_trained(given: list[str], planned_for: list[str], tmp_path: Path) -> None:
    cells = planned(tmp_path, defenses=given).plan.cells
    assert list(dict.fromkeys(str(one.cell.defense) for one in cells)) == planned_for


@pytest.mark.parametrize("width", [-3, 0, 1025, 100_000])
def test_a_size_that_no_data_set_can_have_is_not_believed(width: int, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "brought", protected())
    (folder / "manifest.json").write_text(f'{{"crafted_at": {{"width": {width}}}, "fit": "squeeze"}}')
    assert complaint(planned, tmp_path, path=folder) == (
        f"{folder}/manifest.json says that the images were made at {width} pixels, and data sets have from 1 to 1024: "
        f"give the right size with --set dataset.resize=SIDE"
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "sep"}, "--name sep is a method of sepbench, whose results these are not: give the set another name"),
        ({"name": "SEP"}, "--name SEP is a method of sepbench"),
        ({"name": "None"}, "--name None is a method of sepbench"),
        ({"name": "a" * 101}, "--name aaaaaaaaaaaaaaaaaaaa… has 101 characters, too many for names of files"),
        ({"name": "../x"}, "--name '../x' cannot name files"),
        (
            {"budget": "linf-4"},
            "'images' of brought.npz leaves the budget linf-4: 12 of its 12 images do, one by 8 levels",
        ),
        ({"budget": "l3-4"}, "'l3-4' is not a budget"),
        ({"victims": ["resnet9"]}, "unknown architecture 'resnet9': did you mean"),
        ({"victims": [1]}, "victims: must be names of architectures, such as resnet8, not 1"),
        ({"victims": [None]}, "victims: must be names of architectures, such as resnet8, not nothing"),
        ({"victims": [["a"]]}, "victims: must be names of architectures, such as resnet8, not ['a']"),
        ({"victims": [{"resnet8": 3}]}, "victims: must be names of architectures, such as resnet8, not {'resnet8': 3}"),
        ({"defenses": ["jpg-10"]}, "defenses: unknown defense 'jpg-10'"),
        ({"seeds": []}, "seeds: must not be empty"),
        ({"recipe": "slow"}, "recipe: unknown recipe 'slow'"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(options: dict[str, Any], said: str, tmp_path: Path) -> None:
    assert said in complaint(planned, tmp_path, "npz images and labels", **options)
    assert not (tmp_path / "home").exists()


def test_a_budget_that_is_given_is_the_track(tmp_path: Path) -> None:
    evaluation = planned(tmp_path, budget="linf-12")
    assert {str(one.cell.budget) for one in evaluation.plan.cells if one.cell.budget} == {"linf-12"}
    assert "track         linf-12, which every image keeps" in evaluation.report()


def test_the_report_tells_all_that_is_known_before_training(tmp_path: Path) -> None:
    clean = np.full((COUNT, SIDE, SIDE, 3), 100, np.uint8)
    clean += (np.arange(COUNT) * 10).astype(np.uint8)[:, None, None, None]
    added = np.full((COUNT, 3, SIDE, SIDE), 4.25 / 255, np.float32)
    added[:3] = 0
    np.save(tmp_path / "noise.npy", added)
    evaluation = planned(tmp_path, path=tmp_path / "noise.npy", clean=clean_npz(tmp_path, clean))
    l2 = np.sqrt(SIDE * SIDE * 3) * 4 / 255
    kept = sum(position >= 3 for position in evaluation.positions)
    assert 9 > kept > 0
    assert evaluation.report().splitlines() == [
        "noise.npy, a protected set of pets",
        "  read          as 12 perturbations, 3x8x8, from noise.npy",
        "                float32 was taken for what was added to the images: floats from 0 to 0.01667: too dark for "
        "images, so perturbations in units of 1",
        "  pairing       12 of 12 clean images, by the order of the training images, which is all perturbations tell",
        "  labels        none in the file: those of the clean images",
        "  protected     9 of 12 images differ from their clean ones; 3 were brought unchanged",
        f"                {kept} of the 9 images that are trained on are protected ({100 * kept / 9:.1f} %); the other "
        f"{9 - kept} are clean",
        "  bytes         values rounded to the nearest of 256 levels, off by 0.19 on average and 0.25 at most",
        f"  spent         linf 3.0 on average, 4 levels at most; l2 {0.75 * l2:.2f} on average, {l2:.2f} at most; "
        "l0 48.0 on average, 64 pixels at most",
        "  beyond 8/255  0 of 12 images (0.0 %)",
        "  track         linf-4, the smallest usual linf budget that every image keeps",
        f"  digest        {evaluation.images.sha256[:16]}… of the images that are trained on",
    ]


def test_a_subset_is_told_as_the_fraction_that_is_protected(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "brought", protected())
    for path in sorted(folder.rglob("*.png"))[:3]:
        path.unlink()
    np.savez(tmp_path / "test.npz", images=255 - pixels(), labels=LABELS)
    evaluation = planned(tmp_path, path=folder, clean=clean_npz(tmp_path), test=tmp_path / "test.npz")
    told = "9 of the 12 images that are trained on are protected (75.0 %); the other 3 are clean"
    assert told in evaluation.report()


def test_what_was_spent_beyond_8_levels_is_counted(tmp_path: Path) -> None:
    np.save(tmp_path / "noise.npy", noise(size=9).astype(np.int8))
    report = planned(tmp_path, path=tmp_path / "noise.npy").report()
    assert "beyond 8/255  12 of 12 images (100.0 %)" in report
    assert "track         linf-16" in report


def test_planning_writes_no_images(tmp_path: Path) -> None:
    planned(tmp_path)
    assert not (tmp_path / "home" / "store").exists()


def test_pictures_of_several_sizes_that_protect_made_are_seen_at_the_size_they_were_made_for(tmp_path: Path) -> None:
    for folder, offset in (("clean", 0), ("brought", 5)):
        for row, size in enumerate((20, 24) * 6):
            image = np.random.default_rng(row).integers(0, 200, (size, size, 3), dtype=np.uint8) + np.uint8(offset)
            path = tmp_path / folder / ("cat", "dog")[row // 6] / f"{row}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    (tmp_path / "brought" / "manifest.json").write_text('{"crafted_at": {"width": 16, "height": 16}, "fit": "squeeze"}')
    clean = DatasetSpec.parse({"name": "pets", "format": "imagefolder", "train": str(tmp_path / "clean")})
    evaluation = planned(tmp_path, path=tmp_path / "brought", clean=clean)
    assert evaluation.images.images.shape[2:] == (16, 16)
    assert evaluation.plan.experiment.dataset.fit == "squeeze"
    assert "linf 5.0 on average, 5 levels at most" in evaluation.report()
    assert "at the size of the files; networks see 16x16" in evaluation.report()


def test_processes_that_help_are_told_the_images_and_what_they_are_called(tmp_path: Path) -> None:
    plan = planned(tmp_path, name="tue").plan
    home = Home(tmp_path / "home")
    place = Workplace(home, torch.device("cpu"), Silence(), Stop(None))
    again = Assignment.model_validate_json(Assignment.of(plan, place, place.device).model_dump_json()).plan(home)
    assert [one.victim for one in again.cells] == [one.victim for one in plan.cells]
    assert [one.cell.fields() for one in again.cells] == [one.cell.fields() for one in plan.cells]
