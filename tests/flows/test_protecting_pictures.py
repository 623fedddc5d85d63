"""A person's pictures come out protected, under their names, within the budget, and are themselves left alone."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.api import METHODS
from bench.core.errors import SepbenchError
from bench.flows.carry_out import Means, silent, workplace
from bench.flows.deliver import Delivery, Protected, report
from bench.flows.manifest import measure
from tests.making.pictures import file_of, photo, put
from tests.making.protections import CPU, carried_out, pets, planned

pytestmark = pytest.mark.slow


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image).astype(int)


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures in `images`, protected ones in `out`; the last picture is grey, and another one has alpha."""
    root = tmp_path_factory.mktemp("protected")
    pets(root / "images")
    put(root / "images", {"dog/grey.png": file_of(photo(16, 16, channels=1)), "cat/alpha.png": file_of(with_alpha())})
    before = state(root / "images")
    carried_out(planned(root / "images", root / "home"), root / "out")
    assert state(root / "images") == before
    return root


def with_alpha() -> Image.Image:
    return Image.fromarray(np.concatenate([photo(16, 16, seed=7), photo(16, 16, channels=1, seed=8)[..., None]], 2))


def test_every_picture_comes_out_under_its_own_name_and_within_the_budget(folder: Path) -> None:
    names = list(state(folder / "images"))
    assert [*state(folder / "out")] == sorted([*names, "manifest.json", "preview.png"])
    for name in names:
        change = np.abs(pixels(folder / "out" / name) - pixels(folder / "images" / name))
        assert 0 < change.max() <= 8


def test_a_grey_picture_stays_grey_and_alpha_is_as_it_was(folder: Path) -> None:
    assert pixels(folder / "out" / "dog" / "grey.png").shape == (16, 16)
    before, after = (pixels(folder / where / "cat" / "alpha.png") for where in ("images", "out"))
    assert (after[..., 3] == before[..., 3]).all()


def test_the_manifest_says_of_each_file_what_it_was_and_is(folder: Path) -> None:
    told = json.loads((folder / "out" / "manifest.json").read_bytes())
    assert [one["name"] for one in told["files"]] == [*state(folder / "images")]
    for one in told["files"]:
        before, after = folder / "images" / one["name"], folder / "out" / one["file"]
        assert one["sha256_in"] == hashlib.sha256(before.read_bytes()).hexdigest()
        assert one["sha256_out"] == hashlib.sha256(after.read_bytes()).hexdigest()
        change = (pixels(after) - pixels(before)).reshape(16, 16, -1)
        change = change.repeat(3, 2) if change.shape[2] == 1 else change
        assert one["linf"] == np.abs(change).max()
        assert one["l2"] == pytest.approx(np.sqrt((change**2).sum()) / 255, abs=1e-4)
        assert one["psnr"] == pytest.approx(10 * np.log10(255**2 / (change[..., :3] ** 2).mean()), abs=0.01)
    spent = [one["linf"] for one in told["files"]]
    assert told["spent"]["largest_linf"] == max(spent)
    assert told["spent"]["mean_linf"] == pytest.approx(sum(spent) / len(spent), abs=1e-4)


def test_the_manifest_says_how_the_pictures_came_about(folder: Path) -> None:
    told = json.loads((folder / "out" / "manifest.json").read_bytes())
    protection = planned(folder / "images", folder / "home")
    assert (told["method"], told["budget"], told["seed"]) == ("sep", "linf-8", 0)
    assert told["parameters"] == {**told["parameters"], "checkpoints": 2, "steps": 2, "step_size": 4}
    assert told["recipe"]["name"] == "digits[batch_size=8,epochs=2]"
    assert told["protected_key"] == protection.stage.key
    assert [one["key"] for one in told["surrogates"]] == list(protection.stage.inputs)
    assert (told["crafted_at"], told["fit"]) == ({"width": 16, "height": 16}, None)
    assert told["classes"] == ["cat", "dog"]


def test_no_number_is_said_of_a_picture_that_did_not_change() -> None:
    still = photo(16, 20)
    assert measure(still, still) == {
        "width": 20,
        "height": 16,
        "linf": 0,
        "l2": 0.0,
        "l0": 0,
        "psnr": None,
        "ssim": 1.0,
    }


def test_the_report_says_how_many_there_are_and_what_they_spent(folder: Path) -> None:
    told = json.loads((folder / "out" / "manifest.json").read_bytes())
    first = report(Protected(folder / "out", told)).splitlines()[0]
    assert first.startswith(
        f"14 protected pictures are in {folder / 'out'}: no value moved by more than 8 of 255 levels"
    )
    assert f"PSNR {told['spent']['mean_psnr']:.1f} dB" in first


