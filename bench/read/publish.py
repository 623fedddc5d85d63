"""Records and tables in a folder that is kept, such as results/."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from bench.disk import make_folder, write_atomically, writing
from bench.keys import key
from bench.plan import make_plan
from bench.record import read_records
from bench.run import TABLE_FORMS, Summary, table_of
from bench.spec import Experiment
from bench.tables import render


def make_results_folder(folder: Path) -> None:
    """Make the folder of `publish`, to know before the work whether that can be done."""
    with writing(folder, "--results"):
        make_folder(folder / "records")
        make_folder(folder / "tables")


def publish(summary: Summary, folder: Path) -> None:
    """Write records and table below `folder`, as results/ holds them: records/NAME/*.json and tables/NAME.*.

    A profile or overrides are part of NAME. Records of cells that the experiment has no more are removed, those
    that this run left out by `--only` stay.
    """
    plan, name = summary.plan, published_name(summary.plan.experiment)
    records = folder / "records" / name
    whole = make_plan(plan.experiment, plan.card)
    with writing(folder, "--results"):
        make_folder(records)
        for made in summary.records:
            write_atomically(records / f"{made.key}.json", made.to_json().encode())
        for stale in {path.stem for path in records.glob("*.json")} - {planned.victim for planned in whole.cells}:
            (records / f"{stale}.json").unlink()
        make_folder(folder / "tables")
        table = table_of(replace(summary, plan=whole, records=read_records(records)))
        for form in TABLE_FORMS:
            write_atomically(folder / "tables" / f"{name}.{form}", render(table, form).encode())


def published_name(experiment: Experiment) -> str:
    """Return what the files of an experiment's results are called: its name, with the profile and overrides if any."""
    changed = [quote(experiment.profile, safe="")] if experiment.profile is not None else []
    changed += [key(list(experiment.overrides))[:8]] if experiment.overrides else []
    return "@".join([experiment.name, *changed])
