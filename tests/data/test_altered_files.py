"""Whatever happens to the files of a data set, a card from the cache says what loading them would say."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.contracts.dataset import DATASETS
from bench.core import file_state
from bench.core.errors import SepbenchError
from bench.data.loading import DataCard, card
from bench.data.spec import DatasetSpec
from tests.making.data_files import WRITERS
from tests.making.quiet_changes import flipped, replace_quietly, write_quietly
from tests.making.tiny_data import encoded, pixels

pytestmark = pytest.mark.usefixtures("settled_files")


class Data:
    """A data set of files, its cards, and a second cache that is always empty."""

    def __init__(self, spec: DatasetSpec, folder: Path) -> None:
        self.spec, self.folder = spec, folder

    @property
    def files(self) -> list[Path]:
        kind = DATASETS.get(self.spec.format)
        return kind(kind.Params.model_validate(self.spec.params)).files()

    def known(self) -> DataCard | str:
        """Return the card that plans are made with, or why there is none."""
        return _card(self.spec, self.folder / "cards")

    def read(self) -> DataCard | str:
        """Return the card of what the files hold now."""
        found = _card(self.spec, self.folder / "empty")
        shutil.rmtree(self.folder / "empty", ignore_errors=True)
        return found


def _card(spec: DatasetSpec, cards: Path) -> DataCard | str:
    try:
        return card(spec, cards)
    except SepbenchError as refused:
        return str(refused)


@pytest.fixture(params=WRITERS)
def data(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Data:
    return Data(DatasetSpec.parse(WRITERS[request.param](tmp_path / "data", monkeypatch)), tmp_path)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Data:
    return Data(DatasetSpec.parse(WRITERS["imagefolder"](tmp_path / "data", monkeypatch)), tmp_path)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(draw=st.data(), change=st.sampled_from([write_quietly, replace_quietly]))
def test_a_flipped_bit_is_noticed_where_size_and_time_stay(
    draw: st.DataObject, change: Callable[[Path, bytes], None], data: Data
) -> None:
    path = draw.draw(st.sampled_from(data.files))
    whole, known = path.read_bytes(), data.known()
    altered = flipped(whole, draw.draw(st.integers(0, len(whole) - 1)), draw.draw(st.integers(0, 7)))
    before = path.stat()
    change(path, altered)
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert data.known() == data.read()
    write_quietly(path, whole)
    assert data.known() == data.read() == known


def test_whatever_bit_of_a_file_is_wrong_it_is_data_or_one_sentence(data: Data) -> None:
    """Readers raise more than they document, of what lies in headers, indices and footers."""
    path = data.files[0]
    whole = path.read_bytes()
    for position in range(0, len(whole), 1 + len(whole) // 200):
        for bit in (0, 7):
            path.write_bytes(flipped(whole, position, bit))
            data.read()


def test_other_pixels_in_a_file_of_the_same_size_and_time_are_other_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = Data(DatasetSpec.parse(WRITERS["npz"](tmp_path / "data", monkeypatch)), tmp_path)
    known, path = data.known(), Path(data.spec.params["train"])
    aside, arrays = tmp_path / "aside.npz", dict(np.load(path))
    np.savez(aside, **{**arrays, "images": 255 - arrays["images"]})
    assert len(aside.read_bytes()) == path.stat().st_size
    write_quietly(path, aside.read_bytes())
    found = data.known()
    assert isinstance(known, DataCard)
    assert isinstance(found, DataCard)
    assert found.train_sha256 != known.train_sha256
    assert found.test_sha256 == known.test_sha256


def _touched(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def _copied(path: Path) -> None:
    shutil.copy2(path, path.with_name(".copy"))
    path.with_name(".copy").replace(path)


def _made_private(path: Path) -> None:
    path.chmod(0o600)


@pytest.mark.parametrize("change", [_touched, _copied, _made_private])
def test_what_leaves_the_content_alone_leaves_the_card_as_it_is(change: Callable[[Path], None], data: Data) -> None:
    known = data.known()
    assert isinstance(known, DataCard)
    for path in data.files:
        change(path)
        assert data.known() == known


@pytest.mark.parametrize("change", [Path.unlink, lambda path: path.rename(path.with_name("renamed"))])
def test_a_file_that_is_gone_or_goes_by_another_name_is_noticed(change: Callable[[Path], Any], data: Data) -> None:
    known = data.known()
    for path in data.files:
        shutil.copytree(data.folder / "data", data.folder / "whole", copy_function=shutil.copy2)
        change(path)
        assert data.known() == data.read() != known
        shutil.rmtree(data.folder / "data")
        (data.folder / "whole").rename(data.folder / "data")
        assert data.known() == known


def test_a_card_of_files_that_have_only_just_changed_is_not_kept(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written in the same tick of the clock has the same times."""
    monkeypatch.setattr(file_state, "_COARSEST_CLOCK_NS", 3_600_000_000_000)
    data.known()
    assert not (data.folder / "cards").exists()
    monkeypatch.setattr(file_state, "_COARSEST_CLOCK_NS", 0)
    data.known()
    assert list((data.folder / "cards").iterdir())


