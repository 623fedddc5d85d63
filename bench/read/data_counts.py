"""How many images the data set of a record has, as the record tells."""

from bench.data.counts import Counts
from bench.record.record import Record


def counts_of(record: Record) -> Counts | None:
    """Return the images of a record's data set; None where it is of a version that did not say so."""
    if not (record.classes and record.train_per_class and record.test_per_class):
        return None
    shared = {"in_clean" if record.clean_images else "in_both": record.n_test_in_train or 0}
    return Counts(record.classes, record.train_per_class, record.test_per_class, **shared)