def test_the_report_says_where_the_surrogate_has_hardly_learnt_anything(folder: Path) -> None:
    told = json.loads((folder / "out" / "manifest.json").read_bytes())
    (surrogate,) = told["surrogates"]
    weak = "the surrogate resnet8 recognises 64 % of the pictures that it was trained on, and guessing 50 %: "
    for accuracy, said in ((64.0, True), (65.0, False)):  # of two classes
        changed = {**told, "surrogates": [{**surrogate, "training_accuracy": accuracy}]}
        lines = report(Protected(folder, changed)).splitlines()
        assert any(line.startswith(weak) for line in lines) is said


def test_the_same_again_writes_nothing(folder: Path) -> None:
    before = state(folder / "out")
    again = carried_out(planned(folder / "images", folder / "home"), folder / "out")
    assert state(folder / "out") == before
    assert again.manifest == json.loads(before["manifest.json"][0])


def test_what_was_altered_since_is_written_again_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    out = shutil.copytree(folder / "out", tmp_path / "out")
    before = state(out)
    with (out / "cat/0.png").open("ab") as file:
        file.write(b"!")
    (out / "cat/1.png").unlink()
    shutil.copy(folder / "images/dog/2.png", out / "dog/2.png")
    protection = planned(folder / "images", folder / "home")
    delivery = Delivery(protection, out)
    assert delivery.finished is None
    with delivery, workplace(protection.plan, Means(protection.home, CPU, mlflow=False, display=silent)) as place:
        (said,) = delivery.craft(place)
        delivery.write()
    assert said == f"cat/0.png and 2 more of {out} had been altered or removed since and will be written again"
    after = state(out)
    assert {name: content for name, (content, _) in after.items()} == {
        name: content for name, (content, _) in before.items()
    }
    rewritten = {"cat/0.png", "cat/1.png", "dog/2.png", "manifest.json", "preview.png"}
    assert {name for name in after if after[name] != before[name]} == rewritten


def test_mending_that_was_stopped_goes_on(folder: Path, tmp_path: Path) -> None:
    def stop(written: int) -> None:
        raise KeyboardInterrupt

    out = shutil.copytree(folder / "out", tmp_path / "out")
    for name in ("cat/0.png", "dog/2.png"):
        (out / name).unlink()
    protection = planned(folder / "images", folder / "home")
    with pytest.raises(KeyboardInterrupt):
        carried_out(protection, out, stop)
    assert not (out / "dog/2.png").exists()
    carried_out(protection, out)
    assert {name: content for name, (content, _) in state(out).items()} == {
        name: content for name, (content, _) in state(folder / "out").items()
    }


def test_an_original_whose_alpha_has_changed_is_another_picture(folder: Path, tmp_path: Path) -> None:
    images = shutil.copytree(folder / "images", tmp_path / "images")
    out = shutil.copytree(folder / "out", tmp_path / "out")
    assert Delivery(planned(images, folder / "home"), out).finished is not None
    with Image.open(images / "cat/alpha.png") as image:
        clear = image.convert("RGB")
    clear.putalpha(7)
    clear.save(images / "cat/alpha.png")
    with pytest.raises(SepbenchError, match="is not empty"):
        Delivery(planned(images, folder / "home"), out)


def test_a_picture_that_somebody_added_is_named_and_not_judged(folder: Path, tmp_path: Path) -> None:
    out = shutil.copytree(folder / "out", tmp_path / "out")
    put(out, {"README.md": b"mine", "banner.png": file_of(photo(16, 16))})  # nobody takes these for protected pictures
    protection = planned(folder / "images", folder / "home")
    assert Delivery(protection, out).finished is not None
    put(out, {"cat/extra.jpg": file_of(photo(16, 16), "JPEG")})
    with pytest.raises(SepbenchError, match=r"out holds cat/extra\.jpg, which this protection has not written: move "):
        Delivery(protection, out)


def test_a_grey_picture_is_moved_as_strongly_where_all_have_one_size(folder: Path) -> None:
    protection = planned(folder / "images", folder / "home")
    index = protection.originals.names.index("dog/grey.png")
    crafted = protection.home.store.tensors("craft", protection.stage.key, "protected")["images"][index].numpy()
    clean = protection.originals.picture(index).rgb
    wanted = crafted.transpose(1, 2, 0).astype(float) - clean
    mean = wanted.mean(2)
    as_strong = mean * np.linalg.norm(wanted) / (np.sqrt(3) * np.linalg.norm(mean))
    expected = np.clip(clean[..., 0] + np.clip(np.floor(np.clip(as_strong, -8, 8) + 0.5), -8, 8), 0, 255)
    assert np.abs(pixels(folder / "out/dog/grey.png") - expected).max() == 0
    assert np.abs(expected - clean[..., 0]).mean() > np.abs(np.rint(mean)).mean()


