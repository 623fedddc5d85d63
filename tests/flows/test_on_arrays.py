"""Protecting and judging what is held in memory, on few tiny images and for few epochs."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bench
from bench.contracts.plugin_files import attach
from bench.flows import on_arrays
from bench.flows.arguments import as_texts, as_wholes
from bench.store.home import Home
from tests.making.plugin_sources import GOOD, defense, method, write_plugin
from tests.making.tiny_data import complaint

RECIPE = {"name": "digits", "epochs": 2}
METHOD = {"sep": {"checkpoints": 2, "steps": 2, "step_size": 8}}
LABELS = [0, 1] * 10


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, where nobody has said where to keep anything, not even for a while."""
    (tmp_path / "work").mkdir()
    (tmp_path / "temporary").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.delenv("SEPBENCH_HOME", raising=False)
    return tmp_path


def pictures(*shape: int) -> np.ndarray:
    """Return bytes of two classes, a dark and a bright one."""
    drawn = np.random.default_rng(0).integers(0, 100, (len(LABELS), *shape))
    drawn[1::2] += 120
    return drawn.astype(np.uint8)


def protect(images: Any, **options: Any) -> Any:
    return bench.protect(
        images, LABELS, method=METHOD, budget="linf-16", recipe=RECIPE, surrogate="resnet8", devices="cpu", **options
    )


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


COLOURED = pictures(16, 16, 3)
MOVED = np.where(COLOURED < 128, COLOURED + 16, COLOURED - 16).astype(np.uint8)


@pytest.mark.slow
def test_whatever_holds_the_same_images_gets_the_same_protection(nowhere: Path) -> None:
    home = nowhere / "home"  # crafted once: the same images are the same work
    bytes_ = protect(COLOURED, home=home, progress=False)
    change = np.abs(bytes_.astype(int) - COLOURED)
    assert bytes_.dtype == np.uint8
    assert 8 < change.max() <= 16
    first = COLOURED.transpose(0, 3, 1, 2)
    forms: list[tuple[Any, Any]] = [
        (first, bytes_.transpose(0, 3, 1, 2)),
        ((COLOURED / 255).astype(np.float32), (bytes_ / 255).astype(np.float32)),
        (torch.from_numpy(first / 255), torch.from_numpy(bytes_.transpose(0, 3, 1, 2) / 255)),
    ]
    for images, expected in forms:
        got = protect(images, home=home, progress=False)
        assert type(got) is type(images)
        assert got.dtype == images.dtype
        assert got.shape == images.shape
        assert (got == expected).all()
    assert len(list((home / "store" / "craft").glob("*/*"))) == 1


