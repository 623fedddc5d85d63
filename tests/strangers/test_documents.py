"""YAML, JSON and names from strangers: what stands for too much, never ends, or would act where it is shown."""

import json
import math
import os
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

import bench
from bench.cli.lists import listed
from bench.cli.naming import _read as changes_of_name
from bench.cli.options import say
from bench.core.impostors import what_it_is
from bench.data.originals.journal import Journal, Written
from bench.data.releases.opening import MANIFEST, size_made_for
from bench.flows.manifest import altered, read_manifest
from bench.read.leaderboard.vetting import vet
from bench.read.tables import build, to_csv
from bench.record.record import read_record
from bench.spec.file import load_experiment
from bench.spec.layout import TableLayout
from bench.store import lock
from bench.store.sealed import Damage, unseal
from tests.making.asking import ask
from tests.making.experiments import TINY
from tests.making.protections import told_of
from tests.making.records import record
from tests.making.tiny_data import complaint

DEEP = "[" * 5000 + "]" * 5000


def laughs(levels: int = 9) -> str:
    """Return a few lines of YAML that stand for 8**levels values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


def test_anchors_that_stand_for_more_than_memory_holds_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(TINY + laughs())
    assert "its anchors stand for more than 100,000 values" in complaint(load_experiment, str(path))
    merged = "m0: &m0 {a: 1}\n" + "".join(
        f"m{n}: &m{n}\n  <<: [{', '.join([f'*m{n - 1}'] * 8)}]\n" for n in range(1, 9)
    )
    path.write_text(TINY + merged)
    assert "its anchors stand for more than 100,000 values" in complaint(load_experiment, str(path))
    one = f"{{{', '.join(laughs().splitlines())}}}"
    assert "the value is not YAML" in complaint(load_experiment, "quickstart", overrides=[f"recipe={one}"])
    assert "is no list of names" in complaint(listed, "--methods", one)


@pytest.mark.parametrize(
    "text", ["2001-99-99", "!!int ''", "!!timestamp a", "!!bool a", "9" * 5000, "{a: " * 2000, "!!python/x a"]
)
def test_a_value_that_no_tag_fits_is_refused_in_a_sentence(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(f"name: {text}\n")
    assert complaint(load_experiment, str(path)).startswith(str(path))
    assert "is not YAML" in complaint(load_experiment, "quickstart", overrides=[f"recipe.epochs={text}"])
    assert "is no list of names" in complaint(listed, "--methods", text)
    answer = ask("check", "x.py", "--set", f"a={text}")
    assert (answer.code, answer.out) == (2, "")
    assert "is not YAML" in answer.err


@pytest.mark.parametrize("kind", ["pipe", "device", "large"])
def test_what_never_ends_is_not_read(kind: str, tmp_path: Path) -> None:
    for name in ("x.yaml", "x.json"):
        path = tmp_path / name
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "device":
            path.symlink_to("/dev/zero")
        else:
            with path.open("wb") as file:
                file.truncate(2**40)  # of holes
    expected = "which an experiment never has" if kind == "large" else "is neither a file nor a folder"
    assert expected in complaint(load_experiment, str(tmp_path / "x.yaml"))
    expected = "which a record never has" if kind == "large" else "is neither a file nor a folder"
    assert expected in complaint(read_record, tmp_path / "x.json")


@pytest.mark.parametrize("odd", ["\x1b]0;mine\x07", "a\nb", "\u202egnp.exe", "\u2066", "\x9b2J"])
def test_a_record_whose_names_act_on_a_terminal_is_none(odd: str, tmp_path: Path) -> None:
    for fields in ({"dataset": odd}, {"method_params": {odd: 1}}, {"classes": ("a", odd)}):
        (tmp_path / "a.json").write_text(record(test_acc=1.0, **fields).to_json())
        sentence = complaint(read_record, tmp_path / "a.json")
        assert "holds what cannot be printed" in sentence
        assert odd not in sentence
    (tmp_path / "a.json").write_text(record(status="failed", reason=odd, dataset="größer 画像").to_json())
    assert read_record(tmp_path / "a.json").reason == odd


def test_a_sentence_shows_what_would_act_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say("there is no \x1b[2J\u202efile\n größer")
    assert capsys.readouterr().err == "sepbench: there is no \\x1b[2J\\u202efile\\n größer\n"


@pytest.mark.parametrize("name", ["=cmd()", "+1", "@x", "-2"])
def test_a_name_is_no_formula_in_a_spreadsheet_and_none_on_the_page(name: str, tmp_path: Path) -> None:
    found = record(test_acc=20.0, linf_levels=8, l2=1.0, l0=3, dataset=name)
    assert f",'{name}," in to_csv(build([found], TableLayout()))
    (tmp_path / "a.json").write_text(found.to_json())
    good, refused = vet(tmp_path)
    assert good == []
    assert f"'{name}' begins as a formula of a spreadsheet does" in refused[0]


def test_deep_json_is_damage_wherever_it_is_read(tmp_path: Path) -> None:
    for name in (MANIFEST, "n.json", "a.lock"):
        (tmp_path / name).write_text(DEEP)
    assert read_manifest(tmp_path) is None
    assert size_made_for(tmp_path) is None
    assert "cannot be read" in complaint(changes_of_name, tmp_path / "n.json")
    assert lock.owner(tmp_path, "a") == "an unknown process"
    with pytest.raises(Damage):
        unseal(DEEP.encode(), "it")
    assert what_it_is(b"[" * 1500) is None


def test_a_manifest_that_names_files_elsewhere_is_of_none_here(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"")
    out = tmp_path / "out"
    out.mkdir()
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    names = ["../secret", str(tmp_path / "secret"), "x" * 300, "a\0b"]
    files = [{"name": "a", "file": name, "sha256_in": "", "sha256_out": empty} for name in names]
    (out / MANIFEST).write_text(json.dumps(told_of(*files)))
    told = read_manifest(out)
    assert told is not None
    assert altered(out, told) == names
    (out / MANIFEST).write_text(json.dumps(told_of({**files[0], "file": ["x"]})))
    told = read_manifest(out)
    assert told is not None
    assert altered(out, told) == ["['x']"]


def test_lines_of_a_journal_that_no_writer_left_are_passed_over(tmp_path: Path) -> None:
    Journal(tmp_path, "p").claim()
    (path,) = tmp_path.iterdir()
    good = Written("a", "a.png", "0", "1", (), {})
    wrong = [replace(good, notes=1), replace(good, measured=[1])]  # type: ignore[arg-type]
    others = [json.dumps(asdict(good)), good.to_line().replace("a.png", "b.png"), *(one.to_line() for one in wrong)]
    lines = [b"1", b"[]", b'{"name": []}', b"\xff\xfe", DEEP.encode(), *map(str.encode, [good.to_line(), *others])]
    path.write_bytes(b"\n".join([path.read_bytes().rstrip(b"\n"), *lines, b""]))
    journal = Journal(tmp_path, "p")
    found = journal.find("a")
    assert found is not None
    assert found.file == "a.png"


@pytest.mark.parametrize(
    "fields",
    [
        *({"budget": math.nan}, {"test_acc": math.inf}, {"method_params": {"a": math.nan}}, {"protected_classes": 0}),
        *({"craft_seconds": 1e200}, {"test_acc": -1e101}),
        {"plugins": {"method far": {"defaults": {}}}},
    ],
)
def test_a_record_that_no_table_can_show_is_none(fields: dict[str, Any], tmp_path: Path) -> None:
    document = json.loads(record(test_acc=1.0).to_json())
    (tmp_path / "a.json").write_text(json.dumps({**document, **fields}))
    assert "is not a valid record" in complaint(read_record, tmp_path / "a.json")


def test_a_table_shows_a_norm_that_is_not_known_here() -> None:
    assert "l7" in to_csv(build([record(test_acc=20.0, norm="l7")], TableLayout()))


def test_nothing_of_sepbench_listens() -> None:
    root = Path(bench.__file__).parents[1]
    files = [path for folder in ("bench", "methods", "victims") for path in (root / folder).rglob("*.py")]
    assert len(files) > 100
    pattern = re.compile(r"http\.server|socketserver|xmlrpc|\.listen\(|\.bind\(|create_server|start_server")
    assert [path for path in files if pattern.search(path.read_text(encoding="utf-8"))] == []
