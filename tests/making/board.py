"""The leaderboard as a reader meets it."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # where selenium is not installed, the browser's fixture skips its tests
    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

PATIENCE = 60  # seconds until a browser on a busy machine is given up


class Board:
    """The page in a browser."""

    def __init__(self, driver: "Chrome", page: Path) -> None:
        self.driver = driver
        self.page = page
        self.visit("")

    def visit(self, address: str) -> None:
        """Open the page anew, `address` with its #."""
        self.driver.get("about:blank")
        self.driver.get(self.page.as_uri() + address)

    def find(self, selector: str) -> "WebElement":
        """Return the first element that fits."""
        return self.driver.find_element("css selector", selector)

    def all(self, selector: str) -> list["WebElement"]:
        """Return every element that fits."""
        return self.driver.find_elements("css selector", selector)

    def texts(self, selector: str) -> list[str]:
        """Return the texts of every element that fits, shown or not."""
        return [
            text.strip()
            for text in self.run(
                "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)", selector
            )
        ]

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page."""
        return self.driver.execute_script(script, *arguments)

    def choose(self, name: str, value: str) -> None:
        """Set one of the filters."""
        from selenium.webdriver.support.select import Select

        Select(self.find(f"select[name={name}]")).select_by_value(value)

    def switch(self, name: str) -> None:
        """Check or uncheck a box."""
        self.find(f"input[name={name}]").click()

    def press(self, *keys: str) -> None:
        """Press keys where the focus is."""
        self.driver.switch_to.active_element.send_keys(*keys)

    @property
    def status(self) -> str:
        """What a screen reader is told about the table."""
        return self.find("[role=status]").text

    @property
    def complaints(self) -> list[dict[str, Any]]:
        """What the browser has to complain about, each complaint once."""
        found: list[dict[str, Any]] = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return found

    @property
    def means(self) -> list[float]:
        """The accuracies from top to bottom."""
        return [float(text) for text in self.texts("tbody td.mean .value")]

    def downloaded(self, folder: Path) -> list[dict[str, str]]:
        """Download the table to `folder` and read it."""
        from selenium.webdriver.support.wait import WebDriverWait

        self.driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)})
        self.find("#download").click()
        # It has its name before it has its content.
        WebDriverWait(self.driver, PATIENCE).until(lambda _: any(one.stat().st_size for one in folder.glob("*.csv")))
        (file,) = folder.glob("*.csv")
        with file.open(encoding="utf-8", newline="") as lines:
            return list(csv.DictReader(lines))


OpenBoard = Callable[..., Board]
"""Opens the leaderboard of some records, with matrices where the second argument says so."""

ENTER, ESCAPE, SPACE, RIGHT = "\ue007", "\ue00c", "\ue00d", "\ue014"
"""Keys, by the code points that WebDriver gives them."""