def test_a_file_that_changes_while_it_is_read_leaves_no_card_of_its_new_state(
    data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, (path, *_) = DATASETS.get(data.spec.format), data.files
    opened = kind.open

    def change_and_open(self: Any) -> Any:
        found = opened(self)
        _touched(path)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(kind, "open", change_and_open)
        data.known()
    reads = []

    def count_and_open(self: Any) -> Any:
        reads.append(self)
        return opened(self)

    monkeypatch.setattr(kind, "open", count_and_open)
    data.known()
    assert len(reads) == 1


@pytest.mark.parametrize("linked", ["file", "folder"])
def test_a_link_that_leads_to_other_data_is_noticed(linked: str, tmp_path: Path) -> None:
    """Even where both have one size and were written and changed in one moment."""
    link = tmp_path / "link"
    for number, name in enumerate(("first", "second")):
        (tmp_path / name).mkdir()
        for split in ("train", "test"):
            np.savez(tmp_path / name / f"{split}.npz", images=pixels(4, seed=number), labels=[0, 1, 0, 1])
            os.utime(tmp_path / name / f"{split}.npz", ns=(1, 1))
    train = link if linked == "file" else link / "train.npz"
    paths = {"train": str(train), "test": str(tmp_path / "first/test.npz")}
    data = Data(DatasetSpec.parse({"name": "x", "format": "npz", **paths}), tmp_path)
    target = "train.npz" if linked == "file" else ""
    link.symlink_to(tmp_path / "first" / target)
    known = data.known()
    link.unlink()
    link.symlink_to(tmp_path / "second" / target)
    assert data.known() == data.read() != known


def _added(folder: Path) -> Iterator[Path]:
    for name in ("notes.txt", "labels.csv", ".DS_Store"):
        (folder / name).write_bytes(b"no image")
        yield folder / name


def without_remarks(found: DataCard | str) -> DataCard:
    """Return the card without what it says of files that were passed over."""
    assert isinstance(found, DataCard)
    return found.model_copy(update={"remarks": ()})


def test_a_file_that_is_no_image_is_nothing_to_an_image_folder(folder: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    known = folder.known()
    monkeypatch.setattr(DATASETS.get("imagefolder"), "open", lambda self: pytest.fail("the data set was opened"))
    for place in (folder.folder / "data", folder.folder / "data/train", folder.folder / "data/train/cat"):
        for _ in _added(place):
            assert without_remarks(folder.known()) == without_remarks(known)


def test_an_image_more_is_noticed_in_an_image_folder(folder: Data) -> None:
    known = folder.known()
    (folder.folder / "data/train/dog/9.png").write_bytes(encoded(pixels(1)[0]))
    found = folder.known()
    assert isinstance(known, DataCard)
    assert isinstance(found, DataCard)
    assert found.n_train == known.n_train + 1


def test_a_renamed_image_is_other_data_where_it_changes_places_and_the_same_where_it_does_not(folder: Data) -> None:
    known, first = folder.known(), folder.folder / "data/train/cat/0.png"
    in_place = first.rename(first.with_name("00.png"))
    assert folder.known() == known
    in_place.rename(first.with_name("9.png"))
    assert folder.known() == folder.read() != known
