"""What `sepbench table` answers."""

import os
from collections.abc import Sequence
from pathlib import Path

from bench.cli.once import Made
from bench.cli.options import pair
from bench.cli.streams import for_machines
from bench.read.evaluated import evaluation_table
from bench.read.evaluated_records import are_evaluations, evaluation_records
from bench.read.standins import loaded
from bench.read.tables import check_format, render, to_terminal
from bench.read.tabulation import compile_table
from bench.store.home import Home


def table(
    experiments: Sequence[str],
    overrides: Sequence[str],
    profile: str | None,
    form: str,
    records: Path | None,
    where: Sequence[str],
    *,
    width: int | None,
    home: Home,
) -> Made:
    """Return what is to be printed, how many runs there are, and how many are missing; `width` is a terminal's."""
    check_format(form)  # before whatever takes time or may be missing
    chosen = dict(pair("--where", one) for one in where)
    if are_evaluations(experiments):
        found = evaluation_records(experiments, home, records, chosen, profile=profile, overrides=overrides)
        compiled = evaluation_table(found)
    else:
        with loaded(experiments, home, records, profile=profile, overrides=overrides) as specs:
            compiled = compile_table(specs, home, records, chosen)
    if form == "md" and width is not None:
        printed = to_terminal(compiled, width)
    else:
        printed = for_machines(render(compiled, form), form)
    of_server = records is None and bool(os.environ.get("MLFLOW_TRACKING_URI"))
    return Made({"printed": printed, "runs": compiled.runs, "missing": compiled.missing}, lasting=not of_server)
