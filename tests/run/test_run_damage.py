"""A damaged artifact is noticed by the run that needs it, kept for a look, and made again."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.making.whole_runs import Before, Sepbench, Undisturbed

pytestmark = pytest.mark.slow


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [truncate, flip_a_byte])
@pytest.mark.parametrize(
    ("kind", "file", "needed_by", "made_again"),
    [
        ("surrogate", "epoch-002", "craft sep", "surrogate resnet8 · seed 0"),
        ("craft", "protected", "victim sep", "craft sep linf-32"),
    ],
)
def test_a_damaged_artifact_is_set_aside_and_made_again(
    damage: Callable[[Path], None],
    kind: str,
    file: str,
    needed_by: str,
    made_again: str,
    before: Before,
    undisturbed: Undisturbed,
) -> None:
    sepbench, key = before(needed_by), undisturbed.keys[made_again]
    damage(sepbench.store.folder(kind, key) / f"{file}.safetensors")

    again = sepbench.run()
    assert again.code == 0
    assert again.ran.count(made_again) == 1
    (warning,) = again.complaints
    assert warning.startswith(f"sepbench: set aside the {kind} artifact {key}")
    (aside,) = (sepbench.home / "store" / "set-aside").iterdir()
    assert {path.name for path in aside.iterdir()} > {"reason.txt", f"{file}.safetensors"}
    assert again.table == undisturbed.table
    assert sepbench.outcomes() == undisturbed.outcomes
    assert sepbench.tensors() == undisturbed.home.tensors()


def test_a_damaged_protected_set_is_made_again_for_a_seed_added_later(
    after_a_run: Sepbench, undisturbed: Undisturbed
) -> None:
    (sep,) = (one for one in after_a_run.records().values() if one.method == "sep")
    flip_a_byte(after_a_run.store.folder("craft", sep.protected_key) / "protected.safetensors")
    more = after_a_run.run(seeds=[0, 1])
    assert more.code == 0
    assert more.ran.count("craft sep linf-32") == 1
    assert undisturbed.outcomes.items() <= after_a_run.outcomes().items()
    assert {one.protected_sha256 for one in after_a_run.records().values() if one.method == "sep"} == {
        sep.protected_sha256
    }


def test_damage_that_no_stage_needs_costs_no_work(after_a_run: Sepbench, undisturbed: Undisturbed) -> None:
    (sep,) = (one for one in after_a_run.records().values() if one.method == "sep")
    flip_a_byte(after_a_run.store.folder("surrogate", sep.surrogate_keys[0]) / "epoch-002.safetensors")
    again = after_a_run.run()
    assert (again.code, again.ran, again.table) == (0, [], undisturbed.table)
