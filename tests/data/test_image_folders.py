"""Image folders as people have them: links, what cannot be reached, what systems leave, classes that are numbers."""

import errno
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder as TorchvisionFolder

from bench.contracts.dataset import DATASETS, DatasetPlugin
from bench.data.loading import card, load
from bench.data.spec import DatasetSpec
from tests.making.tiny_data import complaint, encoded, pixels, spec_of

Folder = dict[str, Any]


def put(folder: Path, *names: str, seed: int = 0) -> None:
    """Write images that no other call with another seed writes."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in zip(names, pixels(len(names), seed=seed), strict=True):
        (folder / name).write_bytes(encoded(image))


@pytest.fixture
def insects(tmp_path: Path) -> Folder:
    """Two training and one test image of each of two classes."""
    for number, name in enumerate(("ant", "bee")):
        put(tmp_path / "train" / name, "0.png", "1.png", seed=number)
        put(tmp_path / "test" / name, "0.png", seed=10 + number)
    return {"name": "insects", "format": "imagefolder", "train": f"{tmp_path}/train", "test": f"{tmp_path}/test"}


def plugin(mapping: Folder) -> DatasetPlugin:
    kind = DATASETS.get("imagefolder")
    return kind(kind.Params.model_validate({"train": mapping["train"], "test": mapping["test"]}))


def names_of(mapping: Folder) -> list[str]:
    """Return the training images by their paths below the training folder."""
    train, _ = plugin(mapping).open()
    return [os.path.relpath(train.where(position), mapping["train"]) for position in range(len(train.labels))]


# Links.


def test_links_are_followed_as_torchvision_follows_them(insects: Folder, tmp_path: Path) -> None:
    put(tmp_path / "disk" / "more", "7.png", "8.png", seed=3)
    put(tmp_path / "disk" / "wasp" / "2021", "9.png", seed=4)
    (tmp_path / "train/ant/more").symlink_to(tmp_path / "disk/more")
    (tmp_path / "train/bee/one.png").symlink_to(tmp_path / "disk/more/7.png")
    for split in ("train", "test"):
        (tmp_path / split / "wasp").symlink_to("../disk/wasp")
    assert names_of(insects) == [
        *("ant/0.png", "ant/1.png", "ant/more/7.png", "ant/more/8.png"),
        *("bee/0.png", "bee/1.png", "bee/one.png"),
        "wasp/2021/9.png",
    ]
    theirs = TorchvisionFolder(insects["train"])
    train, _ = plugin(insects).open()
    assert train.classes == tuple(theirs.classes)
    assert sorted(train.where(position) for position in range(8)) == sorted(path for path, _ in theirs.samples)


def test_files_behind_links_are_among_those_that_decide_the_content(insects: Folder, tmp_path: Path) -> None:
    put(tmp_path / "disk", "7.png", seed=3)
    (tmp_path / "train/ant/more").symlink_to(tmp_path / "disk")
    assert tmp_path / "train/ant/more/7.png" in plugin(insects).files()
    before = card(spec_of(insects), tmp_path / "cards")
    put(tmp_path / "disk", "8.png", seed=4)
    assert card(spec_of(insects), tmp_path / "cards").n_train == before.n_train + 1


@pytest.mark.parametrize("target", [".", "..", "../..", "../bee/round"])
def test_a_link_that_leads_back_is_refused(target: str, insects: Folder, tmp_path: Path) -> None:
    (tmp_path / "train/bee/round").symlink_to("../ant")
    (tmp_path / "train/ant/loop").symlink_to(target)
    sentence = complaint(load, spec_of(insects))
    assert re.match(rf"{tmp_path}/train/\S+ leads back to {tmp_path}/\S+, which it lies in: remove the link$", sentence)


def test_a_folder_that_two_links_lead_to_is_no_loop(insects: Folder, tmp_path: Path) -> None:
    put(tmp_path / "disk", "7.png", seed=3)
    for name in ("one", "two"):
        (tmp_path / "train/ant" / name).symlink_to(tmp_path / "disk")
    assert len(plugin(insects).open()[0].labels) == 6


# What cannot be reached.


@pytest.mark.parametrize("name", ["ant/more", "ant/2.png", "wasp"])
def test_a_link_that_leads_nowhere_is_named(name: str, insects: Folder, tmp_path: Path) -> None:
    (tmp_path / "train" / name).symlink_to("/mnt/gone")
    for action in (load, lambda spec: card(spec, tmp_path / "cards")):
        assert complaint(action, spec_of(insects)) == (
            f"{tmp_path}/train/{name} cannot be read (a link to /mnt/gone, where nothing is): mount the disk it is on, "
            f"correct the link or the rights, or remove it"
        )


def test_of_several_that_cannot_be_reached_the_first_is_named_and_the_others_are_counted(
    insects: Folder, tmp_path: Path
) -> None:
    for name in ("ant/5.png", "bee/6", "ant/2021"):
        (tmp_path / "test" / name).symlink_to("/mnt/gone")
    sentence = complaint(load, spec_of(insects))
    assert sentence.startswith(f"{tmp_path}/test/ant/2021 cannot be read (")
    assert f"), nor can 2 more below {tmp_path}/test: mount" in sentence


def test_a_link_to_itself_is_named(insects: Folder, tmp_path: Path) -> None:
    (tmp_path / "train/ant/2.png").symlink_to("2.png")
    assert "train/ant/2.png cannot be read (Too many levels of symbolic links)" in complaint(load, spec_of(insects))


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, int], None]:
    """Return a function that lets the system refuse to list a folder: those who test as root may read anything."""

    def refuse(folder: Path, number: int) -> None:
        @contextmanager
        def scandir(path: Any) -> Iterator[Iterator[os.DirEntry[str]]]:
            if Path(path) == folder:
                raise OSError(number, os.strerror(number), str(path))
            with listing(path) as entries:
                yield entries

        listing = os.scandir
        monkeypatch.setattr(os, "scandir", scandir)

    return refuse


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EACCES, "Permission denied"),
        (errno.ESTALE, "Stale file handle"),
        (errno.EIO, "Input/output error"),
        (errno.ENOTCONN, "Transport endpoint is not connected"),
    ],
)
@pytest.mark.parametrize("name", ["train", "train/bee", "train/ant/2021"])
def test_a_folder_that_cannot_be_listed_is_named(
    name: str, number: int, reason: str, insects: Folder, tmp_path: Path, refusing: Callable[[Path, int], None]
) -> None:
    put(tmp_path / "train/ant/2021", "5.png", seed=3)
    refusing(tmp_path / name, number)
    assert complaint(load, spec_of(insects)).startswith(f"{tmp_path}/{name} cannot be read ({reason}): mount the disk")


def test_images_that_this_user_may_not_read_are_named_and_counted(
    insects: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: "ant" not in str(path) or mode != os.R_OK)
    sentence = complaint(load, spec_of(insects))
    assert sentence.startswith(
        f"{tmp_path}/train/ant/0.png cannot be read (Permission denied), nor can 1 more below {tmp_path}/train: "
    )


def test_an_image_that_cannot_be_read_any_more_is_named(
    insects: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, _ = plugin(insects).open()
    (tmp_path / "train/ant/1.png").unlink()
    sentence = complaint(lambda: list(train.read(np.array([0, 1]))))
    assert sentence == (
        f"{tmp_path}/train/ant/1.png cannot be read (No such file or directory): make it readable or remove it"
    )


def test_a_root_on_a_stale_mount_is_named(insects: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = Path.stat

    def stale(path: Path, **options: bool) -> os.stat_result:
        if str(path) == insects["train"]:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))
        return usual(path, **options)

    monkeypatch.setattr(Path, "stat", stale)
    assert complaint(load, spec_of(insects)).startswith(
        f"dataset.train is {insects['train']}, which cannot be reached (Stale file handle): "
    )


def test_a_folder_that_no_path_can_be_is_named(insects: Folder) -> None:
    assert complaint(load, spec_of(insects, test="te\0st")) == (
        "dataset.test is 'te\\x00st', which no path can be (embedded null byte): correct it"
    )


def test_what_is_neither_file_nor_folder_is_named(insects: Folder, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "train/ant/2.png")
    assert "train/ant/2.png cannot be read (neither a file nor a folder)" in complaint(load, spec_of(insects))


# What is passed over.


def test_hidden_and_system_files_and_folders_are_passed_over_at_any_depth_and_counted_once(
    insects: Folder, tmp_path: Path
) -> None:
    for number, name in enumerate(
        ("__MACOSX/ant", "@eaDir", ".cache", "ant/.thumbs", "ant/2021/@eaDir", "bee/.ipynb_checkpoints", "lost+found")
    ):
        put(tmp_path / "train" / name, "x.png", seed=20 + number)
    put(tmp_path / "train/ant/2021", "5.png", seed=3)
    for name in ("test/.DS_Store", "test/ant/._0.png", "test/ant/Thumbs.db", "test/desktop.ini"):
        (tmp_path / name).write_bytes(b"what a system wrote")
    assert names_of(insects) == ["ant/0.png", "ant/1.png", "ant/2021/5.png", "bee/0.png", "bee/1.png"]
    assert plugin(insects).remarks() == (
        f"passed over 11 hidden or system files and folders (the first is {tmp_path}/train/.cache)",
    )


def test_a_hidden_link_that_leads_nowhere_is_passed_over(insects: Folder, tmp_path: Path) -> None:
    (tmp_path / "train/.lock").symlink_to("host:123")
    assert plugin(insects).remarks() == (f"passed over 1 hidden or system file or folder ({tmp_path}/train/.lock)",)


def test_the_given_folder_may_be_hidden_and_lie_in_a_hidden_one(insects: Folder, tmp_path: Path) -> None:
    whole = load(spec_of(insects)).train.sha256
    (tmp_path / ".cache").mkdir()
    (tmp_path / "train").rename(tmp_path / ".cache" / ".train")
    moved = {**insects, "train": f"{tmp_path}/.cache/.train"}
    assert load(spec_of(moved)).train.sha256 == whole
    assert plugin(moved).remarks() == ()


def test_everything_else_that_is_left_out_is_counted(insects: Folder, tmp_path: Path) -> None:
    for name in ("train/labels.csv", "train/ant/0.npy", "train/ant/2.jpg.part", "test/bee/film.mpg", "test/bee/a.h5"):
        (tmp_path / name).write_bytes(b"no image")
    put(tmp_path / "test", "lone.png", seed=3)
    (tmp_path / "train/bee/unmounted").mkdir()
    assert plugin(insects).remarks() == (
        f"passed over 5 files that are no images (the first is {tmp_path}/train/labels.csv), "
        f"1 image outside of a class ({tmp_path}/test/lone.png), 1 empty folder ({tmp_path}/train/bee/unmounted)",
    )
    assert len(names_of(insects)) == 4


@pytest.mark.usefixtures("settled_files")
def test_what_is_passed_over_makes_no_other_card(insects: Folder, tmp_path: Path) -> None:
    before = card(spec_of(insects), tmp_path / "cards")
    (tmp_path / "train/.DS_Store").write_bytes(b"what a system wrote")
    after = card(spec_of(insects), tmp_path / "cards")
    assert len(list((tmp_path / "cards").iterdir())) == 1
    assert after == before.model_copy(update={"remarks": after.remarks})
    assert (before.remarks, len(after.remarks)) == ((), 1)


def test_images_of_a_kind_that_cannot_be_read_are_refused_and_counted(insects: Folder, tmp_path: Path) -> None:
    for name in ("ant/IMG_1.HEIC", "ant/IMG_2.heic", "bee/DSC_3.NEF"):
        (tmp_path / "train" / name).write_bytes(b"a photo")
    for action in (load, lambda spec: card(spec, tmp_path / "cards")):
        assert complaint(action, spec_of(insects)) == (
            f"{tmp_path}/train/ant/IMG_1.HEIC is an image of a kind that cannot be read here, nor can 2 more below "
            f"{tmp_path}/train (.heic, .nef): convert to JPEG or PNG, or move elsewhere"
        )


def test_a_kind_that_cannot_be_read_beside_the_same_image_in_one_that_can_is_passed_over_and_said(
    insects: Folder, tmp_path: Path
) -> None:
    for name in ("0.heic", "1.dng"):
        (tmp_path / "train/ant" / name).write_bytes(b"a photo")
    assert plugin(insects).remarks() == (
        f"passed over 2 images of kinds that cannot be read here (.dng, .heic), beside one of the same name (the first "
        f"is {tmp_path}/train/ant/0.heic)",
    )


def test_a_kind_that_this_pillow_was_built_without_is_refused(
    insects: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("PIL.features.check", lambda feature: feature != "webp")
    (tmp_path / "train/ant/2.webp").write_bytes(b"a photo")
    assert "train/ant/2.webp is an image of a kind that cannot be read here (.webp): " in complaint(
        load, spec_of(insects)
    )


@pytest.mark.parametrize("ending", ["jp2", "j2k", "jpc", "jpf", "jpx", "j2c"])
def test_every_ending_of_jpeg_2000_is_refused_where_pillow_was_built_without(
    ending: str, insects: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = {name: kind for name, kind in Image.registered_extensions().items() if kind != "JPEG2000"}
    monkeypatch.setattr(Image, "registered_extensions", lambda: unknown)
    (tmp_path / f"train/ant/2.{ending}").write_bytes(b"a photo")
    assert f"2.{ending} is an image of a kind that cannot be read here (.{ending}): " in complaint(
        load, spec_of(insects)
    )


def test_pictures_of_cameras_that_hold_several_are_read_as_the_first(insects: Folder, tmp_path: Path) -> None:
    first, second = (Image.fromarray(np.full((4, 4, 3), shade, np.uint8)) for shade in (40, 200))
    first.save(tmp_path / "train/ant/2.MPO", "MPO", save_all=True, append_images=[second])
    assert names_of(insects)[:3] == ["ant/0.png", "ant/1.png", "ant/2.MPO"]
    assert plugin(insects).remarks() == ()
    assert set(load(spec_of(insects)).train.images[2].flatten().tolist()) == {40}


# Classes.


def test_classes_that_are_numbers_stand_in_the_order_of_these(tmp_path: Path) -> None:
    for number in range(12):
        put(tmp_path / "train" / str(number), "0.png", seed=number)
        put(tmp_path / "test" / str(number), "0.png", seed=20 + number)
    paths = {"train": f"{tmp_path}/train", "test": f"{tmp_path}/test"}
    splits = load(DatasetSpec.parse({"name": "x", "format": "imagefolder", **paths, "protected_classes": 3}))
    assert splits.train.classes == tuple(map(str, range(12)))
    assert splits.train.labels.tolist() == list(range(12))
    assert set(splits.test.labels.tolist()) == {0, 1, 2}


@pytest.mark.parametrize("names", [("10", "9", "a"), ("-1", "-2"), ("1.5", "10", "9")])
def test_other_classes_stand_in_the_order_of_their_names(names: tuple[str, ...], tmp_path: Path) -> None:
    for number, name in enumerate(names):
        put(tmp_path / "both" / name, "0.png", seed=number)
    paths = {"train": f"{tmp_path}/both", "test": f"{tmp_path}/both"}
    train, _ = plugin({"name": "x", **paths}).open()
    assert train.classes == tuple(sorted(names))


def test_a_class_without_training_images_is_refused(insects: Folder, tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / split / "cat").mkdir()
    advice = "put images of the class into it, or remove it"
    assert complaint(load, spec_of(insects)) == f"{tmp_path}/train/cat holds no image: {advice}"
    (tmp_path / "train/cat/0").write_bytes(encoded(pixels(1)[0]))
    assert complaint(load, spec_of(insects)) == (
        f"{tmp_path}/train/cat holds no image, only files of other kinds such as 0: {advice}"
    )


def test_a_class_that_is_written_otherwise_in_the_other_split_is_named(insects: Folder, tmp_path: Path) -> None:
    (tmp_path / "test/bee").rename(tmp_path / "test/Bee ")
    assert complaint(load, spec_of(insects)).startswith(
        "the classes of 'insects' differ: only the training set has 'bee' where the other has 'Bee ', and both"
    )


@pytest.mark.parametrize(("name", "told"), [(b"caf\xe9", "caf\\udce9"), (b"bee\n", "bee\\n")])
def test_a_class_whose_name_cannot_be_printed_is_named(name: bytes, told: str, insects: Folder) -> None:
    (Path(insects["train"]) / os.fsdecode(name)).mkdir()
    assert complaint(load, spec_of(insects)) == (
        f"the name of '{insects['train']}/{told}' holds what cannot be printed, or is not UTF-8: rename the folder of "
        f"this class"
    )


def test_files_whose_names_are_not_utf_8_are_read_and_named_so_that_it_can_be_printed(
    insects: Folder, tmp_path: Path
) -> None:
    put(tmp_path / "train/ant", os.fsdecode(b"caf\xe9.png"), seed=3)
    (tmp_path / "train/ant" / os.fsdecode(b"caf\xe9.txt")).touch()
    made = card(spec_of(insects), tmp_path / "cards")
    assert made.n_train == 5
    assert made.remarks == (f"passed over 1 file that is no image ({tmp_path}/train/ant/caf\\udce9.txt)",)
    (tmp_path / "train/ant" / os.fsdecode(b"caf\xe9.png")).write_bytes(b"no image")
    assert complaint(load, spec_of(insects)).startswith(f"{tmp_path}/train/ant/caf\\udce9.png is not an image")
