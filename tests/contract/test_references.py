"""What plug-ins cite is a paper that can be found."""

import re
from importlib.resources import files

import pytest

from bench.contracts.defense import DEFENSES
from bench.contracts.method import METHODS
from bench.contracts.reference import Reference, references

CITED = {
    f"{registry.kind} {name}": registry.get(name).cite
    for registry in (METHODS, DEFENSES)
    for name in registry.names()
    if registry.get(name).cite
}


@pytest.mark.parametrize("plugin", CITED)
def test_what_a_plugin_cites_has_an_entry(plugin: str) -> None:
    assert CITED[plugin] in references()


def test_every_entry_of_the_file_is_read_and_cited() -> None:
    text = (files("bench") / "references.bib").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^@\w+\{(.*),$", text, re.MULTILINE)) == list(references())
    assert set(references()) == set(CITED.values())


def test_an_entry_is_read_field_by_field() -> None:
    assert references()["devries2017improved"] == Reference(
        key="devries2017improved",
        authors=("DeVries, Terrance", "Taylor, Graham W."),
        title="Improved Regularization of Convolutional Neural Networks with Cutout",
        venue="arXiv",
        year=2017,
        eprint="1708.04552",
    )


@pytest.mark.parametrize("paper", references().values(), ids=references())
def test_a_key_is_the_first_authors_name_the_year_and_a_word_of_the_title(paper: Reference) -> None:
    family, year, word = re.fullmatch(r"([a-z]+)(\d{4})(\w+)", paper.key).groups()  # type: ignore[union-attr]
    assert paper.authors[0].lower().startswith(family)
    assert paper.year == int(year)
    assert word in paper.title.lower().replace("-", "")
    assert re.fullmatch(r"\d{4}\.\d{5}", paper.eprint) or paper.page


def test_a_paper_that_is_not_on_arxiv_has_the_page_of_its_conference() -> None:
    assert references()["wen2023adversarial"].url == "https://openreview.net/forum?id=zKvm1ETDOq"
    assert str(references()["wen2023adversarial"]).endswith("ICLR 2023. https://openreview.net/forum?id=zKvm1ETDOq")


@pytest.mark.parametrize(
    ("key", "short"),
    [
        ("chen2023selfensemble", "Chen et al., Self-Ensemble Protection"),
        (
            "devries2017improved",
            "DeVries and Taylor, Improved Regularization of Convolutional Neural Networks with Cutout",
        ),
        ("sandoval2023can", "Sandoval-Segura et al., What Can We Learn from Unlearnable Datasets?"),
    ],
)
def test_a_paper_has_a_short_name(key: str, short: str) -> None:
    paper = references()[key]
    assert f"{paper.short_authors}, {paper.short_title}" == short
