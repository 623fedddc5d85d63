"""How an experiment names its data set."""

import difflib
import os
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.data.registry import DATASETS
from bench.errors import SepbenchError

_VARIABLE = re.compile(r"\$\{(\w+)\}")


class DatasetSpec(BaseModel):
    """A data set, the part of it that is used, and where it comes from.

    Attributes
    ----------
    name
        What records and tables call it.
    format
        Name of the plug-in that reads it.
    limit, test_limit
        How many training and test images are used, None for all; classes keep their proportions.
    resize
        Side of the square, in pixels, that every image is brought to; None to leave sizes alone.
    params
        What the plug-in's `Params` take.

    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field(min_length=1)
    format: str
    limit: int | None = Field(None, ge=1)
    test_limit: int | None = Field(None, ge=1)
    resize: int | None = Field(None, ge=1, le=1024)
    params: dict[str, Any] = {}

    @classmethod
    def parse(cls, value: str | Mapping[str, Any]) -> "DatasetSpec":
        """Read a name, or a mapping whose further keys are parameters of the format.

        Parameters left out appear with their defaults. Raises `SepbenchError` for an unknown format or field, or
        a wrong value.
        """
        if not isinstance(value, str | Mapping):
            raise SepbenchError(f"dataset must be a name or a mapping with a name, not {value!r}")
        given = {"name": value} if isinstance(value, str) else {str(key): item for key, item in value.items()}
        own = {key: given.pop(key) for key in [*given] if key in cls.model_fields}
        try:
            spec = cls.model_validate({"format": own.get("name"), **own})
        except ValidationError as error:
            raise SepbenchError(_sentence(error, list(cls.model_fields))) from error
        schema = DATASETS.get(spec.format).Params
        try:
            validated = schema.model_validate({**spec.params, **given})
        except ValidationError as error:
            known = [*schema.model_fields, *(key for key in cls.model_fields if key != "params")]
            raise SepbenchError(_sentence(error, known)) from error
        return spec.model_copy(update={"params": validated.model_dump()})

    def located(self) -> "DatasetSpec":
        """Return the spec with `~` and `${NAME}` in its parameters expanded, as it can be loaded.

        Raises `SepbenchError` for a variable that is not set.
        """
        return self.model_copy(update={"params": {key: _expand(key, item) for key, item in self.params.items()}})


def _expand(key: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value

    def content(variable: re.Match[str]) -> str:
        found = os.environ.get(variable[1])
        if not found:
            raise SepbenchError(
                f"dataset.{key} uses {variable[0]}, which is not set: set it to the folder that holds the "
                f"data, or give the path with --set dataset.{key}=PATH"
            )
        return found

    return os.path.expanduser(_VARIABLE.sub(content, value))  # noqa: PTH111 - not every text is a path


def _sentence(error: ValidationError, known: list[str]) -> str:
    # A misspelt field also leaves the right one missing: the misspelling is what helps.
    first = min(error.errors(), key=lambda trouble: trouble["type"] != "extra_forbidden")
    field = ".".join(["dataset", *map(str, first["loc"])])
    match first["type"]:
        case "extra_forbidden":
            close = difflib.get_close_matches(str(first["loc"][0]), known)
            hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(sorted(known))}"
            return f"unknown field {field}: {hint}"
        case "missing":
            return f"{field} is missing: give it in the experiment or with --set {field}=VALUE"
        case "value_error":
            return f"{field}: {first['ctx']['error']}"
        case _:
            return f"{field}: {first['msg'][0].lower()}{first['msg'][1:]}, not {first['input']!r}"
