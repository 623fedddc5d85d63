"""Whatever records of one protection there are, there is a verdict."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.read.verdict import Outcome, verdict
from bench.record.record import Record
from tests.making.records import record

ACCURACIES = st.none() | st.floats() | st.floats(0, 100)


@st.composite
def records(draw: st.DrawFn) -> Record:
    per_class = draw(st.none() | st.lists(st.none() | st.floats(0, 100), max_size=4).map(tuple))
    fields: dict[str, Any] = {
        "method": draw(st.sampled_from(["none", "sep", "sep", "random-noise"])),
        "victim": draw(st.sampled_from(["resnet8", "vgg7"])),
        "defense": draw(st.sampled_from(["plain", "jpeg-10", "jpeg-1000", "", "+", "a|b", "{", "purified"])),
        "seed": draw(st.integers(0, 2)),
        "craft_seed": draw(st.integers(0, 1)),
        "protected_fraction": draw(st.sampled_from([1.0, 0.9, 1e-300])),
        "clean_images": draw(st.sampled_from([0, 0, 5])),
        "status": draw(st.sampled_from(["done", "done", "failed"])),
        "reason": draw(st.sampled_from([None, "", "it fell", "it fell\ntwice"])),
        "test_acc_per_class": per_class,
        "protected_classes": draw(st.sampled_from([None, None, 2])),
        "classes": draw(st.sampled_from([None, ("a", "b")])),
        **{name: draw(ACCURACIES) for name in ("test_acc", "peak_acc", "relabelled_acc")},
        "n_test": draw(st.sampled_from([None, 0, 100])),
    }
    return record(**fields)


@settings(max_examples=300, deadline=None)
@given(st.lists(records(), max_size=12))
def test_any_records_give_a_verdict(made: list[Record]) -> None:
    found = verdict(made)
    assert found.outcome in Outcome
    assert found.headline in found.paragraph
    assert "nan" not in found.text()
    assert found.text().startswith("**Does ")
