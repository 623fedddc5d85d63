"""A folder of pictures comes out again under the same names, whole, and beside it nothing is touched."""

import hashlib
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bench.core.errors import SepbenchError
from bench.data.loading import load
from bench.data.originals import Originals, open_originals
from bench.data.originals.class_folders import written_names
from tests.making.pictures import changed, file_of, photo, put, tree, write_all
from tests.making.tiny_data import complaint


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Two classes of pictures of many kinds and sizes."""
    return put(
        tmp_path / "pets",
        {
            "cat/1.png": file_of(photo(12, 9)),
            "cat/deep/2.jpg": file_of(photo(20, 14, seed=1), "JPEG"),
            "cat/grey.png": file_of(photo(8, 8, channels=1)),
            "dog/1.webp": file_of(photo(9, 9, channels=4, seed=2), "WEBP", lossless=True, exact=True),
            "dog/2.png": file_of(photo(30, 10, seed=3)),
            "dog/notes.txt": b"good dogs",
            "readme.md": b"my pets",
        },
    )


def protect(originals: Originals, out: Path, **options: object) -> None:
    writer = originals.writer(out, protection="a key", **options)  # type: ignore[arg-type]
    write_all(originals, writer)
    writer.finish()


# Reading.


def test_pictures_stand_in_the_order_in_which_the_data_set_lists_them(pets: Path) -> None:
    originals = open_originals(pets)
    assert originals.kind == "folder"
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


def test_a_survey_tells_sizes_grey_alpha_and_what_is_not_written(pets: Path) -> None:
    put(pets, {"cat/7.jpg": file_of(photo(5, 6), "JPEG", exif=_exif(), comment=b"home")})
    told: list[int] = []
    survey = open_originals(pets).survey(told.append)
    assert survey.sizes.tolist() == [[12, 9], [5, 6], [20, 14], [8, 8], [9, 9], [30, 10]]
    assert survey.digests[3] == hashlib.sha256((pets / "cat/grey.png").read_bytes()).hexdigest()
    assert survey.grey == (3,)
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


# Writing.


def test_pictures_are_written_without_loss_under_the_same_names(pets: Path, tmp_path: Path) -> None:
    originals = open_originals(pets)
    before = tree(pets)
    protect(originals, tmp_path / "out")
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
    writer = originals.writer(tmp_path / "out", measure=lambda before, after: {"mean": float((after - before).mean())})
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
    writer = originals.writer(tmp_path / "out", "jpeg", quality=60)
    assert writer.files[1] == "cat/deep/2.jpg"
    picture = originals.picture(1)
    written = writer.write(1, picture, picture.rgb)
    decoded = np.asarray(Image.open(tmp_path / "out/cat/deep/2.jpg")).astype(int)
    assert written.measured["linf"] == np.abs(decoded - picture.rgb).max() > 0


def test_jpeg_is_refused_where_a_picture_has_alpha_before_anything_is_written(pets: Path, tmp_path: Path) -> None:
    assert complaint(open_originals(pets).writer, tmp_path / "out", "jpeg") == (
        "dog/1.webp has an alpha channel, which JPEG cannot hold: write PNG"
    )
    assert not (tmp_path / "out").exists()


def test_an_unknown_form_is_refused(pets: Path, tmp_path: Path) -> None:
    assert complaint(open_originals(pets).writer, tmp_path / "out", "gif") == (
        "'gif' is no form of output here: png or jpeg"
    )


# Names.


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
    (remark,) = open_originals(tmp_path / "in").writer(tmp_path / "out").remarks
    assert remark == (
        "cat/a.bmp is written as cat/a.bmp.png, and 1 more likewise, as another picture has its name with .png"
    )


# Going on.


def killed_after(originals: Originals, out: Path, count: int) -> None:
    writer = originals.writer(out, protection="a key")
    for index in range(count):
        picture = originals.picture(index)
        writer.write(index, picture, changed(picture.rgb))
    writer.release()


def test_a_killed_run_goes_on_and_comes_to_the_same(pets: Path, tmp_path: Path) -> None:
    originals = open_originals(pets)
    protect(originals, tmp_path / "whole")
    killed_after(originals, tmp_path / "out", 2)
    writer = originals.writer(tmp_path / "out", protection="a key")
    assert [writer.done(index) is not None for index in range(5)] == [True, True, False, False, False]
    first = writer.done(0)
    assert first is not None
    assert first.measured == {"linf": 3, "l2": pytest.approx(3 * np.sqrt(12 * 9 * 3) / 255)}
    write_all(originals, writer)
    writer.finish()
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_a_picture_that_is_damaged_or_gone_is_written_again(pets: Path, tmp_path: Path) -> None:
    originals = open_originals(pets)
    killed_after(originals, tmp_path / "out", 3)
    (tmp_path / "out/cat/1.png").write_bytes(b"damaged")
    (tmp_path / "out/cat/grey.png").unlink()
    writer = originals.writer(tmp_path / "out", protection="a key")
    assert [writer.done(index) is not None for index in range(3)] == [False, True, False]
    write_all(originals, writer)
    writer.finish()
    protect(originals, tmp_path / "whole")
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_a_torn_line_of_the_journal_costs_one_picture(pets: Path, tmp_path: Path) -> None:
    originals = open_originals(pets)
    killed_after(originals, tmp_path / "out", 2)
    (journal,) = (tmp_path / "out").glob(".*")
    journal.write_bytes(journal.read_bytes()[:-40])
    writer = originals.writer(tmp_path / "out", protection="a key")
    assert [writer.done(index) is not None for index in range(2)] == [True, False]
    picture = originals.picture(1)
    writer.write(1, picture, changed(picture.rgb))
    writer.release()
    again = originals.writer(tmp_path / "out", protection="a key")
    assert [again.done(index) is not None for index in range(2)] == [True, True]


HOLDS = """
import sys
from pathlib import Path
from bench.data.originals import open_originals
writer = open_originals(Path(sys.argv[1])).writer(Path(sys.argv[2]), protection="a key")
print("holds it", flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_a_folder_that_another_process_writes_to_is_refused_until_it_ends(pets: Path, tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", HOLDS, str(pets), str(tmp_path / "out")]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"holds it\n"
        before = tree(tmp_path / "out")
        message = complaint(open_originals(pets).writer, tmp_path / "out", protection="a key")
        assert message == f"another run is writing to {tmp_path}/out: wait for it, or give another folder"
        assert tree(tmp_path / "out") == before
        other.kill()
    protect(open_originals(pets), tmp_path / "out")


def test_a_folder_that_was_let_go_is_taken_by_the_next(pets: Path, tmp_path: Path) -> None:
    first = open_originals(pets).writer(tmp_path / "out", protection="a key")
    assert "another run is writing" in complaint(open_originals(pets).writer, tmp_path / "out", protection="a key")
    first.release()
    protect(open_originals(pets), tmp_path / "out")


@pytest.mark.parametrize(
    ("left", "content"),
    [
        (".sepbench-unfinished.jsonl", b""),
        (".sepbench-unfinished.jsonl", b'{"protection": "0'),
        ("..sepbench-unfinished.jsonl.0badcafe.tmp", b'{"protection": "0'),
        (".0badcafe.tmp", b""),
    ],
)
def test_what_is_left_of_a_run_that_was_killed_at_once_is_in_nobodys_way(
    pets: Path, tmp_path: Path, left: str, content: bytes
) -> None:
    originals = open_originals(pets)
    protect(originals, tmp_path / "whole")
    put(tmp_path / "out", {left: content})
    protect(originals, tmp_path / "out")
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_looking_at_a_folder_does_not_make_it(pets: Path, tmp_path: Path) -> None:
    open_originals(pets).unclaimed_writer(tmp_path / "out", protection="a key")
    assert not (tmp_path / "out").exists()
    put(tmp_path / "out", {"mine.txt": b"mine"})
    assert "it has mine.txt" in complaint(open_originals(pets).unclaimed_writer, tmp_path / "out", protection="a key")


def test_a_name_as_long_as_a_disk_takes_is_written_and_a_longer_one_refused_at_once(tmp_path: Path) -> None:
    long = "\u00e9" * 125  # 250 bytes
    put(tmp_path / "in", {f"cat/{long}x.png": file_of(photo(4, 4)), "dog/b.png": file_of(photo(4, 4, seed=1))})
    protect(open_originals(tmp_path / "in"), tmp_path / "out")
    assert (tmp_path / "out/cat" / f"{long}x.png").is_file()
    put(tmp_path / "in", {f"cat/{long}x.bmp": file_of(photo(4, 4, seed=2), "BMP")})
    message = complaint(open_originals(tmp_path / "in").writer, tmp_path / "second")
    assert message.startswith(f"cat/{long}x.bmp would be written as {long}x.bmp.png, a name of more than 255 bytes, ")
    assert not (tmp_path / "second").exists()


@pytest.mark.parametrize(("key", "form"), [("another", "png"), ("a key", "jpeg")])
def test_the_unfinished_output_of_another_protection_is_refused(
    pets: Path, tmp_path: Path, key: str, form: str
) -> None:
    (pets / "dog/1.webp").unlink()
    originals = open_originals(pets)
    killed_after(originals, tmp_path / "out", 2)
    before = tree(tmp_path / "out")
    message = complaint(originals.writer, tmp_path / "out", form, protection=key)
    assert message.startswith(f"{tmp_path}/out holds the unfinished output of another protection")
    assert tree(tmp_path / "out") == before


def test_a_folder_that_is_not_empty_is_refused_a_finished_output_too(pets: Path, tmp_path: Path) -> None:
    originals = open_originals(pets)
    protect(originals, tmp_path / "out")
    assert complaint(originals.writer, tmp_path / "out", protection="a key") == (
        f"{tmp_path}/out is not empty, it has cat: give a folder that is not there yet, or is empty"
    )


def test_an_empty_folder_is_taken(pets: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    protect(open_originals(pets), tmp_path / "out")
    assert len(tree(tmp_path / "out")) == 5


def test_a_file_where_the_folder_should_be_is_refused(pets: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    assert "is a file" in complaint(open_originals(pets).writer, tmp_path / "out")


@pytest.mark.parametrize("out", ["pets", "pets/cat", "pets/new/deeper", "link", "link/new"])
def test_nothing_is_written_among_the_originals(pets: Path, tmp_path: Path, out: str) -> None:
    (tmp_path / "link").symlink_to(pets)
    before = tree(pets)
    assert "never touched" in complaint(open_originals(pets).writer, tmp_path / out)
    assert tree(pets) == before


def test_a_folder_that_cannot_be_made_is_one_sentence(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(self: Path, *options: object, **more: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", closed)
    assert complaint(open_originals(pets).writer, tmp_path / "out") == (
        f"cannot write to {tmp_path}/out (Permission denied): make it writable for this user, or set --out to a folder "
        f"that is"
    )


def test_what_a_kill_leaves_of_a_file_is_gone_at_the_end(pets: Path, tmp_path: Path) -> None:
    originals = open_originals(pets)
    killed_after(originals, tmp_path / "out", 2)
    put(tmp_path / "out", {"cat/.grey.png.0badcafe.tmp": b"half"})
    writer = originals.writer(tmp_path / "out", protection="a key")
    write_all(originals, writer)
    writer.finish()
    assert [*tree(tmp_path / "out")] == [*map(str, writer.files)]


def test_a_picture_that_cannot_be_written_leaves_nothing_half(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    originals = open_originals(pets)
    writer = originals.writer(tmp_path / "out")

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    picture = originals.picture(0)
    with pytest.raises(SepbenchError, match="free some space"):
        writer.write(0, picture, picture.rgb)
    assert [*tree(tmp_path / "out")] == [".sepbench-unfinished.jsonl"]


def test_classes_in_two_forms_of_unicode_have_one_name(tmp_path: Path) -> None:
    put(tmp_path / "in", {"cafe\u0301/1.png": file_of(photo(4, 4)), "bar/1.png": file_of(photo(4, 4, seed=1))})
    originals = open_originals(tmp_path / "in")
    assert originals.classes == ("bar", "caf\u00e9")
    assert originals.names == ("bar/1.png", "cafe\u0301/1.png")


def test_a_written_picture_can_be_opened_by_others(pets: Path, tmp_path: Path) -> None:
    originals = open_originals(pets)
    protect(originals, tmp_path / "out")
    for data in tree(tmp_path / "out").values():
        with Image.open(io.BytesIO(data)) as image:
            assert image.format == "PNG"
            image.verify()
