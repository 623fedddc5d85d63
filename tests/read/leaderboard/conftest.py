"""A browser that opens leaderboards."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bench.read.leaderboard.matrix import matrices_of
from bench.read.leaderboard.page import render
from bench.read.leaderboard.published_rows import published_rows
from bench.read.leaderboard.rows import rows_of
from bench.record.record import Record
from tests.making.board import Board, OpenBoard
from tests.making.submissions import PUBLISHED

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")


@pytest.fixture(scope="package")
def driver() -> Iterator["Chrome"]:
    if BROWSER is None or DRIVER is None:
        pytest.skip("chromium and chromedriver are not both installed: apt install chromium chromium-driver")
    pytest.importorskip("selenium", reason="needs selenium, which is not installed")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for switch in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1200,1400"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield browser
    browser.quit()


@pytest.fixture
def open_board(driver: "Chrome", tmp_path: Path) -> OpenBoard:
    """Open the leaderboard of some records and one published number, with matrices where they are to be drawn."""

    def opened(records: list[Record], drawn: bool = False) -> Board:
        page = tmp_path / "index.html"
        rows = rows_of(records)
        shown = matrices_of(rows) if drawn else []
        page.write_text(render([*rows, *published_rows([PUBLISHED])], shown), encoding="utf-8")
        return Board(driver, page)

    return opened
