"""What one victim run leaves: a flat JSON document that every table, plot and page is made from.

It is of some 2 kB, and about 50 bytes more for each class of its data set.
"""

import json
import math
import os
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, model_validator

from bench.core.errors import SepbenchError
from bench.core.outside import bytes_of, is_printable, leaves_of
from bench.core.validation import describe, first_mistake

DATA_FIELDS = ("classes", "n_train", "train_per_class", "test_per_class", "n_test_in_train")
"""What a record says of the images of its data set; None in records of earlier versions."""


_LARGEST = 2**24  # bytes of a record's file
_MOST = 1e100
"""The largest number of a record, squares of which can be summed."""
_FROM_OUTSIDE = {"outside": True}
_PLUGIN = ("package", "sha256")


class Record(BaseModel):
    """One cell of a benchmark, measured once. Accuracies are percent, times seconds, memory MiB.

    `status` "failed" comes with a `reason` and without outcome. `norm` and `budget` are None where nothing is
    added to the images (`none`); a linf or l0 budget counts levels of 1/255 or pixels, l2 is on the [0, 1] scale. The
    norm "unbounded" has no budget.
    `test_acc_per_class` has None for a class without test images.
    `brought` is set where somebody brought the protected images, made elsewhere, and named their method; it has no
    parameters then, and `protected_sha256` tells which images they were.
    `clean_images` counts those the victim had besides the release. `protected_classes` is set where only the first so
    many classes were protected and judged, `compiled` where the victim trained with torch.compile,
    `rounded_checkpoints` where the protected set was crafted from checkpoints that had been rounded to bfloat16.
    `device`, `threads` and `processor` are of the training; `crafted_on` is the model of the processor or GPU that
    crafted the protected set, None in records of earlier versions and of what was brought.
    `train_per_class` counts the training images of each of the `classes`, `test_per_class` the test images of those
    that were judged; `n_test_in_train` test images that are training images, too, or among the
    `clean_images`.
    `plugins` names what did not come with sepbench, by kind and name as in `method far`: the `package` that it is of,
    with its version, or its file, and the `sha256` of its source; and what it takes to read the record where it is not
    installed, such as the `defaults` of parameters.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    key: str
    experiment: str
    profile: str | None = None
    overrides: tuple[str, ...] = ()
    recipe: str
    dataset: str
    method: str
    method_params: dict[str, Any]
    brought: bool = False
    norm: str | None
    budget: float | None = Field(allow_inf_nan=False)
    victim: str
    defense: str
    seed: int
    surrogate_seed: int
    craft_seed: int

    surrogate_keys: tuple[str, ...]
    protected_key: str
    protected_sha256: str | None = None
    train_sha256: str
    test_sha256: str
    protected_fraction: float = Field(1.0, allow_inf_nan=False)
    clean_images: int = 0
    protected_classes: int | None = Field(None, ge=1)
    classes: tuple[str, ...] | None = None
    n_train: int | None = None
    train_per_class: tuple[int, ...] | None = None
    test_per_class: tuple[int, ...] | None = None
    n_test_in_train: int | None = None

    status: Literal["done", "failed"]
    reason: str | None = None
    test_acc: float | None = None
    peak_acc: float | None = None
    train_acc: float | None = None
    relabelled_acc: float | None = None
    test_acc_per_class: tuple[float | None, ...] | None = None
    n_test: int | None = None
    epochs: int | None = None

    linf_levels: int | None = None
    l2: float | None = None
    l0: int | None = None
    psnr: float | None = None
    ssim: float | None = None

    craft_passes: float | None = None
    craft_seconds: float | None = None
    surrogate_seconds: float | None = None
    train_seconds: float | None = None
    peak_memory_mb: float | None = None

    version: str
    git_sha: str | None = None
    dirty: bool | None = None
    started: str
    torch: str
    device: str
    precision: str
    deterministic: bool
    compiled: bool = False
    rounded_checkpoints: bool = False
    host_cores: int
    threads: int | None = None
    processor: str | None = None
    crafted_on: str | None = None
    plugins: dict[str, dict[str, Any]] | None = None

    @model_validator(mode="after")
    def _can_be_shown(self, info: ValidationInfo) -> "Record":
        """Refuse, of a record from outside, what no run writes and no table can show."""
        for name, value in self if info.context is _FROM_OUTSIDE else ():
            odd = next((one for one in leaves_of(value) if not _is_shown(one)), None)
            if isinstance(odd, float):
                beyond = f"{odd:g}, beyond all that is measured" if math.isfinite(odd) else "not a finite number"
                raise ValueError(f"{name} is {beyond}")
            if odd is not None and name != "reason":  # sentences of errors may have lines
                raise ValueError(f"{name} holds what cannot be printed, {odd!a}")
            if name == "plugins" and any(
                type(one.get(field)) is not str for one in (value or {}).values() for field in _PLUGIN
            ):
                raise ValueError(f"plugins lacks {' or '.join(_PLUGIN)} of one")
        return self

    @property
    def method_defaults(self) -> dict[str, Any] | None:
        """Defaults of the method's parameters where it did not come with sepbench, None where it did."""
        told: dict[str, Any] = (self.plugins or {}).get(f"method {self.method}", {})
        return told.get("defaults")

    @property
    def identity(self) -> tuple[str, str | None, tuple[str, ...]]:
        """What tells the record from others of the experiment: the same victim may stand in several variants."""
        return self.key, self.profile, self.overrides

    def to_json(self) -> str:
        """Return the record as one JSON document with a trailing newline."""
        # Fields that came later than the first records.
        later = {
            "brought": False,
            "protected_classes": None,
            "compiled": False,
            "rounded_checkpoints": False,
            "threads": None,
            "processor": None,
            "crafted_on": None,
            "plugins": None,
            **dict.fromkeys(DATA_FIELDS),
        }
        unset = {name for name, default in later.items() if getattr(self, name) == default}
        return json.dumps(self.model_dump(mode="json", exclude=unset), indent=1) + "\n"


