"""What two results differ in, and whether it is more than seeds explain."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import pytest
from scipy.stats import ttest_rel

from bench.core.errors import SepbenchError
from bench.read.differences import compare, differences, named, siblings
from bench.read.differences_text import as_json, diff_experiments, diff_records
from bench.record.record import Record
from tests.making.records import record


def runs(accuracies: Sequence[float], **changes: Any) -> list[Record]:
    made = {"method": "sep", "method_params": {"steps": 10}, "norm": "linf", "budget": 8, **changes}
    return [
        record(**{**made, "seed": seed, "test_acc": accuracy, "key": key(made, seed)})
        for seed, accuracy in enumerate(accuracies)
    ]


def key(made: dict[str, Any], seed: int) -> str:
    return hashlib.sha256(json.dumps([made, seed], sort_keys=True).encode()).hexdigest()


SEP = runs([10.0, 12.0, 14.5])
EM = runs([30.0, 31.0, 35.0], method="em", method_params={"rounds": 5})


def test_records_differ_in_fields_of_the_spec_the_versions_and_the_outcome() -> None:
    other = EM[0].model_copy(update={"torch": "9.9.9"})
    found = {one.field: (one.group, one.ours, one.theirs) for one in differences(SEP[0], other)}
    assert found["method"] == ("spec", "sep", "em")
    assert found["method.steps"] == ("spec", 10, None)
    assert found["method.rounds"] == ("spec", None, 5)
    assert found["torch"] == ("versions", SEP[0].torch, "9.9.9")
    assert found["test_acc"] == ("outcome", 10.0, 30.0)
    assert "key" not in found
    assert differences(SEP[0], SEP[0]) == []


def test_settings_that_both_have_are_compared_by_common_seeds() -> None:
    newer = runs([11.0, 14.0, 16.0], recipe="other")
    found = compare([*SEP, *EM], [*newer, *runs([1.0], method="ar", recipe="other")])
    assert found.apart == {"recipe": (SEP[0].recipe, "other")}
    assert (found.only_ours, found.only_theirs) == (1, 1)
    (one,) = found.shared
    assert one.pairs == 3
    assert one.difference == pytest.approx(1.5)
    assert one.p == pytest.approx(ttest_rel([10.0, 12.0, 14.5], [11.0, 14.0, 16.0]).pvalue)
    assert one.beyond_seeds is True


def test_p_values_are_corrected_over_all_settings() -> None:
    first, second = (
        [*SEP, *EM],
        [*runs([11.0, 14.0, 16.0]), *runs([30.5, 31.0, 35.4], method="em", method_params={"rounds": 5})],
    )
    raw = [compare(SEP, second).shared[0].p, compare(EM, second).shared[0].p]
    both = [one.p for one in compare(first, second).shared]
    assert raw[0] is not None
    assert both == [pytest.approx(2 * raw[0]), pytest.approx(raw[1])]


def test_replicates_are_the_samples_where_both_have_several() -> None:
    ours = [*runs([10.0, 12.0]), *runs([20.0, 22.0], craft_seed=1)]
    theirs = [*runs([11.0, 13.0], recipe="other"), *runs([23.0, 25.0], craft_seed=1, recipe="other")]
    (one,) = compare(ours, theirs).shared
    assert one.pairs == 2
    assert one.difference == pytest.approx(2.0)
    (mixed,) = compare(ours, theirs[:2]).shared
    assert mixed.pairs == 2
    assert mixed.difference == pytest.approx(1.0)


def test_without_common_seeds_nothing_is_said_of_them() -> None:
    moved = [one.model_copy(update={"seed": one.seed + 7, "recipe": "other"}) for one in SEP]
    (one,) = compare(SEP, moved).shared
    assert (one.pairs, one.p, one.beyond_seeds) == (0, None, None)
    text = diff_experiments(SEP, moved, ("a", "b"), "test_acc")
    assert "No setting has two seeds in common" in text


def test_two_settings_are_told_by_the_seeds_of_both() -> None:
    text = diff_records(SEP[0], EM[0], [*SEP, *EM])
    assert text.splitlines()[-1] == (
        "Over 3 seeds in common the second is 19.83 points above the first: more than seeds explain (paired t-test, "
        f"p = {ttest_rel([10.0, 12.0, 14.5], [30.0, 31.0, 35.0]).pvalue:.2g})."
    )
    alone = diff_records(SEP[0], EM[0], [SEP[0], EM[0]]).splitlines()[-1]
    assert alone.startswith("Whether 20.00 points are more than seeds explain cannot be told: ")


def test_seeds_of_one_setting_are_measured_against_their_spread() -> None:
    text = diff_records(SEP[0], SEP[2], SEP).splitlines()[-1]
    # The standard deviation of 10, 12 and 14.5 is 2.255, that of a difference of two 3.189.
    assert text == (
        "They differ in seeds alone: 4.50 points are 1.4 standard deviations of a difference between two of the 3 runs "
        "of this setting, what seeds do."
    )
    assert "do not tell how much seeds do" in diff_records(SEP[0], SEP[1], SEP[:2])


def test_the_same_victim_with_another_outcome_was_not_made_by_another_seed() -> None:
    other = SEP[0].model_copy(update={"test_acc": 10.5, "torch": "9.9.9"})
    assert "no seed explains the 0.50 points" in diff_records(SEP[0], other, SEP)
    assert diff_records(SEP[0], SEP[0], SEP) == "The same victim with the same outcome."


def test_siblings_are_runs_of_the_same_setting_and_changes() -> None:
    changed = SEP[1].model_copy(update={"overrides": ("recipe.epochs=3",)})
    assert siblings(SEP[0], [*SEP, *EM, changed]) == SEP


def test_results_are_named_by_experiment_or_key() -> None:
    changed = [one.model_copy(update={"overrides": ("seeds=[7]",)}) for one in EM]
    records = [*SEP, *changed]
    assert named(SEP[0].experiment, records) == SEP
    assert named(SEP[1].key[:60], [SEP[1], *changed]) == [SEP[1]]
    with pytest.raises(SepbenchError, match="is called nothing: there are records of"):
        named("nothing", records)
    with pytest.raises(SepbenchError, match="2 keys start with abcdef: give more of it"):
        named("abcdef", [one.model_copy(update={"key": f"abcdef{one.seed}"}) for one in SEP[:2]])


def test_json_has_what_the_text_says() -> None:
    told = json.loads(as_json(SEP, runs([11.0, 14.0, 16.0], recipe="other"), "test_acc", single=False))
    (setting,) = told["settings"]
    assert (setting["method"], setting["pairs"], setting["difference"]) == ("sep", 3, pytest.approx(1.5))
    assert setting["beyond_seeds"] is True
    assert told["apart"]["recipe"] == [SEP[0].recipe, "other"]
    assert "fields" not in told
