"""Which records may stand on the leaderboard."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

from bench.core.errors import SepbenchError
from bench.core.norms import NORMS, budget_text
from bench.core.outside import leaves_of
from bench.engine.recipe import recipe_names
from bench.record.record import Record, read_record, record_files
from bench.spec.names import FORMULA, REFERENCES, as_text

_BOUNDS = {norm: ball.bound for norm, ball in NORMS.items() if ball.bound is not None}


def vet(folder: Path) -> tuple[list[Record], list[str]]:
    """Read the records below `folder`; return those that may be shown, and a sentence on each of the others.

    Raises `SepbenchError` where there are no records at all.
    """
    if not folder.is_dir():
        raise SepbenchError(f"no records at {folder}: the folder does not exist; name the right one with --records")
    paths = record_files(folder)
    if not paths:
        raise SepbenchError(f"no records below {folder}: run an experiment with --results first")
    good, refused, recipes = [], [], recipe_names()
    for path in paths:
        try:
            record = read_record(path)
        except SepbenchError as error:
            refused.append(str(error))
            continue
        wrong = mistake(record, recipes)
        if wrong is None:
            good.append(record)
        else:
            refused.append(f"{path} is left out: {wrong}: repair or remove it")
    return good, refused


def mistake(record: Record, known: Sequence[str]) -> str | None:
    """Return what keeps a record from the leaderboard, None where nothing does; `known` are the shipped recipes."""
    if re.sub(r"\[.*\]$", "", record.recipe) not in known:
        return f"recipe '{record.recipe}' is none of {', '.join(known)}"
    named = (text for field, value in record if field not in ("reason", "classes") for text in leaves_of(value))
    formula = next((text for text in named if isinstance(text, str) and text.startswith(FORMULA)), None)
    if formula is not None:
        return f"'{formula}' begins as a formula of a spreadsheet does"
    infinite = [name for name, value in record if isinstance(value, float) and not math.isfinite(value)]
    if infinite:
        return f"{infinite[0]} is not a finite number"
    return _budget_mistake(record) or (_outcome_mistake(record) if record.status == "done" else None)


def _budget_mistake(record: Record) -> str | None:
    if record.norm is not None and record.norm not in NORMS:
        return f"norm '{record.norm}' is none of {', '.join(NORMS)}"
    if record.brought and record.method in REFERENCES:
        return f"the images of {record.method} are made here, and yet somebody brought them"
    if record.method == "none" and record.norm is not None:
        return "method none adds nothing, and yet there is a budget"
    if record.norm in _BOUNDS and (record.budget is None or record.budget < 0):
        return f"norm {record.norm} needs a budget of at least 0"
    if record.norm not in _BOUNDS and record.budget is not None:
        return f"norm {as_text(record.norm)} has no budget, and yet there is one"
    return None


def _outcome_mistake(record: Record) -> str | None:
    if record.test_acc is None or not 0 <= record.test_acc <= 100:
        return f"test_acc is {as_text(record.test_acc)}, not a percentage"
    audit = [bound.field for bound in _BOUNDS.values()]
    if any(getattr(record, field) is None for field in audit):
        return f"the audit of the released bytes ({', '.join(audit)}) is missing"
    if record.method == "none" and record.linf_levels:
        return f"method none adds nothing, and yet the audit found {record.linf_levels} levels"
    if record.norm not in _BOUNDS or record.budget is None:
        return None
    bound = _BOUNDS[record.norm]
    found = getattr(record, bound.field)
    if found > record.budget * (1 + bound.slack):
        budget = budget_text(record.norm, record.budget)
        return f"the audit found {as_text(found)} {bound.unit}, beyond the budget {budget}"
    return None
