"""The leaderboard in a real browser."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.making.board import ENTER, ESCAPE, RIGHT, SPACE, Board, OpenBoard
from tests.making.submissions import RECORDS, submission, submissions

pytestmark = pytest.mark.slow


@pytest.fixture
def board(open_board: OpenBoard) -> Board:
    """Open the leaderboard of a few methods, victims and defenses, one of them under a profile."""
    return open_board(RECORDS)


@pytest.fixture(autouse=True)
def _nothing_goes_wrong(board: Board) -> Iterator[None]:
    """Whatever a test does, the page asks for nothing and complains about nothing."""
    yield
    assert board.run("return performance.getEntriesByType('resource').map((one) => one.name)") == []
    assert board.complaints == []


def test_the_page_opens_on_undefended_victims_at_eight_levels(board: Board) -> None:
    assert board.find("input[name=track]:checked").get_attribute("value") == "linf-8"
    assert board.status == "7 rows: 6 measured here, 1 published."
    assert set(board.texts("tbody td.defense")) == {"plain"}


def test_a_page_without_rows_at_eight_levels_opens_where_most_were_measured(open_board: OpenBoard) -> None:
    norms = [("linf", 16.0, [30.0]), ("l2", 1.0, [20.0, 21.0])]
    records = [one for norm, size, found in norms for one in submissions(found, norm=norm, budget=size)]
    other = submission(method="tap", norm="l2", budget=1.0, test_acc=40.0, key="f" * 64)
    board = open_board([*records, other])
    assert board.find("input[name=track]:checked").get_attribute("value") == "l2-1"
    assert board.means


def test_another_accuracy_of_the_same_victims_can_be_chosen(open_board: OpenBoard) -> None:
    clean = submission(method="none", test_acc=90.0, peak_acc=91.0, relabelled_acc=90.0)
    sep = submission(test_acc=10.0, peak_acc=36.2, relabelled_acc=12.0, test_acc_per_class=(10.0,) * 10)
    board = open_board([clean, sep])
    assert board.texts("tbody.measured .tag:not(.why)") == ["peak 36.2 %", "clean reference"]
    assert board.means == [10.0, 90.0, 3.85]
    board.choose("value", "peak_acc")
    assert board.means == [36.2, 91.0]  # nobody published one
    assert "value=peak_acc" in board.run("return location.hash")
    assert len(board.all("tbody .chance")) == 1
    board.visit("#track=linf-8&value=relabelled_acc")
    assert board.means == [12.0, 90.0]


def test_only_rows_of_one_setting_are_ranked_together(board: Board) -> None:
    assert board.texts("tbody .heading th") == [
        "digits · resnet8 · plain · digits",
        "digits · resnet18 · plain · digits",
        "changed settingsdigits · resnet8 · plain · digits[epochs=1]",
        "publishedcifar10 · resnet18 · plain · sep-2023 · A paper, table 1",
    ]
    assert board.means == [12.0, 35.6, 97.2, 98.8, 23.0, 71.0, 3.85]


def test_published_and_changed_rows_are_marked_and_can_be_hidden(board: Board) -> None:
    assert board.texts("tbody.published .source") == ["A paper, table 1"]
    assert board.texts("tbody.published td.mean") == ["3.85sd 0.12, n = 5"]
    assert board.texts("tr.changed .tag") == [
        "changed settings",
        "profile fast",
        "recipe.epochs=1",
        "150 of 900 passes",
    ]
    board.switch("published")
    board.switch("changed")
    assert board.status == "5 rows: 5 measured here, 0 published."
    assert board.all("tr.changed, tbody.published") == []


@pytest.mark.parametrize("column", ["method", "mean", "victims", "defense", "victim", "dataset", "recipe"])
def test_every_column_sorts_in_both_directions(column: str, board: Board) -> None:
    board.visit("#track=linf-8&grouped=no&published=no&sort=" + ("victims" if column == "mean" else "mean"))

    def column_texts() -> list[str]:
        cells = {"mean": "td.mean .value", "method": ".name"}.get(column, f"td.{column}")
        return board.texts(f"tbody {cells}")

    for direction in ("ascending", "descending"):
        board.find(f"th [data-sort={column}]").click()
        assert board.find("th[aria-sort]").get_attribute("aria-sort") == direction
        texts = column_texts()
        ranks = {"resnet8": "8", "resnet18": "18"}  # as people count
        counted = column in ("mean", "victims", "victim")
        numbers = [float(ranks.get(text, text)) for text in texts] if counted else texts
        assert len(set(texts)) > 1 or column == "dataset"
        assert numbers == sorted(numbers, reverse=direction == "descending")


def test_filters_leave_what_fits(board: Board) -> None:
    board.choose("defense", "")
    assert board.status == "8 rows: 7 measured here, 1 published."
    board.choose("victim", "resnet8")
    board.choose("defense", "jpeg-10")
    assert board.status == "1 row: 1 measured here, 0 published."
    assert board.means == [87.2]


def test_a_track_shows_its_rows_and_the_clean_reference(board: Board) -> None:
    board.find("input[name=track]:checked").send_keys(RIGHT)
    assert board.find("input[name=track]:checked").get_attribute("value") == "linf-16"
    assert board.texts("tbody .name") == ["sep", "none"]
    assert board.texts("tbody .tag:not(.why)") == ["clean reference"]


def test_a_number_opens_its_records_by_mouse(board: Board) -> None:
    board.choose("victim", "resnet18")
    board.find("tbody.measured td.victims button").click()
    dialog = board.find("dialog[open]")
    assert dialog.get_attribute("aria-labelledby") == "details-title"
    assert board.find("#details-title").text == "sep (checkpoints=5)"
    keys = {one.key for one in RECORDS if one.victim == "resnet18"}
    assert keys <= set(board.texts("dialog td"))
    for text in ("victim seeds", "linf_levels", "git_sha", "c" * 40, "train_seconds", "protected_sha256", "2024-05-01"):
        assert text in dialog.text
    board.find("dialog .close").click()
    assert board.all("dialog[open]") == []


def test_a_number_opens_its_records_by_keyboard(board: Board) -> None:
    number = board.find("tbody tr:not(.heading) td.mean button")
    board.run("arguments[0].focus()", number)
    board.press(ENTER)
    assert board.find("dialog[open] #details-title").is_displayed()
    assert board.run("return document.querySelector('dialog').contains(document.activeElement)")
    board.press(ESCAPE)
    assert board.all("dialog[open]") == []
    assert board.driver.switch_to.active_element == number


def test_a_published_number_opens_its_source(board: Board) -> None:
    board.find("tbody.published td.mean button").click()
    assert "A paper, table 1" in board.find("dialog").text
    assert "on a GPU" in board.find("dialog").text
    assert "other constants" in board.find("dialog").text


def test_a_published_row_says_in_what_it_is_known_to_differ(board: Board) -> None:
    assert board.texts("tbody.published .differs") == ["not as here: other constants"]


def test_the_link_reproduces_the_view(board: Board) -> None:
    board.choose("defense", "")
    board.choose("victim", "resnet8")
    board.switch("changed")
    board.switch("grouped")
    board.find("th [data-sort=victims]").click()
    board.find("th [data-sort=victims]").click()
    board.switch("variants")
    before = board.find("main").text
    address = board.find("#link").get_attribute("href")
    assert address == board.driver.current_url
    board.visit("")
    assert board.find("main").text != before
    board.visit(address[address.index("#") :])
    assert board.find("main").text == before


def test_a_link_to_what_is_gone_shows_what_there_is(board: Board) -> None:
    board.visit("#track=linf-3&victim=vgg&sort=rank")
    assert board.find("input[name=track]:checked").get_attribute("value") == "linf-8"
    assert board.status.startswith("8 rows")


@pytest.fixture
def unbounded(open_board: OpenBoard) -> Board:
    """Open the leaderboard on two methods that nothing bounds, beside others."""
    free: dict[str, Any] = {"norm": "unbounded", "budget": None, "linf_levels": 255, "l0": 1024}
    clean = [one.model_copy(update={"ssim": 1.0}) for one in submissions([90.0, 91.0], method="none")]
    board = open_board(
        [
            *clean,
            *submissions([40.0, 41.0], psnr=31.0, ssim=0.9),
            *submissions([20.0, 22.0], method="cuda", psnr=21.26, ssim=0.7512, **free),
            *submissions([30.0, 31.0], method="offset", psnr=8.5, ssim=0.8, **free),
        ]
    )
    board.visit("#track=unbounded")
    return board


def test_where_nothing_bounds_the_change_psnr_and_ssim_stand_beside_every_row(unbounded: Board) -> None:
    assert unbounded.texts("thead th.beside button") == ["PSNR (dB)", "SSIM"]
    assert unbounded.texts("tbody .name") == ["cuda", "offset", "none"]
    shown = [cell.text for cell in unbounded.all("tbody td.beside")]
    assert shown == ["21.3", "0.751", "8.5", "0.800", "–", "1.000"]  # noqa: RUF001
    unbounded.visit("#track=linf-8&published=no")
    assert unbounded.all(".beside") == []
    assert unbounded.texts("tbody .name") == ["sep", "none"]


def test_psnr_and_ssim_sort_where_they_are_shown(unbounded: Board) -> None:
    unbounded.find("th [data-sort=psnr]").click()
    assert unbounded.texts("tbody .name") == ["offset", "cuda", "none"]
    unbounded.find("th [data-sort=ssim]").click()
    unbounded.find("th [data-sort=ssim]").click()
    assert unbounded.texts("tbody .name") == ["none", "offset", "cuda"]
    unbounded.find("input[name=track][value=linf-8]").send_keys(SPACE)
    assert unbounded.find("th[aria-sort] button").get_attribute("data-sort") == "mean"


def test_the_download_has_psnr_and_ssim_where_they_are_shown(unbounded: Board, tmp_path: Path) -> None:
    (tmp_path / "downloads").mkdir()
    rows = unbounded.downloaded(tmp_path / "downloads")
    assert [(row["track"], row["method"], row["psnr"], row["ssim"]) for row in rows] == [
        ("unbounded", "cuda", "21.26", "0.7512"),
        ("unbounded", "offset", "8.5", "0.8"),
        ("unbounded", "none", "", "1"),
    ]


def test_the_download_holds_the_visible_rows(board: Board, tmp_path: Path) -> None:
    (tmp_path / "downloads").mkdir()
    board.choose("victim", "resnet18")
    rows = board.downloaded(tmp_path / "downloads")
    ours = [one for one in RECORDS if one.victim == "resnet18"]
    assert [(row["source"], row["method"], row["parameters"]) for row in rows] == [
        ("A paper, table 1", "sep", ""),
        ("sepbench", "sep", "checkpoints=5"),
    ]
    assert (rows[1]["mean"], rows[1]["sets"], rows[1]["victims"], rows[1]["track"]) == ("23", "1", "2", "linf-8")
    assert float(rows[1]["half_width"]) == pytest.approx(12.706205)
    assert rows[1]["keys"].split() == [one.key for one in ours]
    assert (rows[0]["std"], rows[0]["differs"], rows[1]["differs"]) == ("0.12", "other constants", "")
    assert rows[0]["keys"] == ""


def test_markup_in_a_name_stays_text(open_board: OpenBoard) -> None:
    name = "</script><img src=x onerror=alert(1)>"
    board = open_board([submission(method=name, method_params={"<b>": "<i>"})])
    assert board.texts("tbody.measured .name") == [name]
    board.find("tbody td.mean button").click()
    assert board.find("#details-title").text == f"{name} (<b>=<i>)"
    assert board.all("main img, main b b, dialog i") == []


def test_the_table_tells_what_is_head_and_what_is_row(board: Board) -> None:
    assert board.run("return [...document.querySelectorAll('thead th')].every((one) => one.scope === 'col')")
    assert board.run("return [...document.querySelectorAll('tbody tr')].every((one) => one.querySelector('th[scope]'))")
    named = "return [...document.querySelectorAll('select, input')].every((one) => one.labels[0]?.textContent.trim())"
    assert board.run(named)
    assert "8/255" in board.texts("caption")[0]


@pytest.mark.parametrize("view", ["", "#track=linf-8&grouped=no"])
@pytest.mark.parametrize("drawn", [False, True])
def test_a_narrow_screen_needs_no_sideways_scrolling(drawn: bool, view: str, open_board: OpenBoard) -> None:
    board = open_board(RECORDS, drawn)
    metrics = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    board.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        board.visit(view)
        assert board.run("return document.documentElement.scrollWidth") == 360
        number = board.find("#numbers tbody td.mean button")
        board.run("arguments[0].scrollIntoView()", number)
        number.click()
        assert board.run("const d = document.querySelector('dialog'); return d.scrollWidth <= d.clientWidth")
        assert board.run("return document.documentElement.scrollWidth") == 360
    finally:
        board.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_page_is_dark_where_the_reader_wants_it(board: Board) -> None:
    def paper() -> str:
        found: str = board.run("return getComputedStyle(document.body).backgroundColor")
        return found

    try:
        for scheme, colour in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(20, 23, 26)")):
            features = [{"name": "prefers-color-scheme", "value": scheme}]
            board.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
            assert paper() == colour
    finally:
        board.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_five_thousand_records_are_shown_in_parts_and_filtered(open_board: OpenBoard) -> None:
    records = [
        one
        for method in range(500)
        for victim in ("resnet8", "resnet18")
        for one in submissions([method % 90, method % 90 + 1, 50, 60, 70], method=f"method-{method}", victim=victim)
    ]
    assert len(records) == 5000
    board = open_board(records)
    assert board.status == "1001 rows: 1000 measured here, 1 published, the first 250 are shown."
    assert len(board.all("tbody tr:not(.heading)")) == 250
    board.choose("victim", "resnet8")
    assert board.status == "500 rows: 500 measured here, 0 published, the first 250 are shown."
    board.find("#more").click()
    assert len(board.all("tbody tr:not(.heading)")) == 500
    assert board.means == sorted(board.means)
