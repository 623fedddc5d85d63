"""Records and tables in a folder that is kept, such as results/."""

from collections.abc import Sequence
from pathlib import Path

from bench.core.disk import make_folder, write_atomically, writing
from bench.plan.make import make_plan
from bench.plan.plan import Plan
from bench.read.evaluated import evaluation_table, is_evaluation
from bench.read.tables import render
from bench.read.tabulation import TABLE_FORMS, table_of
from bench.record.record import Record, read_records


def make_results_folder(folder: Path) -> None:
    """Make the folder of `publish`, to know before the work whether that can be done."""
    with writing(folder, "--results"):
        make_folder(folder / "records")
        make_folder(folder / "tables")


def publish(plan: Plan, made: Sequence[Record], folder: Path, whole: Plan | None = None) -> None:
    """Write records and table below `folder`, as results/ holds them: records/NAME/*.json and tables/NAME.*.

    A profile or overrides are part of NAME. Records of cells that are not in the `whole` plan are removed, by default
    those that the experiment has no more; those that the plan leaves out, by `--only`, stay. Of images that somebody
    brought every record stays: no file tells what their experiment was, and each call asks for a part of it.
    """
    name = plan.experiment.published_name
    records = folder / "records" / name
    whole = whole or make_plan(plan.experiment, plan.card)
    with writing(folder, "--results"):
        make_folder(records)
        for one in made:
            write_atomically(records / f"{one.key}.json", one.to_json().encode())
        if not any(row.build().brought for row in plan.experiment.methods):
            for stale in {path.stem for path in records.glob("*.json")} - {planned.victim for planned in whole.cells}:
                (records / f"{stale}.json").unlink()
        make_folder(folder / "tables")
        kept = read_records(records)
        table = evaluation_table(kept) if is_evaluation(kept) else table_of(whole, kept)
        for form in TABLE_FORMS:
            write_atomically(folder / "tables" / f"{name}.{form}", render(table, form).encode())