@pytest.mark.parametrize("changes", [{"budget": "linf-4"}, {"seed": 1}, {"size": 12}])
def test_another_protection_is_not_written_over_a_finished_one(folder: Path, changes: dict[str, Any]) -> None:
    before = state(folder / "out")
    with pytest.raises(SepbenchError, match="is not empty"):
        carried_out(planned(folder / "images", folder / "home", **changes), folder / "out")
    assert state(folder / "out") == before


@pytest.mark.parametrize("lost", ["pictures", "classes", "surrogates", "spent", "remarks", "files"])
def test_a_manifest_that_lost_something_makes_the_folder_that_of_others(
    folder: Path, tmp_path: Path, lost: str
) -> None:
    out = shutil.copytree(folder / "out", tmp_path / "out")
    told = json.loads((out / "manifest.json").read_bytes())
    (out / "manifest.json").write_text(json.dumps({name: one for name, one in told.items() if name != lost}))
    before = state(out)
    with pytest.raises(SepbenchError, match="out is not empty, it has cat: give a folder"):
        Delivery(planned(folder / "images", folder / "home"), out)
    assert state(out) == before


def test_writing_goes_on_where_it_was_stopped(folder: Path, tmp_path: Path) -> None:
    def stop(written: int) -> None:
        if written == 5:
            raise KeyboardInterrupt

    protection = planned(folder / "images", folder / "home")
    with pytest.raises(KeyboardInterrupt):
        carried_out(protection, tmp_path / "out", stop)
    half = state(tmp_path / "out")
    assert len(half) == 5 + 1  # and what says that the folder is unfinished
    assert not {"manifest.json", "preview.png"} & half.keys()
    carried_out(protection, tmp_path / "out")
    whole = state(tmp_path / "out")
    assert {name: content for name, (content, _) in whole.items()} == {
        name: content for name, (content, _) in state(folder / "out").items()
    }
    pictures = [name for name in half if name.endswith(".png")]
    assert [whole[name] for name in pictures] == [half[name] for name in pictures]


def test_pictures_of_several_sizes_keep_them(tmp_path: Path) -> None:
    sizes = {"cat/wide.png": (12, 30), "cat/small.png": (12, 12), "dog/high.png": (41, 20), "dog/odd.png": (17, 13)}
    put(tmp_path / "images", {name: file_of(photo(*size)) for name, size in sizes.items()})
    protection = planned(
        tmp_path / "images", tmp_path / "home", recipe={"name": "digits", "epochs": 2, "batch_size": 2}
    )
    assert protection.size.side == 12  # the median of the shorter sides 12, 12, 20, 13 is 12.5
    made = carried_out(protection, tmp_path / "out")
    for name, size in sizes.items():
        change = np.abs(pixels(tmp_path / "out" / name) - pixels(tmp_path / "images" / name))
        assert change.shape == (*size, 3)
        assert 0 < change.max() <= 8
    assert made.manifest["fit"] == "squeeze"


def test_pictures_of_two_classes_and_one_of_them_alone_are_protected(tmp_path: Path) -> None:
    put(tmp_path / "images", {"cat/0.png": file_of(photo(16, 16)), "dog/0.png": file_of(photo(16, 16, seed=1))})
    assert carried_out(planned(tmp_path / "images", tmp_path / "home"), tmp_path / "out").manifest["pictures"] == 2


def test_a_stage_that_fails_is_named_and_leaves_the_folder_without_pictures(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(METHODS.get("sep"), "craft", fail)
    with pytest.raises(SepbenchError, match=r"craft sep linf-2 failed: RuntimeError: out of memory; its traceback is"):
        carried_out(planned(folder / "images", folder / "home", budget="linf-2"), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").rglob("*")] == [".sepbench-unfinished.jsonl"]


def test_damaged_perturbations_are_crafted_again(folder: Path, tmp_path: Path) -> None:
    protection = planned(folder / "images", tmp_path / "home")
    carried_out(protection, tmp_path / "first")
    store = protection.home.store
    file = store.folder("craft", protection.stage.key) / "protected.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    carried_out(protection, tmp_path / "second")
    assert (tmp_path / "second/cat/0.png").read_bytes() == (tmp_path / "first/cat/0.png").read_bytes()
