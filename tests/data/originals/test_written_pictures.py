"""Protected pictures come out whole and without loss, under the names of their originals."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bench.data.originals import open_originals
from bench.data.originals.class_folders import written_names
from tests.making.pictures import changed, claimed, file_of, photo, protect, put, tree
from tests.making.tiny_data import complaint


def test_pictures_are_written_without_loss_under_the_same_names(pets: Path, tmp_path: Path) -> None:
    originals = open_originals(pets)
    before = tree(pets)
    protect(originals, tmp_path / "out", protection="a key")
    assert tree(pets) == before
    assert [*tree(tmp_path / "out")] == ["cat/1.png", "cat/deep/2.png", "cat/grey.png", "dog/1.png", "dog/2.png"]
    again = open_originals(tmp_path / "out")
    assert again.classes == originals.classes
    for index in range(len(originals)):
        was, is_now = originals.picture(index), again.picture(index)
        np.testing.assert_array_equal(is_now.rgb, changed(was.rgb))
        assert (is_now.alpha is None) == (was.alpha is None)
        assert is_now.grey == was.grey


def test_a_manifest_has_both_digests_and_what_was_measured(pets: Path, tmp_path: Path) -> None:
    originals = open_originals(pets)
    writer = claimed(
        originals, tmp_path / "out", measure=lambda before, after: {"mean": float((after - before).mean())}
    )
    picture = originals.picture(1)
    written = writer.write(1, picture, picture.rgb)
    data = (tmp_path / "out/cat/deep/2.png").read_bytes()
    assert written.to_dict() == {
        "name": "cat/deep/2.jpg",
        "file": "cat/deep/2.png",
        "sha256_in": picture.sha256,
        "sha256_out": hashlib.sha256(data).hexdigest(),
        "mean": 0.0,
    }


def test_what_jpeg_changes_beside_the_protection_is_measured_on_decoded_pixels(pets: Path, tmp_path: Path) -> None:
    (pets / "dog/1.webp").unlink()
    originals = open_originals(pets)
    writer = claimed(originals, tmp_path / "out", "jpeg", quality=60)
    assert writer.files[1] == "cat/deep/2.jpg"
    picture = originals.picture(1)
    written = writer.write(1, picture, picture.rgb)
    decoded = np.asarray(Image.open(tmp_path / "out/cat/deep/2.jpg")).astype(int)
    assert written.measured["linf"] == np.abs(decoded - picture.rgb).max() > 0


def test_jpeg_is_refused_where_a_picture_has_alpha_before_anything_is_written(pets: Path, tmp_path: Path) -> None:
    assert complaint(claimed, open_originals(pets), tmp_path / "out", "jpeg") == (
        "dog/1.webp has an alpha channel, which JPEG cannot hold: write PNG"
    )
    assert not (tmp_path / "out").exists()


def test_an_unknown_form_is_refused(pets: Path, tmp_path: Path) -> None:
    assert complaint(claimed, open_originals(pets), tmp_path / "out", "gif") == (
        "'gif' is no form of output here: png or jpeg"
    )


def test_a_written_picture_can_be_opened_by_others(pets: Path, tmp_path: Path) -> None:
    originals = open_originals(pets)
    protect(originals, tmp_path / "out", protection="a key")
    for data in tree(tmp_path / "out").values():
        with Image.open(io.BytesIO(data)) as image:
            assert image.format == "PNG"
            image.verify()


@pytest.mark.parametrize(
    ("names", "written"),
    [
        (("a.jpg", "a.png"), ("a.jpg.png", "a.png")),
        (("a.jpg", "a.webp"), ("a.jpg.png", "a.webp.png")),
        (("A.jpg", "a.png"), ("A.jpg.png", "a.png")),
        (("a.PNG", "b.png"), ("a.png", "b.png")),
        (("a.PNG", "a.png"), ("a.PNG.png", "a.png")),
        (("SAME.PNG", "same.jpg", "same.png"), ("SAME.PNG.png", "same.jpg.png", "same.png")),
        (("a.PNG", "a.jpg"), ("a.png", "a.jpg.png")),
        (("a.jpg", "a.jpg.png", "a.png"), ("a.jpg-2.png", "a.jpg.png", "a.png")),
        (("x/a.jpg", "y/a.png"), ("x/a.png", "y/a.png")),
        (("a.b.jpg", "a.png"), ("a.b.png", "a.png")),
    ],
)
def test_pictures_of_one_name_are_kept_apart(names: tuple[str, ...], written: tuple[str, ...]) -> None:
    assert written_names(names, ".png") == written


@settings(max_examples=200, deadline=None)
@given(st.sets(st.from_regex(r"[aA]{1,2}(\.(jpg|png|PNG))?(-2)?\.(jpg|png|PNG|webp)", fullmatch=True), max_size=12))
def test_no_two_pictures_are_written_to_one_file_even_where_capitals_make_no_difference(names: set[str]) -> None:
    written = written_names(tuple(sorted(names)), ".png")
    assert len({name.casefold() for name in written}) == len(names)
    assert all(name.endswith(".png") for name in written)


def test_names_that_had_to_change_are_said(tmp_path: Path) -> None:
    put(tmp_path / "in", {f"cat/{name}": file_of(photo(4, 4)) for name in ("a.bmp", "a.png", "b.bmp", "b.png")})
    (remark,) = claimed(open_originals(tmp_path / "in"), tmp_path / "out").remarks
    assert remark == (
        "cat/a.bmp is written as cat/a.bmp.png, and 1 more likewise, as another picture has its name with .png"
    )


def test_a_name_as_long_as_a_disk_takes_is_written_and_a_longer_one_refused_at_once(tmp_path: Path) -> None:
    long = "\u00e9" * 125  # 250 bytes
    put(tmp_path / "in", {f"cat/{long}x.png": file_of(photo(4, 4)), "dog/b.png": file_of(photo(4, 4, seed=1))})
    protect(open_originals(tmp_path / "in"), tmp_path / "out", protection="a key")
    assert (tmp_path / "out/cat" / f"{long}x.png").is_file()
    put(tmp_path / "in", {f"cat/{long}x.bmp": file_of(photo(4, 4, seed=2), "BMP")})
    message = complaint(claimed, open_originals(tmp_path / "in"), tmp_path / "second")
    assert message.startswith(f"cat/{long}x.bmp would be written as {long}x.bmp.png, a name of more than 255 bytes, ")
    assert not (tmp_path / "second").exists()
