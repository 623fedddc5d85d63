"""The matrices of the leaderboard in a real browser."""

from collections.abc import Iterator

import pytest

from bench.read.tables.marking import meaning_of_bold
from tests.making.board import Board, OpenBoard
from tests.making.submissions import RECORDS, submissions

pytestmark = pytest.mark.slow


@pytest.fixture
def matrices(open_board: OpenBoard) -> Board:
    """Open the leaderboard of two methods, one of them in three settings, under two defenses."""
    settings = [submissions([30.0, 31.0], method_params={"checkpoints": n}, craft_passes=30.0 * n) for n in (5, 15)]
    default = submissions([20.0, 21.5], method_params={}, craft_passes=900.0)
    names = submissions([40.0, 44.0], method="<i>em</i>")
    jpeg = [*submissions([60.0, 61.0], defense="jpeg-10", method_params={}), *submissions([88.0], defense="jpeg-10")]
    return open_board([*settings[0], *settings[1], *default, *names, *jpeg, *RECORDS[:3]], drawn=True)


@pytest.fixture(autouse=True)
def _nothing_goes_wrong(matrices: Board) -> Iterator[None]:
    """Whatever a test does, the page asks for nothing and complains about nothing."""
    yield
    assert matrices.run("return performance.getEntriesByType('resource').map((one) => one.name)") == []
    assert matrices.complaints == []


def test_one_row_for_each_method_stands_in_the_matrix_and_names_stay_text(matrices: Board) -> None:
    assert matrices.texts(".methods .name") == ["sep", "<i>em</i>", "none"]
    assert matrices.all(".methods i, .plots i") == []
    assert matrices.run(
        "return [...document.querySelectorAll('[id]')].every((one, i, all) => "
        "all.findIndex((other) => other.id === one.id) === i)"
    )


def test_settings_unfold_and_links_lead_to_matrices_without_a_script(matrices: Board) -> None:
    matrices.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        matrices.visit("")
        fold = matrices.find(".methods .fold summary")
        assert fold.text == "2 more settings of sep"
        assert not matrices.find(".fold table").is_displayed()
        fold.click()
        assert matrices.find(".fold table").is_displayed()
        heads = [one.text for one in matrices.all(".fold tbody th")]
        assert [head.split()[0] for head in heads] == ["checkpoints=5", "checkpoints=15"]
        assert matrices.find(".contents a").text == "L\N{INFINITY} \N{LESS-THAN OR EQUAL TO} 8/255"
    finally:
        matrices.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_rows_that_weigh_less_look_so_and_say_why(matrices: Board) -> None:
    def colour(selector: str) -> str:
        found: str = matrices.run("return getComputedStyle(document.querySelector(arguments[0])).color", selector)
        return found

    assert matrices.texts(".fold .weak th") == [
        "checkpoints=5 150 of 900 passes one run",
        "checkpoints=15 450 of 900 passes",
    ]
    assert colour(".fold .weak td") != colour(".methods > tbody:not(.weak, .reference) td")


def test_every_number_shows_one_setting_of_a_method_until_all_are_asked_for(matrices: Board) -> None:
    assert matrices.status == "4 rows: 3 measured here, 1 published. 2 more of other settings."
    matrices.switch("variants")
    assert matrices.status == "6 rows: 5 measured here, 1 published."
    assert set(matrices.texts("#numbers tr.weak .why")) == {"150 of 900 passes", "450 of 900 passes"}


def test_on_a_phone_results_stand_on_the_first_screen(matrices: Board) -> None:
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    matrices.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        matrices.visit("")
        number = ".methods tbody td.best, .methods tbody td:not(.none)"
        place = matrices.run("return document.querySelector(arguments[0]).getBoundingClientRect().bottom", number)
        sideways = matrices.run("return document.documentElement.scrollWidth")
    finally:
        matrices.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert place < 600
    assert sideways <= 390


def test_bold_is_what_the_note_below_says_and_nothing_else_among_numbers_and_names(matrices: Board) -> None:
    weights = (
        "return [...document.querySelectorAll(arguments[0])].map((one) => Number(getComputedStyle(one).fontWeight))"
    )
    for plain in (".methods .name", ".methods td", "#numbers .name", "#numbers .value"):
        found = matrices.run(weights, plain)
        assert found, plain
        assert max(found) <= 400, plain
    bold = matrices.run(weights, ".methods td b")
    notes = " ".join(matrices.texts(".matrix p.small"))
    assert min(bold) >= 700
    assert meaning_of_bold("lowest", "ttest", "column") in notes
