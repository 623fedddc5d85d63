"""What cannot be protected, or not in this way, is refused with the reason before anything is trained."""

from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import SepbenchError
from bench.flows.announcement import announcement
from bench.flows.does_it_hold import not_checkable
from tests.making.pictures import file_of, photo, put
from tests.making.protections import carried_out, pets, planned


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pets(tmp_path_factory.mktemp("pets") / "images", each=2)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"method": "none"}, "method 'none' takes no budget and protects nothing: see sepbench ls methods for others"),
        ({"method": "radom-noise"}, "unknown method 'radom-noise': did you mean random-noise"),
        ({"method": {"sep": {"stpes": 3}}}, "method sep.stpes: there is no such field; did you mean steps or "),
        ({"method": {"sep": 3}}, "method sep: parameters are a mapping, such as {steps: 10}, not 3"),
        (
            {"method": {"sep": {"placement": "improving", "checkpoints": 1}}},
            "method 'sep': placement improving looks at test images, and there are none: choose equidistant, first or "
            "last",
        ),
        ({"budget": "l0-3"}, "budget l0-3: method 'sep' keeps budgets of norm linf or l2, no others"),
        ({"budget": "linf-0"}, "budget linf-0 lets nothing change: give a positive one"),
        ({"budget": "8"}, "'8' is not a budget: write linf-LEVELS, such as linf-8"),
        ({"recipe": "sep2023"}, "recipe: unknown recipe 'sep2023': did you mean sep-2023"),
        ({"surrogate": "resnet9"}, "unknown architecture 'resnet9': did you mean resnet8"),
        ({"method": {"sep": {"checkpoints": 3}}}, "method sep: 3 checkpoints were asked of a surrogate that is "),
    ],
)
def test_a_wrong_request_is_refused(images: Path, tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SepbenchError) as refused:
        planned(images, tmp_path / "home", **changes)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_pictures_of_one_class_are_refused(tmp_path: Path) -> None:
    put(tmp_path / "images", {f"cat/{number}.png": file_of(photo(16, 16, seed=number)) for number in range(3)})
    with pytest.raises(SepbenchError, match=r"all 3 pictures of .* are of one class, 'cat': a protection hides what"):
        planned(tmp_path / "images", tmp_path / "home")


@pytest.mark.parametrize(
    ("sizes", "changes"), [(((16, 16), (16, 20)), {}), (((70, 70), (70, 70)), {}), (((16, 16), (16, 16)), {"size": 12})]
)
def test_a_budget_that_counts_pixels_needs_them_as_they_are(
    tmp_path: Path, sizes: tuple[tuple[int, int], ...], changes: dict[str, Any]
) -> None:
    files = {f"{name}/{n}.png": file_of(photo(*size, seed=n)) for name in ("a", "b") for n, size in enumerate(sizes)}
    put(tmp_path / "images", files)
    with pytest.raises(SepbenchError) as refused:
        planned(tmp_path / "images", tmp_path / "home", method="ops", budget="l0-1", **changes)
    side = {16: 12 if changes else 16, 70: 64}[sizes[0][0]]
    assert str(refused.value) == (
        f"budget l0-1 counts pixels, so pictures have to be crafted at their own size, and for these it would be "
        f"{side}x{side}: give pictures of one size, with sides of at most 64 pixels and no other size asked for, or a "
        f"method and a budget of norm linf or l2"
    )


@pytest.mark.parametrize(
    ("budget", "meaning"), [("l0-1", "at most 1 pixel of a picture changes"), ("l0-2", "at most 2 pixels of a picture")]
)
def test_pixels_are_counted_in_words(images: Path, tmp_path: Path, budget: str, meaning: str) -> None:
    assert f"{budget}, {meaning}" in announcement(
        planned(images, tmp_path / "home", method="random-noise", budget=budget)
    )


@pytest.mark.parametrize(
    ("alone", "sentence"),
    [
        ("o", "class 'o' has a single picture, and none to hold out"),
        ("op", "class 'o' and 1 more have a single picture each, and none to hold out"),
    ],
)
def test_classes_of_one_picture_are_told(tmp_path: Path, alone: str, sentence: str) -> None:
    put(pets(tmp_path / "images", each=2), {f"{name}/0.png": file_of(photo(16, 16)) for name in alone})
    told = not_checkable(planned(tmp_path / "images", tmp_path / "home"))
    assert told == f"whether it holds is not checked: {sentence}"


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    put(pets(tmp_path / "images"), {"dog/broken.jpg": file_of(photo(16, 16), "JPEG")[:60]})
    with pytest.raises(SepbenchError, match=r"dog/broken\.jpg cannot be decoded"):
        planned(tmp_path / "images", tmp_path / "home")


def test_an_output_folder_with_anything_in_it_is_refused_before_anything_is_trained(
    images: Path, tmp_path: Path
) -> None:
    put(tmp_path / "out", {"mine.txt": b"mine"})
    protection = planned(images, tmp_path / "home")
    with pytest.raises(SepbenchError, match=r"out is not empty, it has mine\.txt"):
        carried_out(protection, tmp_path / "out")
    assert not (tmp_path / "home" / "store").exists()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_the_folder_of_the_originals_is_no_output_folder(images: Path, tmp_path: Path) -> None:
    with pytest.raises(SepbenchError, match="which are never touched"):
        carried_out(planned(images, tmp_path / "home"), images / "cat" / "protected")
