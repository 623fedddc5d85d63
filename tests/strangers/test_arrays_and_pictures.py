"""Arrays and pictures from strangers: small files that would take all memory, run a program, or break off late."""

import io
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from bench.data import array_heads, decoding
from bench.data.decoding import decode, stack
from bench.data.loading import load
from bench.data.originals.picture import picture_of
from bench.data.releases.arrays import read_npy, read_npz, read_torch
from bench.data.releases.opening import clean_images, open_release
from bench.data.spec import DatasetSpec
from tests.making.pictures import file_of, photo
from tests.making.tiny_data import complaint, encoded, pixels
from victims.defenses._weight_files import read_states


def npz(path: Path, **heads: tuple[tuple[int, ...], str]) -> Path:
    """Write an archive of arrays that consist of their heads."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, (shape, kind) in heads.items():
            file = io.BytesIO()
            np.lib.format.write_array_header_1_0(file, {"shape": shape, "fortran_order": False, "descr": kind})
            archive.writestr(f"{name}.npy", file.getvalue())
    return path


def spec(path: Path, form: str) -> DatasetSpec:
    return DatasetSpec.parse({"name": "x", "format": form, "train": str(path), "holdout": 0.5})


@pytest.mark.parametrize(
    "heads",
    [
        {"images": ((2**30, 64, 64, 3), "|u1"), "labels": ((2**30,), "<i8")},
        {"images": ((4, 4, 4, 3), "|u1"), "labels": ((2**40,), "<U0")},  # no bytes, and as many texts
        {"images": ((64, 4, 4, 3), "|u1"), "labels": ((64,), "<U500000000")},
        {"images": ((4, 4, 4, 3), "|u1"), "labels": ((4,), "<i8"), "classes": ((2**40,), "<U1")},
    ],
)
def test_arrays_that_declare_more_than_memory_holds_are_refused_unread(heads: Any, tmp_path: Path) -> None:
    path = npz(tmp_path / "a.npz", **heads)
    assert "more than half of this machine's memory" in complaint(load, spec(path, "npz"))
    if heads["images"][0][0] == heads["labels"][0][0]:
        assert "more than half of this machine's memory" in complaint(read_npz, path)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("name", ["classes", "labels"])
def test_text_of_what_is_no_character_is_refused_in_a_sentence(name: str, order: str, tmp_path: Path) -> None:
    arrays = {"images": pixels(2, side=8), "labels": np.array(["cat", "dog"]), "classes": np.array(["cat", "dog"])}
    letters = np.array([0x110000, 0x61] * 3, f"{order}u4")
    damaged = letters.view(f"{order}U3")
    np.savez(tmp_path / "a.npz", allow_pickle=False, **{**arrays, name: damaged})
    sentence = f"'{name}' of a.npz holds text that is damaged: no character has such a number"
    assert complaint(read_npz, tmp_path / "a.npz") == sentence
    if name == "classes":
        np.savez(tmp_path / "b.npz", images=arrays["images"], labels=np.arange(2), classes=damaged)
        assert "holds text that is damaged" in complaint(load, spec(tmp_path / "b.npz", "npz"))


def test_arrays_that_fit_alone_and_not_together_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "a.npz", images=pixels(8, side=16), labels=np.arange(8).repeat(1))
    assert len(read_npz(tmp_path / "a.npz").values) == 8
    monkeypatch.setattr(array_heads, "memory", lambda: 2 * 8 * 16 * 16 * 3)
    assert "says that it has 0.0 GiB, more than half" in complaint(read_npz, tmp_path / "a.npz")


def test_a_member_that_is_no_array_is_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array_heads, "memory", lambda: 2**20)
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images", bytes(2**21))
    assert "more than half of this machine's memory" in complaint(load, spec(tmp_path / "a.npz", "npz"))


def test_one_number_is_no_protected_set(tmp_path: Path) -> None:
    np.savez(tmp_path / "clean.npz", images=pixels(6), labels=np.arange(6) % 2)
    np.save(tmp_path / "a.npy", np.float32(1))
    assert read_npy(tmp_path / "a.npy").values.shape == ()
    clean = clean_images(spec(tmp_path / "clean.npz", "npz"))
    assert "holds no images" in complaint(open_release, tmp_path / "a.npy", clean)


def saved(path: Path, pickled: bytes | None = None, storage: bytes | None = None, **how: Any) -> Path:
    """Write what torch saves of a tensor, with another pickle or other numbers in it."""
    torch.save({"images": torch.zeros(6, 5, 5, 3)}, path)
    with zipfile.ZipFile(path) as came:
        members = [(one.filename, came.read(one)) for one in came.infolist()]
    with zipfile.ZipFile(path, "w", **how) as archive:
        for name, data in members:
            new = pickled if name.endswith("data.pkl") else storage if name.endswith("data/0") else None
            archive.writestr(name, data if new is None else new)
    return path


def test_a_small_file_of_torch_cannot_become_a_large_one(tmp_path: Path) -> None:
    makes_bytes = b"\x80\x02}X\x01\x00\x00\x00acbuiltins\nbytearray\nJ\x00\x00\x00\x70\x85Rs."
    old = tmp_path / "old.pt"
    old.write_bytes(makes_bytes)
    for path in (
        saved(tmp_path / "bytes.pt", makes_bytes),
        saved(tmp_path / "packed.pt", storage=bytes(2**22), compression=zipfile.ZIP_DEFLATED),
    ):
        assert "becomes more in memory than it is" in complaint(read_torch, path)
        assert "becomes more in memory than it is" in complaint(read_states, path)
    assert "becomes more in memory than it is" in complaint(read_states, old)


def test_lists_that_hold_one_list_many_times_are_looked_into_once(tmp_path: Path) -> None:
    nested: Any = [torch.zeros(3)]
    for _ in range(6):
        nested = [nested] * 2000  # 2000**6 ways lead to the tensor
    torch.save({"a": nested}, tmp_path / "a.pt")
    assert "holds no array of images" in complaint(read_torch, tmp_path / "a.pt")
    assert "holds no dictionary of tensors" in complaint(read_states, tmp_path / "a.pt")


def test_tensors_without_numbers_are_passed_over(tmp_path: Path) -> None:
    torch.save({"images": torch.zeros(6, 5, 5, 3, device="meta")}, tmp_path / "a.pt")
    assert "holds no array of images" in complaint(read_torch, tmp_path / "a.pt")
    assert "holds no dictionary of tensors" in complaint(read_states, tmp_path / "a.pt")
    torch.save({"images": torch.zeros(6, 5, 5, 3, dtype=torch.complex64).conj().imag}, tmp_path / "b.pt")
    assert "holds no array of images" in complaint(read_torch, tmp_path / "b.pt")


def test_what_runs_a_program_to_be_decoded_is_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ghostscript(*arguments: Any, **options: Any) -> Any:
        raise AssertionError("a program is run on a stranger's file")

    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", ghostscript)
    data = file_of(photo(8, 8), "EPS")
    assert "is not an image that Pillow can read" in complaint(decode, data, "x.png")
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(encoded(pixels(1)[0]))
    (tmp_path / "cat" / "b.eps").write_bytes(data)
    assert "is an image of a kind that cannot be read here (.eps)" in complaint(load, spec(tmp_path, "imagefolder"))


def test_a_picture_that_breaks_off_behind_its_first_frame_is_refused_in_a_sentence() -> None:
    frames = [Image.fromarray(photo(16, 16, seed=seed)) for seed in range(3)]
    data = file_of(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    second = int.from_bytes(data[4:8], "little")
    entries = int.from_bytes(data[second : second + 2], "little")
    link = second + 2 + 12 * entries
    broken = data[:link] + (len(data) - 3).to_bytes(4, "little") + data[link + 4 :]
    assert "is damaged behind its first picture" in complaint(picture_of, broken, "it")


def test_pixels_beyond_measure_are_refused_and_a_large_photograph_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    data = file_of(photo(20, 20))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(data, "it").size == (20, 20)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert complaint(decode, data, "it") == "it declares more than 200 pixels: make it smaller or remove it"


def test_images_that_together_leave_memory_are_refused_at_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.api import Source

    source = Source(np.zeros(9, np.int64), ("a",), lambda some: (Image.fromarray(photo(8, 8)) for _ in some))
    assert len(stack(source, np.arange(9), None)[0]) == 9
    monkeypatch.setattr(decoding, "memory", lambda: 9 * 8 * 8 * 3 - 1)
    assert "9 images of 8x8 take 0.0 GiB, more than this machine's memory" in complaint(
        stack, source, np.arange(9), None
    )


def test_rows_that_a_parquet_file_has_no_room_for_are_refused_unread(tmp_path: Path) -> None:
    rows = 1_000_000
    table = pa.table({"image": pa.nulls(rows, pa.binary()), "label": pa.array(np.zeros(rows, np.int8))})
    pq.write_table(table, tmp_path / "a.parquet")
    assert (tmp_path / "a.parquet").stat().st_size < rows / 8
    assert "declares 1,000,000 rows, more than it has room for" in complaint(
        load, spec(tmp_path / "a.parquet", "parquet")
    )


def test_a_class_that_would_act_on_a_terminal_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=pixels(6), labels=np.arange(6) % 2, classes=np.array(["cat", "\x1b[2J"]))
    assert "a class called '\\x1b[2J', which cannot be printed" in complaint(load, spec(tmp_path / "a.npz", "npz"))


def test_a_picture_of_nothing_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    data = file_of(np.zeros((300, 300, 3), np.uint8), "WEBP", lossless=True)
    assert decode(data, "it").size == (300, 300)
    monkeypatch.setattr(decoding, "_ANYWAY", 200 * 200)
    assert complaint(decode, data, "it").startswith(f"it declares 300x300 pixels and has {len(data)} bytes")
    assert decode(file_of(photo(300, 300)), "it").size == (300, 300)
