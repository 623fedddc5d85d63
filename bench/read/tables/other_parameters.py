"""With what parameters the methods of a table were run, where its rows do not say so."""

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from bench.read.tables.table import TableCell
from bench.record.record import Record
from bench.spec.names import differing, parameters_text


def describe_settings(cells: Iterable[TableCell], done: Iterable[Record]) -> tuple[str, ...]:
    """Return a sentence on parameters that are not their methods' defaults, if there are any.

    Those in which rows of one method differ stand in the rows. Of methods that did not come with sepbench the defaults
    are those that `done` records tell; without these nothing is said of them.
    """
    from bench.contracts.method import METHODS
    from bench.spec.method_row import changed_parameters

    defaults = {record.method: record.method_defaults for record in done if record.method_defaults is not None}
    settings: defaultdict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for cell in cells:
        settings[cell.method][cell.method_params] = json.loads(cell.method_params)
    told = []
    for method, variants in settings.items():
        if not METHODS.is_ours(method) and method not in defaults:
            continue
        own = next(iter(variants.values()))
        in_rows = differing(own, list(variants.values()))
        changed = changed_parameters(method, own, defaults.get(method))
        unsaid = {name: value for name, value in changed.items() if name not in in_rows}
        if unsaid:
            told.append(f"{method} ({parameters_text(unsaid)})")
    return (f"Other than by default: {'; '.join(told)}.",) if told else ()
