"""Keys name what lies in files: not where they lie, how their paths are written, or what lies beside them."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.contracts.defense import Defenses
from bench.core import paths
from bench.core.digests import Digests
from bench.core.paths import content_digest
from bench.plan.make import make_plan, plan_experiment
from bench.plan.stage import VictimJob
from bench.spec.experiment import Experiment
from tests.making.cards import WITH_MORE
from tests.making.data_files import WRITERS
from tests.making.experiments import LEARNING
from tests.making.quiet_changes import flipped, replace_quietly, write_quietly

pytestmark = pytest.mark.usefixtures("own_place", "settled_files")


def replaced(value: Any, old: str, new: str) -> Any:
    return {name: part.replace(old, new) if isinstance(part, str) else part for name, part in value.items()}


def keys_of_data(dataset: dict[str, Any], home: str) -> list[str]:
    fields = {**LEARNING, "methods": ["random-noise"], "dataset": {**dataset, "name": "x", "format": dataset["name"]}}
    return list(plan_experiment(Experiment.model_validate(fields), Path(home) / "cards").stages)


@pytest.mark.parametrize("name", WRITERS)
def test_how_the_path_of_a_data_set_is_written_is_in_no_key(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = WRITERS[name](tmp_path / "data", monkeypatch)
    dataset.setdefault("format", name)
    absolute = str(tmp_path / "data")
    (tmp_path / "link").symlink_to("data")
    (tmp_path / "below").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SEPBENCH_DATA", absolute)
    dataset = {**dataset, "name": dataset.pop("format")}
    expected = keys_of_data(dataset, "home")
    for written in ("data", "./data", "below/../data", "link", str(tmp_path / "link"), "~/data", "${SEPBENCH_DATA}"):
        assert keys_of_data(replaced(dataset, absolute, written), "home") == expected, written


@pytest.mark.parametrize("name", WRITERS)
def test_a_data_set_that_moves_or_is_copied_keeps_its_keys(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEPBENCH_DATA", str(tmp_path / "data"))
    dataset = WRITERS[name](tmp_path / "data", monkeypatch)
    dataset = replaced({**dataset, "name": dataset.pop("format", name)}, str(tmp_path / "data"), "${SEPBENCH_DATA}")
    expected = keys_of_data(dataset, "home")
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    (tmp_path / "data").rename(tmp_path / "moved")
    for place in ("copy", "moved"):
        monkeypatch.setenv("SEPBENCH_DATA", str(tmp_path / place))
        assert keys_of_data(dataset, "home") == expected
        assert keys_of_data(dataset, "another home") == expected


def experiment(defense: Any, **changes: Any) -> Experiment:
    fields = {**LEARNING, "methods": ["none", "random-noise"], "defenses": ["plain", defense], **changes}
    return Experiment.model_validate(fields)


def victims(defense: Any, **changes: Any) -> dict[str, str]:
    """Return the keys of the victims with a defense besides `plain`, by what they train on."""
    plan = make_plan(experiment(defense, **changes), WITH_MORE, digest=Digests(Path("home/cards")))
    found = {}
    for planned in plan.cells:
        job = plan.stages[planned.victim].job
        assert isinstance(job, VictimJob)
        if str(planned.cell.defense) != "plain":
            found[job.training_set] = planned.victim
    return found


def purified(folder: str = "cleaned") -> dict[str, Any]:
    return {"purified": {"folder": folder}}


@pytest.fixture
def cleaned() -> list[Path]:
    """The copies that victims of two releases and a mixture take, with as many bytes each."""
    Path("cleaned").mkdir()
    files = [Path(f"cleaned/{name}.npz") for name in victims(purified(), **MIXTURES)]
    for number, path in enumerate(files):
        path.write_bytes(bytes([number] * 100))
    return files


MIXTURES = {"protected_fractions": [0.5, 1.0]}


def test_victims_of_every_training_set_take_a_copy_of_their_own() -> None:
    Path("cleaned").mkdir()
    several = {"protected_fractions": [0.5, 1.0], "clean_images": [0, 50], "seeds": [0, 1], "victims": ["resnet8"]}
    releases, found = set(victims(purified())), victims(purified(), **several)
    of_whole_releases, of_drawn_parts = 2 * 2, 2 * 2  # releases by clean images; seeds by clean images
    assert len(found) == of_whole_releases + of_drawn_parts
    assert releases < set(found)
    again = victims(purified(), **several, recipe={**LEARNING["recipe"], "epochs": 1})
    assert set(again) == set(found), "how victims train changes nothing in what they train on"


def test_a_training_set_of_others_images_has_another_name() -> None:
    Path("cleaned").mkdir()
    before = set(victims(purified(), clean_images=[50]))
    for update in ({"train_sha256": "d" * 64}, {"extra_sha256": {50: "d" * 64}}):
        plan = make_plan(experiment(purified(), clean_images=[50]), WITH_MORE.model_copy(update=update))
        jobs = [stage.job for stage in plan.stages.values()]
        assert before.isdisjoint(job.training_set for job in jobs if isinstance(job, VictimJob))


def _beside(folder: Path) -> Iterator[Path]:
    yield from (folder / name for name in ("notes.txt", ".DS_Store", "0" * 64 + ".npz", "below/copy.npz"))


def test_a_file_beside_a_copy_is_in_no_key(cleaned: list[Path]) -> None:
    before = victims(purified(), **MIXTURES)
    for path in _beside(Path("cleaned")):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"anything")
        assert victims(purified(), **MIXTURES) == before


def test_a_new_copy_is_in_the_keys_of_its_own_victims_alone(cleaned: list[Path]) -> None:
    before = victims(purified(), **MIXTURES)
    for path in cleaned:
        content = path.read_bytes()
        path.unlink()
        assert _changed(before) == {path.stem}
        path.write_bytes(content)
        assert _changed(before) == set()


def _changed(before: dict[str, str]) -> set[str]:
    after = victims(purified(), **MIXTURES)
    assert after.keys() == before.keys()
    return {name for name in before if before[name] != after[name]}


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    number=st.integers(0, 2),
    position=st.integers(0, 99),
    bit=st.integers(0, 7),
    change=st.sampled_from([write_quietly, replace_quietly]),
)
def test_a_flipped_bit_of_a_copy_is_in_the_keys_of_its_victims_where_size_and_time_stay(
    number: int, position: int, bit: int, change: Callable[[Path, bytes], None], cleaned: list[Path]
) -> None:
    path, before = cleaned[number], victims(purified(), **MIXTURES)
    content = path.read_bytes()
    change(path, flipped(content, position, bit))
    assert _changed(before) == {path.stem}
    change(path, content)
    assert _changed(before) == set()


def _weights(folder: Path) -> dict[str, Any]:
    (folder / "weights.pt").write_bytes(b"weights")
    return {"pretrained": {"weights": str(folder / "weights.pt")}}


def _copies(folder: Path) -> dict[str, Any]:
    for name in victims(purified(str(folder))):
        (folder / f"{name}.npz").write_bytes(b"copy")
    return purified(str(folder))


@pytest.mark.parametrize("write", [_weights, _copies])
def test_a_file_of_a_defense_that_is_touched_copied_or_moved_keeps_its_keys(
    write: Callable[[Path], dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    defense = write(folder)
    ((name, params),) = defense.items()
    expected = victims(defense)
    for path in folder.iterdir():
        os.utime(path, ns=(1, 1))
    assert victims(defense) == expected
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "link").symlink_to("copy")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FILES", str(folder))
    for written in ("copy", str(tmp_path / "copy"), "link", "~/files", "${FILES}", "./files"):
        assert victims({name: replaced(params, str(folder), written)}) == expected, written
    folder.rename(tmp_path / "moved")
    assert victims({name: replaced(params, str(folder), "moved")}) == expected


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 6), bit=st.integers(0, 7))
def test_a_flipped_bit_of_weights_is_in_the_keys_where_size_and_time_stay(
    position: int, bit: int, tmp_path: Path
) -> None:
    defense = _weights(tmp_path)
    before = victims(defense)
    write_quietly(tmp_path / "weights.pt", flipped(b"weights", position, bit))
    assert before.keys() == victims(defense).keys()
    assert set(before.values()).isdisjoint(victims(defense).values())


def test_a_file_that_stays_what_it_is_is_digested_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    defense, read = _weights(tmp_path), []
    digest = paths.file_digest

    def note(path: Path) -> str:
        read.append(path)
        return digest(path)

    monkeypatch.setattr("bench.core.digests.file_digest", note)
    before = victims(defense)
    assert victims(defense) == before
    assert read == [tmp_path / "weights.pt"]
    os.utime(tmp_path / "weights.pt", ns=(1, 1))
    assert victims(defense) == before
    assert len(read) == 2


@pytest.mark.parametrize("damage", ["", "0" * 63, "g" * 64, "\udcff"])
def test_a_damaged_digest_is_made_again(damage: str, tmp_path: Path) -> None:
    defense = _weights(tmp_path)
    before = victims(defense)
    (kept,) = Path("home/cards").iterdir()
    kept.write_bytes(damage.encode(errors="surrogateescape"))
    assert victims(defense) == before
    assert kept.read_text() == content_digest(tmp_path / "weights.pt")


def test_digests_that_cannot_be_kept_are_made_every_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "known").write_text("a file where the folder should be")
    assert Digests(tmp_path / "known")(tmp_path / "file") == content_digest(tmp_path / "file")


def test_a_folder_is_all_that_lies_in_it(tmp_path: Path) -> None:
    folder, remembered = tmp_path / "folder", Digests(tmp_path / "known")
    (folder / "below").mkdir(parents=True)
    seen = set()
    for path in (folder / "a", folder / "below/a", folder / "b"):
        path.write_bytes(b"content")
        seen |= {content_digest(folder), remembered(folder), remembered(folder)}
    (folder / "b").rename(folder / "c")
    seen |= {content_digest(folder), remembered(folder)}
    assert len(seen) == 4


def test_a_copy_takes_the_place_of_all_that_was_done_to_the_images_before() -> None:
    with pytest.raises(ValueError, match=r"write purified first in 'jpeg-10\+purified-unnamed'"):
        Defenses.parse("jpeg-10+purified")
    assert str(Defenses.parse("cutout+purified-magic+jpeg-10")) == "cutout-16+purified-magic+jpeg-10"


def test_what_a_defense_reads_has_to_be_what_was_planned(tmp_path: Path) -> None:
    path = tmp_path / "unnamed.npz"
    met = Defenses.parse(purified(str(tmp_path))).on("unnamed")
    images, labels = torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"there is no unnamed\.npz"):
        met.dataset(images, labels, torch.Generator())
    path.touch()
    assert met.identity()[0]["files"] == [None]
    assert met.on("unnamed").identity()[0]["files"] == [content_digest(path)]