@pytest.mark.slow
def test_grey_stays_grey_and_within_the_budget_and_no_file_is_left(
    nowhere: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    images = pictures(16, 16)
    protected = protect(images)
    assert protected.shape == images.shape
    assert 8 < np.abs(protected.astype(int) - images).max() <= 16
    assert files(nowhere) == []
    told = capfd.readouterr()
    assert told.out == ""
    assert "budget" in told.err
    assert str(nowhere) not in told.err, "nobody can look into a folder that is gone"


@pytest.mark.slow
def test_a_protection_is_judged_and_says_what_was_spent(nowhere: Path) -> None:
    judged = bench.evaluate(
        MOVED,
        torch.from_numpy(COLOURED / 255).permute(0, 3, 1, 2),
        LABELS,
        test=(pictures(16, 16, 3), LABELS),
        name="mine",
        recipe="digits",
        defenses=["plain"],
        devices="cpu",
        progress=False,
    )
    assert judged.verdict is not None
    assert judged.verdict.question == "Does mine within linf-16 hold on images?"
    assert "linf 16.0 on average, 16 levels at most" in judged.report
    assert judged.records.groupby("method").size().to_dict() == {"mine": 2, "none": 1}
    assert files(nowhere) == []


@pytest.mark.parametrize(
    ("images", "labels", "options", "said"),
    [
        (COLOURED.astype(float), LABELS, {}, "images has values from 0 to 219: floats must lie in [0, 1]"),
        (COLOURED, LABELS[:3], {}, "labels has 3 labels for 20 images: give one for each"),
        (COLOURED, [0] * 20, {}, "all 20 pictures of images are of one class"),
        (COLOURED, LABELS, {"method": "spe"}, "unknown method 'spe'"),
        (COLOURED, LABELS, {"budget": "linf"}, "'linf' is not a budget: write linf-LEVELS, such as linf-8"),
        (
            COLOURED,
            LABELS,
            {"method": {"sep": {"step": 3}}},
            "method sep.step: there is no such field; did you mean steps",
        ),
        (COLOURED, LABELS, {"devices": "tpu"}, "devices=tpu"),
        (COLOURED, LABELS, {"budget": 8}, "budget=8: give how far an image may change, such as 'linf-8'"),
        (COLOURED, LABELS, {"budget": None}, "budget=None: give how far an image may change"),
        (COLOURED, LABELS, {"method": 3}, "method=3: give its name, or a mapping of the name to its parameters"),
        (COLOURED, LABELS, {"method": ["sep"]}, "method=['sep']: give its name"),
        (COLOURED, LABELS, {"recipe": 3}, "recipe=3: give a recipe's name or a mapping of its fields, or None"),
        (COLOURED, LABELS, {"surrogate": 3}, "surrogate=3: give its name, or None"),
        (COLOURED, LABELS, {"size": 0}, "size=0: give 8 pixels or more, or None"),
        (COLOURED, LABELS, {"seed": "a"}, "seed='a': give a whole number from 0 up"),
        (COLOURED, LABELS, {"seed": -1}, "seed=-1: give a whole number from 0 up"),
    ],
)
def test_what_cannot_be_protected_is_one_sentence_without_our_files(
    images: Any, labels: Any, options: dict[str, Any], said: str, nowhere: Path
) -> None:
    sentence = complaint(bench.protect, images, labels, progress=False, **options)
    assert said in sentence
    assert str(nowhere) not in sentence
    assert files(nowhere) == []


@pytest.mark.parametrize(
    ("protected", "options", "said"),
    [
        (COLOURED[:5], {}, "protected is of shape (5, 16, 16, 3) and clean of (20, 16, 16, 3)"),
        (COLOURED / 255 - 0.5, {}, "protected has values from"),
        (COLOURED, {}, "protected.npz holds the clean images of images as they are: give the protected ones"),
        (255 - COLOURED, {"name": "sep"}, "sep is a method of sepbench"),
        (255 - COLOURED, {"test": (COLOURED[:3], [0])}, "test labels has 1 labels for 3 images"),
        (255 - COLOURED, {"victims": ["resnet9"]}, "unknown architecture 'resnet9'"),
        (
            MOVED,
            {"budget": "linf-8"},
            "leaves the budget linf-8: 20 of its 20 images do, one by 16 levels; leave budget out",
        ),
        (MOVED, {"budget": 8}, "budget=8: give its name, or None"),
        (MOVED, {"name": 3}, "name=3: give what records are to call the method"),
        (MOVED, {"name": "a b/c"}, "name='a b/c' cannot name files"),
        (MOVED, {"victims": "resnet9"}, "unknown architecture 'resnet9'"),
        (MOVED, {"victims": [9]}, "victims=[9]: give a name, or a list of names"),
        (MOVED, {"defenses": 9}, "defenses=9: give a name, or a list of names"),
        (MOVED, {"seeds": "a"}, "seeds='a': give a whole number from 0 up, or a list of them"),
        (MOVED, {"seeds": []}, "seeds=[]: give a whole number from 0 up, or a list of them"),
        (MOVED, {"recipe": 3}, "recipe=3: give a recipe's name or a mapping of its fields, or None"),
        (MOVED, {"holdout": 2}, "holdout=2: give a share between 0 and 1, such as 0.2"),
        (MOVED, {"jobs": 0}, "jobs=0: give one or more processes"),
        (MOVED, {"time_limit": 9}, "time_limit=9: give a duration"),
        (MOVED, {"test": COLOURED}, "test is no pair: give (images, labels)"),
    ],
)
def test_what_cannot_be_judged_is_one_sentence_without_our_files(
    protected: Any, options: dict[str, Any], said: str, nowhere: Path
) -> None:
    sentence = complaint(bench.evaluate, protected, COLOURED, LABELS, progress=False, devices="cpu", **options)
    assert said in sentence
    assert str(nowhere) not in sentence
    assert files(nowhere) == []


def test_what_fails_is_said_without_a_folder_that_is_gone(nowhere: Path) -> None:
    never = {"em": {"rounds": 1, "batches": 1, "stop_error": 0, "step_fraction": 1e-6}}
    options: dict[str, Any] = {"recipe": RECIPE, "surrogate": "resnet8", "devices": "cpu", "progress": False}
    said = complaint(bench.protect, COLOURED, LABELS, method=never, **options)
    assert said.startswith("craft em linf-8 failed: em: after 1 round its network mistakes ")
    assert said.endswith("and it begins anew; home=FOLDER keeps its traceback")
    kept = complaint(bench.protect, COLOURED, LABELS, method=never, home=nowhere / "home", **options)
    (traceback,) = (nowhere / "home" / "logs").glob("craft-*.log")
    assert kept.endswith(f"; its traceback is in {traceback}")
    assert "Traceback (most recent call last)" in traceback.read_text()


def test_one_name_or_number_stands_for_a_list_of_it() -> None:
    assert as_texts("victims", "resnet8", "names") == ("resnet8",)
    assert as_texts("victims", ["resnet8", "vit"], "names") == ("resnet8", "vit")
    assert as_wholes("seeds", 0, "numbers") == as_wholes("seeds", np.int64(0), "numbers") == (0,)
    assert as_wholes("seeds", np.arange(2), "numbers") == as_wholes("seeds", range(2), "numbers") == (0, 1)


def warned(call: Callable[[], Any]) -> list[str]:
    """Return what a call warns of, each at a line of this file."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        call()
    told = [one for one in caught if issubclass(one.category, UserWarning)]
    assert {one.filename for one in told} <= {__file__}
    return [str(one.message) for one in told]


ANOTHER = (
    "the source of the {} mine (mine.py) has changed since {} made, and its version has not: what is there is used as "
    "it is; raise the version"
)


def test_a_protection_of_a_changed_source_is_warned_of(nowhere: Path, plugins_as_before: None) -> None:
    def protected() -> Any:
        return bench.protect(
            COLOURED, LABELS, method="mine", recipe=RECIPE, devices="cpu", home=nowhere / "home", progress=False
        )

    attach([write_plugin(GOOD)])
    assert warned(protected) == []
    attach([write_plugin(GOOD.replace("+ budget.radius", "- budget.radius"))])
    assert warned(protected) == [ANOTHER.format("method", "1 protected set was")]


def test_a_protection_in_doubt_is_warned_of(nowhere: Path, plugins_as_before: None) -> None:
    noise = "return budget.project(data.x, data.x + budget.radius * torch.randn(data.x.shape).sign())"
    attach([write_plugin(method(noise))])
    (sentence,) = warned(
        lambda: bench.protect(COLOURED, LABELS, method="mine", recipe=RECIPE, devices="cpu", progress=False)
    )
    assert sentence.startswith("the method 'mine' is not deterministic: ")


@pytest.mark.slow
def test_an_evaluation_by_a_changed_defense_is_warned_of(nowhere: Path, plugins_as_before: None) -> None:
    def judged() -> Any:
        return bench.evaluate(
            MOVED,
            COLOURED,
            LABELS,
            test=(COLOURED, LABELS),
            recipe="digits",
            victims="resnet8",
            defenses="mine",
            seeds=0,
            devices="cpu",
            home=nowhere / "home",
            progress=False,
        )

    attach([write_plugin(defense("short = None"))])
    assert warned(judged) == []
    attach([write_plugin(defense("short = None") + "# a remark\n")])
    assert warned(judged) == [ANOTHER.format("defense", "2 victims were")]


def test_an_archive_is_written_once_however_often_it_is_asked_for(tmp_path: Path) -> None:
    home = Home(tmp_path)
    labels = np.array(LABELS)
    first = on_arrays._archive(home, "images", COLOURED, labels)
    before = first.stat()
    assert on_arrays._archive(home, "images", COLOURED, labels) == first
    assert first.stat().st_ino == before.st_ino
    assert on_arrays._archive(home, "images", COLOURED, 1 - labels) != first
