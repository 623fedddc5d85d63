"""The papers that plug-ins cite: what a key such as `chen2023selfensemble` stands for."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from bench.core.errors import SepbenchError

_ENTRY = re.compile(r"^@\w+\{([^,\s]+),\n(.*?)^\}$", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"^ *(\w+) *= *\{(.*)\},?$", re.MULTILINE)


@dataclass(frozen=True)
class Reference:
    """A paper.

    Attributes
    ----------
    key
        What the `cite` of a plug-in names.
    authors
        As "Family, Given", in the paper's order.
    venue
        Short name of the conference, or arXiv.
    eprint
        Number on arXiv; empty for a paper that is not there.
    page
        The address of the latter, where it was published; empty for a paper on arXiv.

    """

    key: str
    authors: tuple[str, ...]
    title: str
    venue: str
    year: int
    eprint: str = ""
    page: str = ""

    @property
    def url(self) -> str:
        """Where it can be read."""
        return self.page or f"https://arxiv.org/abs/{self.eprint}"

    @property
    def short_title(self) -> str:
        """The title up to its colon."""
        return self.title.partition(":")[0]

    @property
    def short_authors(self) -> str:
        """Family names: of one or two authors, or of the first and "et al."."""
        families = [author.partition(",")[0] for author in self.authors]
        return " and ".join(families) if len(families) < 3 else f"{families[0]} et al."

    def __str__(self) -> str:
        names = [" ".join(reversed(author.split(", "))) for author in self.authors]
        title = self.title if self.title.endswith("?") else f"{self.title}."
        return f"{', '.join(names)}. {title} {self.venue} {self.year}. {self.url}"


@cache
def references() -> dict[str, Reference]:
    """Return the papers of `bench/references.bib` by their keys.

    Raises `SepbenchError` where an entry lacks a field. The file is BibTeX of the plainest kind: a field a line. A
    paper that is not on arXiv has a `url` in place of its `eprint`.
    """
    return {key: _reference(key, dict(_FIELD.findall(body))) for key, body in _ENTRY.findall(_text())}


def bibtex(keys: Collection[str]) -> str:
    """Return the entries of these keys as they stand in `bench/references.bib`; one that it does not know has none."""
    return "\n\n".join(entry[0] for entry in _ENTRY.finditer(_text()) if entry[1] in keys)


def _text() -> str:
    return (files("bench") / "references.bib").read_text(encoding="utf-8")


def _reference(key: str, fields: dict[str, str]) -> Reference:
    try:
        return Reference(
            key=key,
            authors=tuple(fields["author"].split(" and ")),
            title=fields["title"].strip("{}"),
            venue=fields.get("booktitle") or fields["howpublished"],
            year=int(fields["year"]),
            eprint="" if "url" in fields else fields["eprint"],
            page=fields.get("url", ""),
        )
    except KeyError as error:
        raise SepbenchError(f"references.bib: the entry {key} has no field {error.args[0]}") from None
