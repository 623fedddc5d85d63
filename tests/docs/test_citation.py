"""CITATION.cff says how to cite this version, and the paper behind it."""

from typing import Any

import pytest
import yaml

from bench import __version__
from bench.contracts.reference import references
from tests.making.pages import read


@pytest.fixture(scope="module")
def citation() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(read("CITATION.cff"))
    return found


def test_it_has_what_the_format_asks_for(citation: dict[str, Any]) -> None:
    assert citation["cff-version"] == "1.2.0"
    assert all(citation[field] for field in ("message", "title", "abstract", "authors", "keywords", "references"))
    assert citation["type"] == "software"


def test_it_is_of_this_version_license_and_owner(citation: dict[str, Any]) -> None:
    assert citation["version"] == __version__
    assert read("LICENSE").startswith(f"{citation['license']} License\n")
    assert [f"Copyright (c) 2026 {one['name']}" in read("LICENSE") for one in citation["authors"]] == [True]


def test_the_paper_is_the_one_that_sep_cites(citation: dict[str, Any]) -> None:
    [paper] = citation["references"]
    cited = references()["chen2023selfensemble"]
    assert paper["title"] == cited.title
    assert tuple(f"{one['family-names']}, {one['given-names']}" for one in paper["authors"]) == cited.authors
    assert (paper["year"], paper["url"]) == (cited.year, cited.url)
    assert cited.venue in paper["collection-title"]
