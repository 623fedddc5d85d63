"""MLflow as the experiment log: written while a benchmark runs, read back for tables, never in its way."""

from bench.record.tracking.address import default_uri, installed, ui_command
from bench.record.tracking.attaching import attach
from bench.record.tracking.logged import NotLogged, Unreadable, records
from bench.record.tracking.outbox import count as count_waiting
from bench.record.tracking.probe import reachable
from bench.record.tracking.report import DatasetRef, StageReport
from bench.record.tracking.sending import SyncResult, sync
from bench.record.tracking.tracker import NullTracker, Tracker

__all__ = [
    "DatasetRef",
    "NotLogged",
    "NullTracker",
    "StageReport",
    "SyncResult",
    "Tracker",
    "Unreadable",
    "attach",
    "count_waiting",
    "default_uri",
    "installed",
    "reachable",
    "records",
    "sync",
    "ui_command",
]
