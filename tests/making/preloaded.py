"""What a run imports sooner or later, torch and MLflow first of all: seconds, which one process takes for many."""

# ruff: noqa: F401

import matplotlib.backends.backend_svg
import pyarrow.parquet
import seaborn
import sklearn.datasets.data
import sklearn.datasets.descr
import sklearn.model_selection
import torchmetrics.functional.image

import bench.cli.app
import bench.plan.outlook
import bench.read.diagnostics
import bench.read.plots
import bench.read.publish
import bench.read.tabulation
import bench.run.executors.jobs
import bench.run.invocation
import bench.run.progress
import bench.spec.only
from bench.api import ARCHITECTURES, DATASETS, DEFENSES, METHODS
from bench.data.loading import load
from bench.data.spec import DatasetSpec
from bench.record.tracking import installed
from tests.making.experiments import FIELDS

if installed():
    import alembic.command
    import mlflow.store.db.utils
    import mlflow.store.tracking.sqlalchemy_store
    import mlflow.store.tracking.sqlalchemy_workspace_store
    import sqlalchemy.dialects.sqlite
    import sqlalchemy.orm

    sqlalchemy.orm.configure_mappers()
for plugins in (METHODS, ARCHITECTURES, DEFENSES, DATASETS):
    plugins.names()
load(DatasetSpec.parse(FIELDS["dataset"]))  # imports more where it is read
