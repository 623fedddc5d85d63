"""A damaged artifact is noticed by the run that needs it, kept for a look, and made again."""

import shutil
from pathlib import Path

import pytest
from whole_runs import Sepbench, Undisturbed

pytestmark = pytest.mark.slow


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [truncate, flip_a_byte])
@pytest.mark.parametrize(
    ("kind", "file", "lost", "made_again"),
    [
        ("surrogate", "epoch-002", ["craft", "victim"], "surrogate resnet8 · seed 0"),
        ("craft", "protected", ["victim"], "craft sep linf-32"),
    ],
)
def test_a_damaged_artifact_is_set_aside_and_made_again(
    damage: object,
    kind: str,
    file: str,
    lost: list[str],
    made_again: str,
    finished: Sepbench,
    undisturbed: Undisturbed,
) -> None:
    (sep,) = (one for one in finished.records().values() if one.method == "sep")
    key = sep.surrogate_keys[0] if kind == "surrogate" else sep.protected_key
    damage(finished.store.folder(kind, key) / f"{file}.safetensors")  # type: ignore[operator]
    for kind_of_stage in lost:  # so that the damaged artifact is needed
        shutil.rmtree(finished.home / "store" / kind_of_stage)

    again = finished.run()
    assert again.code == 0
    assert again.ran.count(made_again) == 1
    (warning,) = again.complaints
    assert warning.startswith(f"sepbench: set aside the {kind} artifact {key}")
    (aside,) = (finished.home / "store" / "set-aside").iterdir()
    assert {path.name for path in aside.iterdir()} > {"reason.txt", f"{file}.safetensors"}
    assert again.table == undisturbed.table
    assert finished.outcomes() == undisturbed.outcomes
    assert finished.tensors() == undisturbed.home.tensors()


def test_a_damaged_protected_set_is_made_again_for_a_seed_added_later(
    finished: Sepbench, undisturbed: Undisturbed
) -> None:
    (sep,) = (one for one in finished.records().values() if one.method == "sep")
    flip_a_byte(finished.store.folder("craft", sep.protected_key) / "protected.safetensors")
    more = finished.run(seeds=[0, 1])
    assert more.code == 0
    assert more.ran.count("craft sep linf-32") == 1
    assert undisturbed.outcomes.items() <= finished.outcomes().items()
    assert {one.protected_sha256 for one in finished.records().values() if one.method == "sep"} == {
        sep.protected_sha256
    }


def test_damage_that_no_stage_needs_costs_no_work(finished: Sepbench, undisturbed: Undisturbed) -> None:
    (sep,) = (one for one in finished.records().values() if one.method == "sep")
    flip_a_byte(finished.store.folder("surrogate", sep.surrogate_keys[0]) / "epoch-002.safetensors")
    again = finished.run()
    assert (again.code, again.ran, again.table) == (0, [], undisturbed.table)
