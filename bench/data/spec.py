"""How an experiment names its data set."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.contracts.dataset import DATASETS
from bench.core.errors import FieldError, SepbenchError
from bench.core.paths import expand_variables
from bench.core.registry import UnknownName
from bench.core.validation import describe, first_mistake
from bench.data.decoding import Fit

LARGEST_SIDE = 1024
"""Pixels of the side of the square that images can be brought to."""


class DatasetSpec(BaseModel):
    """A data set, the part of it that is used, and where it comes from.

    Attributes
    ----------
    name
        What records and tables call it.
    format
        Name of the plug-in that reads it.
    limit, test_limit
        How many training images, and how many of the test images that are judged, are used, None for all; classes keep
        their proportions.
    resize
        Side of the square, in pixels, that every image is brought to; None to leave sizes alone.
    holdout
        Share of the training images that are the test set, of a data set that has none of its own, in [0, 1): of each
        class as many, and nobody trains on them or protects them; 0 holds out none, and no victim can be judged. None
        for data sets with test images.
    fit
        How: `crop` brings the shorter side to that length and cuts the square out of the middle, as public scripts for
        ImageNet do; `squeeze` keeps the whole image and changes its proportions.
    protected_classes
        Only images of the first so many classes are protected, and only test images of these are judged; networks
        learn all classes. None for all.
    allow_empty_test_classes
        Whether classes that are judged may have no test images at all. Such a class has no accuracy, nor has one of
        which `test_limit` leaves no image; both are said.
    allow_same_files
        Whether training and test images may be of one folder or file.
    params
        What the plug-in's `Params` take.

    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field(min_length=1)
    format: str
    limit: int | None = Field(None, ge=1)
    test_limit: int | None = Field(None, ge=1)
    resize: int | None = Field(None, ge=1, le=LARGEST_SIDE)
    fit: Fit = "crop"
    holdout: float | None = Field(None, ge=0, lt=1)
    protected_classes: int | None = Field(None, ge=2)
    allow_empty_test_classes: bool = False
    allow_same_files: bool = False
    params: dict[str, Any] = {}

    @classmethod
    def parse(cls, value: str | Mapping[str, Any]) -> "DatasetSpec":
        """Read a name, or a mapping whose further keys are parameters of the format.

        Parameters left out appear with their defaults. Raises `SepbenchError` for an unknown format or field, or
        a wrong value.
        """
        if not isinstance(value, str | Mapping):
            raise SepbenchError(f"dataset: must be a name or a mapping with a name, not {value!r}")
        given = {"name": value} if isinstance(value, str) else {str(key): item for key, item in value.items()}
        own = {key: given.pop(key) for key in [*given] if key in cls.model_fields}
        try:
            spec = cls.model_validate({"format": own.get("name"), **own})
        except ValidationError as error:
            raise _mistake(error, list(cls.model_fields)) from error
        try:
            schema = DATASETS.get(spec.format).Params
        except UnknownName as error:
            raise _unknown_format(value) from error
        except SepbenchError as error:
            raise FieldError(("format",) if "format" in own else (), str(error)) from error
        try:
            validated = schema.model_validate({**spec.params, **given})
        except ValidationError as error:
            known = [*schema.model_fields, *(key for key in cls.model_fields if key != "params")]
            raise _mistake(error, known) from error
        return spec.model_copy(update={"params": validated.model_dump()})

    def located(self) -> "DatasetSpec":
        """Return the spec with `~` and `${NAME}` in its parameters expanded, as it can be loaded.

        Raises `SepbenchError` for a variable that is not set.
        """
        return self.model_copy(update={"params": {key: _expand(key, item) for key, item in self.params.items()}})


def _expand(key: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_expand(key, item) for item in value]
    if not isinstance(value, str):
        return value
    advice = f"set it to the folder that holds the data, or give the path with --set dataset.{key}=PATH"
    return expand_variables(f"dataset.{key}", value, advice)


def _mistake(error: ValidationError, known: list[str]) -> FieldError:
    mistake = first_mistake(error)
    field = ".".join(["dataset", *map(str, mistake["loc"])])
    advice = f": add it, or give it with --set {field}=VALUE" if mistake["type"] == "missing" else ""
    return FieldError(mistake["loc"], f"{field}: {describe(mistake, known)}{advice}")


def _unknown_format(value: str | Mapping[str, Any]) -> FieldError:
    if isinstance(value, str):
        return FieldError((), _unknown("data set", value))
    if "format" in value:
        return FieldError(("format",), _unknown("format", value["format"]))
    unknown = _unknown("data set", value["name"])
    stop = "" if unknown.endswith("?") else "."
    return FieldError(("name",), f"{unknown}{stop} For files of your own, give their format beside the name")


def _unknown(kind: str, name: str) -> str:
    return str(UnknownName(kind, name, DATASETS.names(), DATASETS.broken()))
