"""What pydantic finds wrong, in words for the person who wrote it."""

import difflib
import math
import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from bench.core.registry import UnknownName

_CLAUSES = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text",
    "list_type": "must be a list, written [a, b]",
    "tuple_type": "must be a list, written [a, b]",
    "dict_type": "must be a mapping of fields",
    "model_type": "must be a mapping of fields",
    "model_attributes_type": "must be a mapping of fields",
    "greater_than_equal": "must be at least {ge:g}",
    "greater_than": "must be greater than {gt:g}",
    "less_than_equal": "must be at most {le:g}",
    "less_than": "must be less than {lt:g}",
    "too_short": "must have {min_length} or more entries",
    "too_long": "must have {max_length} or fewer entries",
    "string_too_short": "must have {min_length} or more characters",
    "literal_error": "must be {expected}",
    "union_tag_not_found": "must be a mapping with a field {discriminator}",
}


def first_mistake(error: ValidationError) -> ErrorDetails:
    """Return the mistake to tell of: a misspelt field before all others, since it also leaves the right one missing."""
    return min(error.errors(), key=lambda mistake: mistake["type"] != "extra_forbidden")


def describe(mistake: ErrorDetails, known: Sequence[str], *, in_yaml: bool = True) -> str:
    """Return the clause that follows the name of a field; `known` are the fields that stand beside it."""
    kind, given, context = mistake["type"], mistake["input"], mistake.get("ctx", {})
    if kind == "extra_forbidden":
        return no_such_field(str(mistake["loc"][-1]), known)
    if kind == "missing":
        return "this field is missing"
    if kind == "value_error":
        return str(context["error"])
    if kind == "json_invalid":
        return f"this is not JSON ({context['error']})"
    if kind == "union_tag_invalid":
        return str(UnknownName(context["discriminator"].strip("'"), context["tag"], _quoted(context["expected_tags"])))
    if kind in ("too_short", "string_too_short") and len(given) == 0:
        return "must not be empty"
    message = mistake["msg"]
    clause = _CLAUSES.get(kind, f"{message[:1].lower()}{message[1:]}").format(**context)
    if given is None:
        return f"{clause}, and nothing is given"
    return f"{clause}, not {shown(given)}{_yaml_hint(kind, given) if in_yaml else ''}"


def no_such_field(field: str, known: Sequence[str]) -> str:
    """Return the clause on a field that does not exist, with the names it may stand for."""
    others = [name for name in known if name != field]
    close = difflib.get_close_matches(field, others, n=2, cutoff=0.5)
    if close:
        return f"there is no such field; did you mean {' or '.join(close)}?"
    return f"there is no such field; {'known: ' + ', '.join(others) if others else 'it takes none'}"


def _quoted(text: str) -> list[str]:
    return re.findall("'([^']*)'", text)


def shown(value: Any) -> str:
    """Return a value as its writer may recognise it."""
    text = "nothing" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    text = str(value) if isinstance(value, date) else text  # YAML reads a date where one may be meant
    return text if len(text) <= 60 else f"{text[:57]}…"


def _yaml_hint(kind: str, given: Any) -> str:
    """Say how to write what YAML took for something else."""
    if kind == "string_type" and not isinstance(given, list | dict):
        return ": put it in quotes"
    if kind == "float_type" and isinstance(given, str):
        with suppress(ValueError):
            if math.isfinite(number := float(given)):
                return f", which YAML takes for text: write {number}"
    return ""
