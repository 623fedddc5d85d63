"""Reading the project's Markdown pages."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block of code; `file` is the path that its first line, a comment, gives it."""

    language: str
    text: str

    @property
    def file(self) -> str | None:
        found = re.match(r"# (\S+/\S+|\S+\.\w+)\n", self.text)
        return found[1] if found else None


def blocks(page: str, *languages: str) -> list[Block]:
    """Return the fenced blocks of these languages in a page of the repository."""
    found = [Block(*match) for match in _BLOCK.findall(read(page))]
    return [block for block in found if block.language in languages]


def commands(page: str) -> list[str]:
    """Return the command lines of the page's shell blocks, without comments, prompts and output, each once."""
    found = []
    for block in blocks(page, "sh", "bash", "console", "shell"):
        lines = block.text.replace("\\\n", " ").splitlines()
        if block.language == "console":
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        found += [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return list(dict.fromkeys(found))


def links(page: str) -> list[str]:
    """Return the targets of the page's links within the repository, less their anchors."""
    prose = _BLOCK.sub("", read(page))
    targets = [target.partition("#")[0] for target in _LINK.findall(prose)]
    return [target for target in targets if target and "://" not in target and not target.startswith("mailto:")]


def anchors(page: str) -> list[str]:
    """Return the headings of the page that its links name, as the links write them."""
    return [target[1:] for target in _LINK.findall(_BLOCK.sub("", read(page))) if target.startswith("#")]


def headings(page: str) -> list[str]:
    """Return the page's headings as links name them: small letters, hyphens for spaces, no punctuation."""
    titles = re.findall(r"^#+ (.+)$", _BLOCK.sub("", read(page)), re.MULTILINE)
    return [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]


def rows(page: str, heading: str) -> dict[str, list[str]]:
    """Return the rows of the first table below a heading: what stands in the first cell, in code, and the cells."""
    below = re.split(rf"^#+ {re.escape(heading)}$", read(page), maxsplit=1, flags=re.MULTILINE)[1]
    table = re.search(r"(?:^\|.*\|\n)+", below, re.MULTILINE)
    assert table is not None, f"no table below {heading}"
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[0].splitlines()[2:]]
    return {first.strip("`"): rest for first, *rest in cells}


def tables(page: str) -> list[str]:
    """Return the page's tables, each as its lines stand there."""
    return [match[0].rstrip() for match in re.finditer(r"(?:^\|.*\|\n)+", read(page), re.MULTILINE)]


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")
