"""A folder of pictures is read as its data set has it, and what cannot be protected is named beforehand."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.data.loading import load
from bench.data.originals import open_originals
from tests.making.pictures import file_of, photo, put
from tests.making.tiny_data import complaint


def test_pictures_stand_in_the_order_in_which_the_data_set_lists_them(pets: Path) -> None:
    originals = open_originals(pets)
    assert originals.format == "imagefolder"
    assert originals.names == ("cat/1.png", "cat/deep/2.jpg", "cat/grey.png", "dog/1.webp", "dog/2.png")
    assert originals.classes == ("cat", "dog")
    assert originals.labels.tolist() == [0, 0, 0, 1, 1]
    splits = load(originals.spec(resize=8, holdout=0.5, fit="squeeze"))
    both = np.concatenate([splits.train.images.numpy(), splits.test.images.numpy()])
    seen = [Image.fromarray(originals.picture(i).rgb).resize((8, 8), Image.Resampling.BICUBIC) for i in range(5)]
    assert {image.tobytes() for image in both.transpose(0, 2, 3, 1)} == {np.asarray(one).tobytes() for one in seen}


def test_what_was_passed_over_is_said(pets: Path) -> None:
    (remark,) = open_originals(pets).remarks
    assert remark.startswith("passed over 2 files that are no images")


def test_a_picture_has_the_digest_of_its_file(pets: Path) -> None:
    originals = open_originals(pets)
    assert originals.picture(1).sha256 == hashlib.sha256((pets / "cat/deep/2.jpg").read_bytes()).hexdigest()


def test_a_survey_tells_sizes_alpha_and_what_is_not_written(pets: Path) -> None:
    put(pets, {"cat/7.jpg": file_of(photo(5, 6), "JPEG", exif=_exif(), comment=b"home")})
    told: list[int] = []
    survey = open_originals(pets).survey(told.append)
    assert survey.sizes.tolist() == [[12, 9], [5, 6], [20, 14], [8, 8], [9, 9], [30, 10]]
    assert survey.digests[3] == hashlib.sha256((pets / "cat/grey.png").read_bytes()).hexdigest()
    assert survey.transparent == (4,)
    assert survey.remarks == (
        "metadata is not written to protected pictures (EXIF of 1, text of 1), colour profiles are",
    )
    assert told == [1, 2, 3, 4, 5, 6]


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x010E] = "mine"
    return exif


def test_a_corrupt_picture_is_named(pets: Path) -> None:
    put(pets, {"dog/0.png": b"\x89PNG\r\n\x1a\nbroken"})
    message = complaint(open_originals(pets).survey)
    assert message.startswith(f"{pets}/dog/0.png ")


def test_of_several_that_cannot_be_protected_all_are_named_and_the_others_are_counted(pets: Path) -> None:
    still = Image.fromarray(photo(4, 4))
    moving = file_of(still, "GIF", save_all=True, append_images=[Image.fromarray(photo(4, 4, seed=1))])
    cmyk = file_of(still.convert("CMYK"), "JPEG")
    put(pets, {"cat/a.gif": moving, "cat/b.gif": moving, "dog/c.jpg": cmyk, "dog/d.png": b""})
    assert complaint(open_originals(pets).survey) == (
        f"{pets}/cat/a.gif is animated (2 frames), and 3 more cannot be protected as they are (1 of several frames, "
        f"1 in CMYK, 1 cannot be decoded): cat/b.gif, dog/c.jpg and dog/d.png; repair them, convert them to 8-bit "
        f"RGB or grey, such as PNG, or move them elsewhere"
    )


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"readme.md": b""}, "has no subfolders"),
        ({"cat/1.txt": b""}, "holds no image"),
    ],
)
def test_a_folder_without_classes_of_pictures_is_refused(tmp_path: Path, files: dict[str, bytes], reason: str) -> None:
    assert reason in complaint(open_originals, put(tmp_path / "pets", files))


def test_a_path_that_leads_nowhere_and_a_file_of_another_kind_are_refused(tmp_path: Path) -> None:
    assert complaint(open_originals, tmp_path / "no") == f"{tmp_path}/no is not there: correct the path"
    file = tmp_path / "a.zip"
    file.write_bytes(b"PK")
    assert complaint(open_originals, file).startswith(f"{file} is no set of pictures: give a folder")


def test_classes_in_two_forms_of_unicode_have_one_name(tmp_path: Path) -> None:
    put(tmp_path / "in", {"cafe\u0301/1.png": file_of(photo(4, 4)), "bar/1.png": file_of(photo(4, 4, seed=1))})
    originals = open_originals(tmp_path / "in")
    assert originals.classes == ("bar", "caf\u00e9")
    assert originals.names == ("bar/1.png", "cafe\u0301/1.png")