def read_records(folder: Path) -> list[Record]:
    """Read every record below `folder`, in the order of their paths.

    Raises `SepbenchError` where the folder is missing, or names what cannot be read or is no valid record.
    """
    if not folder.is_dir():
        raise SepbenchError(f"no records at {folder}: the folder does not exist")
    return [read_record(path) for path in record_files(folder)]


def record_files(folder: Path) -> list[Path]:
    """Return the files below `folder` that should be records, sorted; what is hidden is some program's own.

    Raises `SepbenchError` that names what cannot be looked into.
    """

    def refuse(error: OSError) -> None:  # which Path.rglob would pass over
        raise SepbenchError(
            f"{error.filename} cannot be read ({error.strerror}): make it readable or remove it"
        ) from error

    found = (Path(below) / name for below, _, names in os.walk(folder, onerror=refuse) for name in names)
    records = (path for path in found if path.suffix == ".json")
    return sorted(path for path in records if not any(part[:1] == "." for part in path.relative_to(folder).parts))


def read_record(path: Path) -> Record:
    """Read one record; raises `SepbenchError` that names the file and the field."""
    try:
        return record_of(bytes_of(path, _LARGEST, "a record"))
    except OSError as error:
        raise SepbenchError(f"{path} cannot be read ({error.strerror}): make it readable or remove it") from error
    except ValidationError as error:
        raise SepbenchError(f"{path} is not a valid record: {trouble(error)}: repair or remove it") from error


def record_of(document: bytes | str) -> Record:
    """Return the record that a JSON document is; raises `ValidationError` where it is none."""
    return Record.model_validate_json(document, context=_FROM_OUTSIDE)


def _is_shown(leaf: Any) -> bool:
    return is_printable(leaf) if isinstance(leaf, str) else abs(leaf) <= _MOST


def trouble(error: ValidationError) -> str:
    """Return what keeps a document from being a record."""
    mistake = first_mistake(error)
    clause = describe(mistake, list(Record.model_fields), in_yaml=False)
    return ": ".join([".".join(map(str, mistake["loc"])), clause] if mistake["loc"] else [clause])
