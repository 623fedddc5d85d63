"""Pictures of a person's own: read at their own sizes, and written back protected."""

from bench.data.originals.array_archive import refuse_jpeg
from bench.data.originals.from_path import open_originals
from bench.data.originals.journal import Written, is_unfinished
from bench.data.originals.originals import Originals
from bench.data.originals.picture import Picture, Unfit
from bench.data.originals.survey import Survey
from bench.data.originals.writer import Measure, Output, Writer

__all__ = [
    "Measure",
    "Originals",
    "Output",
    "Picture",
    "Survey",
    "Unfit",
    "Writer",
    "Written",
    "is_unfinished",
    "open_originals",
    "refuse_jpeg",
]
