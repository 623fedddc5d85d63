"""A request that cannot be met is refused, and what lies in the folder stays as it is."""

from pathlib import Path

import pytest

from tests.making.asking import Finished, refusal
from tests.making.pictures import tree

pytestmark = pytest.mark.usefixtures("own_place")


def test_the_clean_images_alone_are_no_protected_set(finished: Finished) -> None:
    assert refusal("export", "tiny.yaml", "--hub", "hub", "--only", "method=none") == (
        "no protected set is left to hand on: the clean images of 'none' are none, name another method with --only"
    )
    assert not Path("hub").exists()


def test_a_folder_that_holds_anything_else_is_refused_and_stays_as_it_is(finished: Finished, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "README.md").write_text("mine\n", encoding="utf-8")
    assert refusal("export", "tiny.yaml", "--hub", tmp_path / "photos") == (
        f"{tmp_path / 'photos'} is not empty and no earlier export of this kind, as it holds README.md: give --hub an "
        f"empty folder or a new one"
    )
    assert tree(tmp_path / "photos") == {"README.md": b"mine\n"}


def test_sets_of_another_request_are_refused(folder: Path) -> None:
    before = tree(folder)
    assert refusal("export", "tiny.yaml", "--hub", folder, "--with-test", "--only", "method=sep") == (
        f"{folder} holds random-noise-linf-32 of another request: ask for the same sets, or give --hub an empty folder"
    )
    assert tree(folder) == before


@pytest.mark.parametrize("text", ["{", "[]", '{"sets": {"a": 1}}'])
def test_what_no_export_has_written_is_refused(text: str, finished: Finished, tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "sepbench.json").write_text(text, encoding="utf-8")
    sentence = refusal("export", "tiny.yaml", "--hub", tmp_path / "hub")
    assert sentence == f"{tmp_path / 'hub' / 'sepbench.json'} is not what an export writes: give --hub an empty folder"


def test_records_that_are_not_there_are_refused_before_anything_is_written(finished: Finished) -> None:
    assert "gone" in refusal("export", "tiny.yaml", "--hub", "hub", "--records", "gone")
    assert not Path("hub").exists()


def test_one_place_to_write_to_has_to_be_given(finished: Finished) -> None:
    advice = "give --out FOLDER for NumPy archives, or --hub FOLDER for the layout of the Hub"
    assert refusal("export", "tiny.yaml") == refusal("export", "tiny.yaml", "--out", "a", "--hub", "b") == advice
    assert (
        refusal("export", "tiny.yaml", "--out", "a", "--with-test") == "--with-test goes with --hub: add --hub FOLDER"
    )
    assert refusal("export", "tiny.yaml", "--out", "a", "--records", "results") == (
        "--records goes with --hub: add --hub FOLDER"
    )
