"""The matrix of a track: one row for each method, what it comes to, and what that rests on."""

from typing import Any

import pytest

from bench.read.leaderboard import comparing
from bench.read.leaderboard.matrix import Line, Matrix, matrices_of
from bench.read.leaderboard.rows import rows_of
from bench.record.published import Published
from bench.record.record import Record
from tests.making.submissions import submission, submissions

CLEAN = submissions([90.0, 91.0, 92.0], method="none")


def only(records: list[Record]) -> Matrix:
    (matrix,) = matrices_of(rows_of(records))
    return matrix


def lines(records: list[Record]) -> dict[str, Line]:
    return {line.method: line for line in only(records).lines}


def sep(accuracies: list[float], *, craft_passes: float | None = None, **params: Any) -> list[Record]:
    experiment = params.pop("experiment", "small")
    return submissions(accuracies, method_params=params, experiment=experiment, craft_passes=craft_passes)


def test_the_default_setting_is_the_row_of_its_method_and_others_fold_under_it() -> None:
    records = [*sep([40.0, 42.0]), *sep([10.0, 11.0], checkpoints=5), *sep([20.0, 21.0], checkpoints=15)]
    (line,) = only(records).lines
    assert (line.parameters, line.chosen) == ("", "default setting")
    assert line.numbers["plain"].mean == 41
    assert [one.parameters for one in line.variants] == ["checkpoints=5", "checkpoints=15"]


@pytest.mark.parametrize(("five", "fifteen"), [([10.0, 11.0], [20.0, 21.0]), ([20.0, 21.0], [10.0, 11.0])])
def test_else_it_is_the_one_that_an_experiment_has_alone_whatever_came_out(
    five: list[float], fifteen: list[float]
) -> None:
    compared = [*sep(five, checkpoints=5, experiment="many"), *sep(fifteen, checkpoints=15, experiment="many")]
    (line,) = only([*compared, *sep(five, checkpoints=5, experiment="one")]).lines
    assert (line.parameters, line.chosen) == ("checkpoints=5", "the one setting of one")
    (line,) = only(compared).lines
    assert line.chosen == "nearest to the default of those measured"


@pytest.mark.parametrize("accuracies", [([10.0], [20.0]), ([20.0], [10.0])])
def test_else_it_is_the_nearest_to_the_default_whatever_came_out(accuracies: tuple[list[float], list[float]]) -> None:
    few, many = accuracies
    records = [*sep(few, checkpoints=5, craft_passes=50.0), *sep(many, checkpoints=15, craft_passes=150.0)]
    (line,) = only([*records, *sep([1.0], checkpoints=15, steps=9, craft_passes=135.0)]).lines
    assert line.parameters == "checkpoints=15"
    assert len(line.variants) == 2


def test_worst_case_mean_and_mean_rank_are_over_the_defenses() -> None:
    records = [
        *submissions([10.0, 12.0]),
        *submissions([50.0, 54.0], defense="jpeg-10"),
        *submissions([20.0, 24.0], method="em"),
        *submissions([40.0, 41.0], method="em", defense="jpeg-10"),
        *submissions([60.0, 60.5], method="lsp"),
        *submissions([70.0, 71.0], method="lsp", defense="jpeg-10"),
    ]
    found = lines(records)
    worst, mean, rank = found["sep"].worst, found["sep"].mean, found["sep"].rank
    assert worst is not None
    assert mean is not None
    assert rank is not None
    # With two seeds the half-width is 12.706 times half of the distance: of 50 and 54, and of 30 and 33.
    assert (worst.mean, worst.half_width) == pytest.approx((52, 25.412), abs=1e-3)
    assert (mean.mean, mean.half_width) == pytest.approx((31.5, 19.059), abs=1e-3)
    ranks = {name: line.rank.mean for name, line in found.items() if line.rank is not None}
    assert ranks == {"sep": 1.5, "em": 1.5, "lsp": 3.0}
    assert list(found) == ["em", "sep", "lsp"], "of equal ranks the lower mean is first"


def test_a_method_without_a_defense_has_no_rank_and_spoils_nobodys() -> None:
    records = [
        one
        for method, plain in (("sep", 10.0), ("em", 20.0))
        for defense, more in (("plain", 0.0), ("jpeg-10", 30.0))
        for one in submissions([plain + more, plain + more + 1], method=method, defense=defense)
    ]
    matrix = only([*records, *submissions([5.0, 5.5], method="lsp")])
    assert matrix.defenses == ("plain", "jpeg-10")
    found = {line.method: line for line in matrix.lines}
    assert list(found) == ["sep", "em", "lsp"]
    assert (found["lsp"].rank, found["lsp"].mean, found["lsp"].worst) == (None, None, None)
    assert found["sep"].rank is not None
    assert found["sep"].rank.mean == 1
    assert found["lsp"].numbers["plain"].best is True


def test_a_defense_that_fewer_than_half_of_the_methods_met_stands_apart() -> None:
    records = [one for name in ("sep", "em", "lsp") for one in submissions([10.0, 11.5], method=name)]
    matrix = only([*records, *submissions([30.0, 31.0], defense="cutout-16"), *CLEAN])
    assert (matrix.defenses, matrix.further) == (("plain",), ("cutout-16",))
    line = next(line for line in matrix.lines if line.method == "sep")
    assert line.mean is None
    assert line.worst is not None
    assert line.worst.mean == line.numbers["plain"].mean
    assert line.numbers["cutout-16"].mean == 30.5


def twice(first: list[float], second: list[float], **changes: Any) -> list[Record]:
    again = submissions(second, surrogate_seed=1, protected_key="again", **changes)
    return [*submissions(first, **changes), *again]


