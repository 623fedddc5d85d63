"""MLflow as the experiment log: written while a benchmark runs, read back for tables, never in its way."""

from bench.tracking.address import default_uri, ui_command
from bench.tracking.attaching import attach
from bench.tracking.probe import reachable
from bench.tracking.reading import records
from bench.tracking.report import DatasetRef, StageReport
from bench.tracking.sending import SyncResult, sync
from bench.tracking.tracker import NullTracker, Tracker

__all__ = [
    "DatasetRef",
    "NullTracker",
    "StageReport",
    "SyncResult",
    "Tracker",
    "attach",
    "default_uri",
    "reachable",
    "records",
    "sync",
    "ui_command",
]
