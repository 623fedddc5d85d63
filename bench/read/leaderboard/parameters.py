"""The parameters of a method that are worth naming."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from bench.contracts.method import METHODS


def changed_parameters(method: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that differ from the method's defaults, or all of them where nobody knows the method.

    A parameter that a method has gained since a record was made has its default.
    """
    if method not in METHODS:
        return dict(params)
    try:
        complete = METHODS.get(method).Params.model_validate(params, strict=False)
    except ValidationError:
        return dict(params)
    changed: dict[str, Any] = complete.model_dump(mode="json", exclude_defaults=True)
    return changed
