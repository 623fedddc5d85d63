"""State files: bounded in size, complete or refused, checked before anything of them is used."""

import zipfile
import zlib
from pathlib import Path

import pytest
import torch

from bench.core.errors import SepbenchError
from bench.store.packing import BLOCK
from bench.store.sealed import seal
from bench.store.state_files import SMALLEST_LIMIT, StateFiles, StateWriter, state_files

CATALOGUE = {"told": ["all", "of it"]}


def noise(seed: int, size: int = BLOCK) -> bytes:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (size,), generator=generator, dtype=torch.uint8).numpy().tobytes()


def written(path: Path, *blocks: bytes, limit: int | None = None) -> list[Path]:
    writer = StateWriter(path, limit)
    for block in blocks:
        writer.add(block)
    return writer.finish(CATALOGUE)


def opened(*paths: Path) -> StateFiles:
    (found,) = state_files(paths)
    return found


def checked(*paths: Path) -> None:
    for one in state_files(paths):
        with one:
            one.check()


def refused(*paths: Path) -> str:
    """Return the sentence by which files are refused before anything was read of them."""
    with pytest.raises(SepbenchError) as error:
        checked(*paths)
    return str(error.value)


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    """Five blocks in three files."""
    return written(tmp_path / "mine.sepstate", *(noise(seed) for seed in range(5)), limit=10 * 2**20)


def test_blocks_come_back_from_as_many_files_as_the_limit_asks_for(parts: list[Path], tmp_path: Path) -> None:
    assert [path.name for path in parts] == [f"mine-{n}-of-3.sepstate" for n in (1, 2, 3)]
    assert max(path.stat().st_size for path in parts) <= 10 * 2**20
    with opened(tmp_path) as found:
        found.check()
        assert found.catalogue == CATALOGUE
        assert [found.block(number) for number in range(5)] == [noise(seed) for seed in range(5)]


def test_the_lowest_limit_holds_blocks_that_cannot_be_compressed(tmp_path: Path) -> None:
    paths = written(tmp_path / "a.sepstate", noise(0), noise(1), limit=SMALLEST_LIMIT)
    assert len(paths) == 2
    assert max(path.stat().st_size for path in paths) <= SMALLEST_LIMIT


def test_equal_blocks_are_kept_once(tmp_path: Path) -> None:
    writer = StateWriter(tmp_path / "a.sepstate", None)
    assert [writer.add(noise(0)), writer.add(noise(1)), writer.add(noise(0))] == [0, 1, 0]
    (path,) = writer.finish(CATALOGUE)
    assert path.stat().st_size < 2.1 * BLOCK


def test_an_export_replaces_the_files_of_the_one_before(parts: list[Path], tmp_path: Path) -> None:
    other = written(tmp_path / "mine-2.sepstate", b"another's")
    (path,) = written(tmp_path / "mine.sepstate", b"less")
    assert sorted(tmp_path.iterdir()) == sorted([path, *other])


def test_an_export_that_breaks_off_leaves_the_files_of_the_one_before(parts: list[Path], tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    writer = StateWriter(tmp_path / "mine.sepstate", None)
    writer.add(noise(7))
    writer.abandon()
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("gone", [1, 2])
def test_a_missing_file_is_named(gone: int, parts: list[Path], tmp_path: Path) -> None:
    parts[gone - 1].unlink()
    assert refused(tmp_path) == f"file {gone} of 3 is missing beside {parts[2]}: bring it, too"


def test_without_the_last_file_there_is_no_catalogue(parts: list[Path], tmp_path: Path) -> None:
    parts[2].unlink()
    assert (
        refused(tmp_path) == f"the last of the files beside {parts[1]} is missing, with their catalogue: bring it, too"
    )


def test_files_of_several_exports_are_told_apart(parts: list[Path], tmp_path: Path) -> None:
    written(tmp_path / "other.sepstate", b"other")
    assert sorted(len(one.pieces) for one in state_files([tmp_path])) == [1, 5]
    assert len(state_files([*parts, *parts])) == 1


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_file_that_is_cut_off_is_refused(share: float, tmp_path: Path) -> None:
    (path,) = written(tmp_path / "a.sepstate", noise(0))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert refused(path) == f"{path} is cut off, or no state file: bring it again"


def reads(path: Path, *blocks: bytes) -> bool:
    """Tell whether a file is taken for whole, and see that it then holds these blocks."""
    try:
        checked(path)
    except SepbenchError:
        return False
    with opened(path) as found:
        assert tuple(found.block(number) for number in range(len(blocks))) == blocks
        assert found.catalogue == CATALOGUE
    return True


def test_a_flipped_bit_never_changes_what_is_read(tmp_path: Path) -> None:
    blocks = (b"the first block", b"and the second")
    (path,) = written(tmp_path / "a.sepstate", *blocks)
    whole = path.read_bytes()
    harmless = 0  # such as one in a date of the directory
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        harmless += reads(path, *blocks)
    assert harmless < len(whole) / 2


def test_a_piece_that_is_larger_than_it_declares_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.sepstate"
    body = {"pieces": [{"part": 0, "size": 10, "packed": 3, "sha256": "0" * 64}]}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("part", seal({"format": 1, "id": "x", "part": 0}))
        archive.writestr("catalogue", zlib.compress(seal(body)))
        archive.writestr("0", bytes(1000))
    assert refused(path) == f"{path} is damaged (piece 0 is larger than it declares): bring it again"


def test_a_file_of_a_later_format_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "a.sepstate"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("part", seal({"format": 2, "id": "x", "part": 0}))
    assert refused(path) == f"{path} is of format 2, which this sepbench does not read: import it with a newer one"


def test_what_is_no_state_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.sepstate").write_text("none")
    assert refused(tmp_path) == f"{tmp_path / 'text.sepstate'} is cut off, or no state file: bring it again"
    assert refused(tmp_path / "gone") == f"there is no file {tmp_path / 'gone'}: name what export --state has written"
    (tmp_path / "empty").mkdir()
    assert refused(tmp_path / "empty") == (
        f"{tmp_path / 'empty'} holds no .sepstate file: name the folder that export --state has written"
    )
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("photo", b"")
    assert refused(tmp_path / "photos.zip") == f"{tmp_path / 'photos.zip'} is damaged (it lacks part): bring it again"
