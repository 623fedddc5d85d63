"""Test accuracies against counting and against trying every renaming of the classes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bench.core.errors import SepbenchError
from bench.engine.judge import confusion, outcome
from tests.making.renaming import best_by_trying

matrices = (
    st.integers(2, 5)
    .flatmap(lambda classes: arrays(np.int64, (classes, classes), elements=st.integers(0, 30)))
    .filter(lambda counts: counts.sum() > 0)
)
exactly = settings(derandomize=True, deadline=None, max_examples=100)


@exactly
@given(counts=matrices)
def test_the_best_relabelling_is_the_best_of_all_permutations(counts: np.ndarray) -> None:
    best = counts[range(len(counts)), best_by_trying(counts)].sum()
    judged = outcome(torch.from_numpy(counts))
    assert judged["relabelled_acc"] == pytest.approx(100 * best / counts.sum(), rel=1e-12)
    assert judged["relabelled_acc"] >= judged["test_acc"]


@exactly
@given(counts=matrices)
def test_accuracies_are_shares_of_the_test_images_in_percent(counts: np.ndarray) -> None:
    judged = outcome(torch.from_numpy(counts))
    right = [int(counts[i, i]) for i in range(len(counts))]
    assert judged["n_test"] == counts.sum()
    assert judged["test_acc"] == pytest.approx(100 * sum(right) / counts.sum(), rel=1e-12)
    for i, accuracy in enumerate(judged["test_acc_per_class"]):
        of_class = int(counts[i].sum())
        assert accuracy == (pytest.approx(100 * right[i] / of_class, abs=5e-5) if of_class else None)


@exactly
@given(pairs=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=60))
def test_confusion_counts_truth_by_rows_and_answers_by_columns(pairs: list[tuple[int, int]]) -> None:
    expected = np.zeros((7, 7), np.int64)
    for truth, answer in pairs:
        expected[truth, answer] += 1
    truths, answers = (torch.tensor(values) for values in zip(*pairs, strict=True))
    np.testing.assert_array_equal(confusion(answers, truths, 7).numpy(), expected)


def test_a_victim_that_learned_every_class_under_the_wrong_name_is_found_out() -> None:
    labels = torch.arange(10).repeat(8)
    judged = outcome(confusion((labels + 5) % 10, labels, 10))
    assert judged["test_acc"] == 0
    assert judged["relabelled_acc"] == 100
    assert judged["test_acc_per_class"] == [0] * 10


def test_without_a_test_image_of_a_judged_class_there_is_no_accuracy() -> None:
    with pytest.raises(SepbenchError, match="no test image is of a class that is judged"):
        outcome(torch.zeros(2, 3, dtype=torch.int64))