def test_sets_and_victims_are_two_numbers_and_the_interval_is_over_sets() -> None:
    records = [*twice([10.0, 20.0, 30.0], [30.0, 40.0, 50.0]), *submissions([60.0, 61.0], defense="jpeg-10")]
    (line,) = only(records).lines
    number = line.numbers["plain"]
    assert (number.sets, number.victims) == (2, 3)
    # The sets' means are 20 and 40, whose half-width is 12.706 times 10; over all six victims it would be 14.8.
    assert (number.mean, number.half_width) == pytest.approx((30, 127.062), abs=1e-3)
    assert (line.sets, line.victims) == ("1\N{EN DASH}2", "2\N{EN DASH}3")


def test_methods_of_several_sets_are_compared_with_others_on_the_sets_that_all_have() -> None:
    others = submissions([30.0, 31.5, 32.4], method="em")
    matrix = only([*twice([10.0, 11.0, 12.0], [14.0, 15.0, 16.0]), *others])
    found = {line.method: line.numbers["plain"].best for line in matrix.lines}
    assert found == {"sep": True, "em": False}
    assert "Bold and ranks compare the methods on the protected set that all of them have" in " ".join(matrix.notes)
    apart = [one.model_copy(update={"surrogate_seed": 7}) for one in others]
    unshared = only([*submissions([10.0, 11.0, 12.0]), *apart])
    assert {line.numbers["plain"].best for line in unshared.lines} == {None}
    assert any(note.startswith("Nothing is marked or ranked") for note in unshared.notes)


def test_fewer_passes_than_the_method_asks_for_and_a_single_run_weigh_less() -> None:
    records = [
        *sep([10.0, 11.0], checkpoints=5, steps=10, craft_passes=50.0),
        *submissions([20.0], method="lsp", craft_passes=0.0),
        *submissions([25.0, 26.0], method="em", craft_passes=7.0),  # it stopped before its last round
        *submissions([30.0, 31.0], method="pil", craft_passes=0.0),
        *submissions([40.0, 41.0], method="of-others", craft_passes=1.0),
    ]
    weak = {line.method: line.weak for line in only(records).lines}
    assert weak == {"sep": ("50 of 900 passes",), "lsp": ("one run",), "em": (), "pil": (), "of-others": ()}


def test_where_clean_training_learned_nothing_a_warning_stands_above_and_nothing_is_bold_or_ranked() -> None:
    per_class = {"test_acc_per_class": (12.0,) * 10}
    records = [
        *submissions([14.0, 14.5, 15.0], method="none", **per_class),
        *submissions([10.0, 10.1, 10.3], **per_class),
        *submissions([17.0, 17.2, 17.6], method="em", **per_class),
    ]
    matrix = only(records)
    says = "none reaches 14.5 % on 10 classes, hardly above chance (10 %): what protects cannot be told here."
    assert matrix.warnings == (says,)
    assert {line.numbers["plain"].best for line in matrix.lines} == {None}
    assert {line.rank for line in matrix.lines} == {None}


@pytest.mark.parametrize(("recipe", "beside"), [("digits", [4.5]), ("sep-2023", [])])
def test_a_published_number_stands_beside_ours_only_where_the_recipes_agree(
    recipe: str, beside: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = {"source": "A paper", "dataset": "digits", "victim": "resnet8", "method": "sep", "defense": "plain"}
    number = {"norm": "linf", "budget": 8, "test_acc": 4.5, "std": None, "n": None, "note": None}
    published = [Published.model_validate({**setting, **number, "recipe": recipe})]
    monkeypatch.setattr(comparing, "read_published", lambda: published)
    (line,) = only([*sep([10.0, 11.0]), *sep([12.0, 13.0], checkpoints=5)]).lines
    assert [one.test_acc for one in line.numbers["plain"].published] == beside
    assert line.variants[0].numbers["plain"].published == ()


def test_a_profile_has_a_matrix_of_its_own_and_comes_last() -> None:
    fast = submissions([70.0, 72.0], recipe="digits[epochs=1]", profile="fast", overrides=("recipe.epochs=1",))
    first, second = matrices_of(rows_of([*fast, *submissions([10.0, 11.0])]))
    assert (first.changed, second.changed) == ((), ("profile fast", "recipe.epochs=1"))


def test_each_track_has_a_matrix_with_its_clean_reference_that_with_most_methods_first() -> None:
    free: dict[str, Any] = {"norm": "unbounded", "budget": None, "psnr": 21.26, "ssim": 0.75}
    records = [
        *CLEAN,
        *submissions([10.0, 11.0], budget=4.0, linf_levels=4),
        *submissions([10.0, 11.0]),
        *submissions([20.0, 21.5], method="em"),
        *submissions([30.0, 31.0], method="cuda", **free),
    ]
    found = matrices_of(rows_of(records))
    assert [one.track.name for one in found] == ["linf-8", "linf-4", "unbounded"]
    assert all(one.lines[-1].method == "none" for one in found)
    cuda = found[2].lines[0]
    assert cuda.beside == {"psnr": 21.26, "ssim": 0.75}


def test_what_somebody_brought_is_a_row_of_its_own() -> None:
    brought = submission(method="sep", method_params={}, brought=True, test_acc=30.0)
    found = only([*sep([10.0, 11.0]), brought]).lines
    assert [(line.method, line.tags) for line in found] == [("sep", ()), ("sep", ("brought",))]
    assert [line.numbers["plain"].mean for line in found] == [10.5, 30.0]
