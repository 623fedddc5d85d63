"""A table as HTML that says which head belongs to which cell, and needs nothing from elsewhere."""

from html.parser import HTMLParser

import pytest

from bench.read.tables import (
    Table,
    build,
    html_table,
    to_html,
)
from bench.spec.layout import TableLayout
from tests.making.records import runs


class Grid(HTMLParser):
    """Lays cells out as a browser does, spans included, and remembers the tags."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.grid: dict[tuple[int, int], str] = {}
        self.row, self.spot, self.size = -1, (0, 0), (1, 1)
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        if tag != "meta":
            self.open.append(tag)
        self.row += tag == "tr"
        if tag in ("th", "td"):
            column = 0
            while (self.row, column) in self.grid:
                column += 1
            self.size = int(given.get("rowspan") or 1), int(given.get("colspan") or 1)
            self.spot = self.row, column
            self.write("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"th", "td"} & set(self.open):
            self.write(self.grid[self.spot] + data)

    def write(self, text: str) -> None:
        for down in range(self.size[0]):
            for right in range(self.size[1]):
                self.grid[self.spot[0] + down, self.spot[1] + right] = text

    def lines(self) -> list[list[str]]:
        width = 1 + max(column for _, column in self.grid)
        return [[self.grid[row, column] for column in range(width)] for row in range(self.row + 1)]


@pytest.fixture
def table() -> Table:
    records = [
        *runs([94.0, 95.0, 94.4], method="none"),
        *runs([10.0, 12.0, 11.0]),
        *runs([80.0, 83.0, 82.0], defense="jpeg-10"),
        *runs([50.0, 51.0, 52.5], method="<b>&amp;", defense="jpeg-10"),
    ]
    return build(records, TableLayout(columns=["victim", "defense"], summary=("worst",)), experiment="a < b & c")


def test_every_cell_stands_below_its_labels() -> None:
    values = {
        ("resnet8", "plain"): 1.0,
        ("resnet8", "jpeg-10"): 2.0,
        ("vgg16", "plain"): 3.0,
        ("vgg16", "jpeg-10"): 4.0,
    }
    records = [run for (victim, d), acc in values.items() for run in runs([acc], victim=victim, defense=d)]
    table = build(records, TableLayout(columns=["victim", "defense"], summary=("worst",)))
    assert Grid(html_table(table)).lines() == [
        ["method", "resnet8", "resnet8", "vgg16", "vgg16", "worst case"],
        ["method", "plain", "jpeg-10", "plain", "jpeg-10", "worst case"],
        ["sep", "1.0", "2.0", "3.0", "4.0", "4.0"],
    ]


def test_heads_have_scopes_and_parts_their_names(table: Table) -> None:
    tags = Grid(html_table(table)).tags
    assert [tag for tag, _ in tags if tag in ("table", "caption", "thead", "tbody")] == [
        *("table", "caption", "thead", "tbody")
    ]
    scopes = [given["scope"] for tag, given in tags if tag == "th"]
    assert scopes == ["col"] * 4 + ["row"] * 3


def test_text_is_text_and_never_markup(table: Table) -> None:
    page = to_html(table)
    assert "<title>a &lt; b &amp; c: test accuracy (%)</title>" in page
    assert '<th scope="row">&lt;b&gt;&amp;amp;</th>' in page
    assert Grid(page).lines()[-1][0] == "<b>&amp;"


def test_the_best_is_strong_and_the_notes_say_why(table: Table) -> None:
    page = html_table(table)
    assert '<td class="best"><strong>51.2</strong> ± 3.1</td>' in page
    assert "<p>Bold: the lowest of the methods in a column" in page
    assert '<td class="summary">' in page


def test_the_page_is_complete_and_alone(table: Table) -> None:
    page = to_html(table)
    parsed = Grid(page)
    assert parsed.open == []
    assert page.startswith("<!doctype html>")
    assert {tag for tag, _ in parsed.tags}.isdisjoint({"script", "link", "img", "iframe"})
    assert "http" not in page
