"""Cards of a data set that keys are made with and nobody loads: 200 training and 100 test images of ten classes."""

from bench.data.loading import DataCard

CARD = DataCard(
    train_sha256="a" * 64,
    test_sha256="b" * 64,
    classes=tuple("0123456789"),
    n_train=200,
    n_protected=200,
    n_test=100,
    height=16,
    width=16,
)
WITH_MORE = CARD.model_copy(update={"extra_sha256": {50: "c" * 64}})
"""The same with 50 clean images besides."""
