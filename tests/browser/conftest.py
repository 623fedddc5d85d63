"""A browser without a window, and the leaderboard in it."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from board import Board
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from submissions import RECORDS

from bench.read.leaderboard.page import render
from bench.read.leaderboard.published_rows import published_rows
from bench.read.leaderboard.rows import rows_of
from bench.record.published import Published
from bench.record.record import Record

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")


@pytest.fixture(scope="module")
def driver() -> Iterator[webdriver.Chrome]:
    if BROWSER is None or DRIVER is None:
        pytest.skip("chromium and chromedriver are not both installed: apt install chromium chromium-driver")
    options = Options()
    options.binary_location = BROWSER
    for switch in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1200,1400"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield browser
    browser.quit()


@pytest.fixture
def open_board(driver: webdriver.Chrome, tmp_path: Path) -> Callable[[list[Record]], Board]:
    """Open the leaderboard of some records and one published number."""

    def opened(records: list[Record]) -> Board:
        page = tmp_path / "index.html"
        page.write_text(render([*rows_of(records), *published_rows([PUBLISHED])]), encoding="utf-8")
        return Board(driver, page)

    return opened


@pytest.fixture
def board(open_board: Callable[[list[Record]], Board]) -> Board:
    """Open the leaderboard of a few methods, victims and defenses, one of them under a profile."""
    return open_board(RECORDS)


PUBLISHED = Published(
    source="A paper, table 1",
    dataset="cifar10",
    victim="resnet18",
    recipe="sep-2023",
    method="sep",
    norm="linf",
    budget=8.0,
    defense="plain",
    test_acc=3.85,
    std=0.12,
    n=5,
    note="on a GPU",
)
