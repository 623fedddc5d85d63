"""The same request again goes on where the last one ended, and keeps what somebody has written into the card."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.core.disk import write_atomically
from bench.data.images import ImageSet
from bench.data.loading import load
from bench.data.spec import DatasetSpec
from bench.read.hub import hub_shards, ready_sets
from tests.making.asking import Finished, ask, changed, done, write
from tests.making.experiments import TINY
from tests.making.handed_on import SAME_FILES, front_matter
from tests.making.pictures import tree
from tests.making.plugin_sources import GOOD, write_plugin

pytestmark = pytest.mark.usefixtures("own_place")


def licensed(card: Path) -> str:
    """Fill in the licence of a card, as its person has to, and return the card."""
    text = card.read_text(encoding="utf-8")
    head, _, rest = text.partition("## Licence\n")
    mine = f"{head}## Licence\n\nCC BY 4.0, as the digits.\n\n## How to cite{rest.partition('## How to cite')[2]}"
    mine = changed(mine, "license: unknown\n", "license: other\nlicense_name: cc-by-4.0\n")
    card.write_text(mine, encoding="utf-8")
    return mine


def test_the_same_request_again_writes_only_what_is_missing_or_damaged(folder: Path) -> None:
    whole = tree(folder)
    (damaged,), (kept,) = ((folder / name).iterdir() for name in ("random-noise-linf-32", "sep-linf-32"))
    damaged.write_bytes(damaged.read_bytes()[:-7])
    written = kept.stat().st_mtime_ns
    done("export", "tiny.yaml", "--hub", folder, "--with-test")
    assert tree(folder) == whole
    assert kept.stat().st_mtime_ns == written


def test_an_export_that_was_interrupted_goes_on(
    finished: Finished, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = hub_shards.shards
    calls: list[str] = []

    def stops_at_the_second(images: ImageSet, split: str) -> Iterator[tuple[str, bytes]]:
        calls.append(split)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return sets(images, split)

    with monkeypatch.context() as patch:
        patch.setattr(ready_sets, "shards", stops_at_the_second)
        assert ask("export", "tiny.yaml", "--hub", tmp_path / "again", "--with-test").code == 3
    assert not (tmp_path / "again" / "README.md").exists()
    done("export", "tiny.yaml", "--hub", tmp_path / "again", "--with-test")
    assert tree(tmp_path / "again") == tree(folder)


def test_an_export_that_was_killed_in_its_first_file_goes_on(
    finished: Finished, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_killed(path: Path, data: bytes) -> None:
        if path.suffix == ".parquet":
            path.with_name(f".{path.name}.0.tmp").write_bytes(data[:7])
            raise KeyboardInterrupt
        write_atomically(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(ready_sets, "write_atomically", is_killed)
        assert ask("export", "tiny.yaml", "--hub", tmp_path / "again", "--with-test").code == 3
    done("export", "tiny.yaml", "--hub", tmp_path / "again", "--with-test")
    finished_files = {name: data for name, data in tree(tmp_path / "again").items() if not name.endswith(".tmp")}
    assert finished_files == tree(folder)


def test_the_manifest_has_the_digest_of_every_file(folder: Path) -> None:
    document = json.loads((folder / "sepbench.json").read_bytes())
    listed = {
        f"{name}/{file}": digest for name, one in document["sets"].items() for file, digest in one["files"].items()
    }
    files = {path: data for path, data in tree(folder).items() if path.endswith(".parquet")}
    assert listed == {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}


def test_a_set_that_was_crafted_anew_and_came_out_other_is_written_anew(plugins_as_before: None) -> None:
    text = changed(changed(TINY, "  - random-noise\n", ""), "limit: 200", "limit: 40")
    text = text[: text.index("methods:")] + "methods: [none, mine]\nvictims: [resnet8]\nseeds: [0]\n"
    mine = ["--plugin", write_plugin(GOOD)]
    done("run", write(text), "--no-mlflow", *mine)
    done("export", write(text), "--hub", "hub", *mine)
    card = Path("hub/README.md").read_text(encoding="utf-8")
    source = hashlib.sha256(GOOD.encode()).hexdigest()
    assert (
        f"* the method mine did not come with sepbench: it is of `mine.py`, digest of its source `{source}`\n" in card
    )
    write_plugin(GOOD.replace("+ budget.radius", "- budget.radius"))
    assert ask("run", write(text), "--no-mlflow", *mine, "--force", "craft").code == 0
    done("export", write(text), "--hub", "hub", *mine)
    part = str(Path("hub") / "mine-linf-32" / "train-*.parquet")
    read = load(DatasetSpec.parse({"name": "x", "format": "parquet", "train": part, "test": part, **SAME_FILES}))
    assert f"digest of the protected set: `{read.train.sha256}`" in Path("hub/README.md").read_text(encoding="utf-8")


def test_a_licence_that_somebody_has_filled_in_stays_and_all_else_is_as_it_is_now(finished_copy: Finished) -> None:
    folder, card = Path("hub"), Path("hub/README.md")
    done("export", "tiny.yaml", "--hub", folder, "--with-test")
    mine = licensed(card)
    assert f"{card}  data card\n" in done("export", "tiny.yaml", "--hub", folder, "--with-test")
    assert card.read_text(encoding="utf-8") == mine
    for path in (Path("home") / "records").rglob("*.json"):
        path.unlink()
    done("export", "tiny.yaml", "--hub", folder, "--with-test")
    assert "Nothing was measured on this set" in card.read_text(encoding="utf-8")
    assert (front_matter(folder)["license"], front_matter(folder)["license_name"]) == ("other", "cc-by-4.0")
    assert "license: unknown" not in card.read_text(encoding="utf-8")
    assert "## Licence\n\nCC BY 4.0, as the digits.\n\n## How to cite\n" in card.read_text(encoding="utf-8")


def test_a_card_of_which_more_was_changed_stays_and_the_new_one_stands_beside_it(finished_copy: Finished) -> None:
    folder, card, beside = Path("hub"), Path("hub/README.md"), Path("hub/README.new.md")
    done("export", "tiny.yaml", "--hub", folder, "--with-test")
    mine = changed(licensed(card), "# Protected sets of digits\n", "# Mine\n")
    card.write_text(mine, encoding="utf-8")
    assert f"{card}  data card, changed by hand and left so\n" in done(
        "export", "tiny.yaml", "--hub", folder, "--with-test"
    )
    assert not beside.exists()
    for path in (Path("home") / "records").rglob("*.json"):
        path.unlink()
    printed = done("export", "tiny.yaml", "--hub", folder, "--with-test")
    assert f"{card}  data card, changed by hand and left so; README.new.md beside it is the new one\n" in printed
    assert card.read_text(encoding="utf-8") == mine
    assert "Nothing was measured on this set" in beside.read_text(encoding="utf-8")
    beside.replace(card)
    assert f"{card}  data card\n" in done("export", "tiny.yaml", "--hub", folder, "--with-test")
    assert "license: unknown" in card.read_text(encoding="utf-8")
