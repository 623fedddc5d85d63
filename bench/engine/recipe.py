"""How networks are trained: named files in bench/recipes, never mixed within one table."""

import math
from collections.abc import Iterator
from importlib.resources import files
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, model_validator

from bench.contracts.augment import Augmentation
from bench.contracts.plugin import Params
from bench.core.errors import FieldError
from bench.core.registry import UnknownName
from bench.core.shipped import shipped

_LARGEST = 3.4e38  # that float32, in which networks train, can hold


class Steps(Params):
    """Multiply the rate by `factor` at the start of each epoch in `at`."""

    kind: Literal["steps"] = "steps"
    at: Annotated[tuple[int, ...], Field(strict=False)]
    factor: float = 0.1

    def scale(self, epoch: float, epochs: int) -> float:
        """Return the factor on the peak rate at a (fractional) epoch."""
        return self.factor ** sum(epoch >= milestone for milestone in self.at)


class Cosine(Params):
    """Anneal the rate to zero along half a cosine."""

    kind: Literal["cosine"] = "cosine"

    def scale(self, epoch: float, epochs: int) -> float:
        """Return the factor on the peak rate at a (fractional) epoch."""
        return 0.5 * (1 + math.cos(math.pi * epoch / epochs))


class OneCycle(Params):
    """Rise linearly from zero during the first `rise` of the run, then fall linearly to zero."""

    kind: Literal["one-cycle"] = "one-cycle"
    rise: float = Field(0.3, gt=0, lt=1)

    def scale(self, epoch: float, epochs: int) -> float:
        """Return the factor on the peak rate at a (fractional) epoch."""
        done = epoch / epochs
        return done / self.rise if done < self.rise else (1 - done) / (1 - self.rise)


class Recipe(Params):
    """SGD on cross-entropy, as one named protocol of the field.

    Attributes
    ----------
    name
        The file's name; with changed fields they are part of it, as in `sep-2023[epochs=5]`.
    batch_size
        Images a step; what is left at the end of an epoch is a batch of its own, but for a single image, which joins
        the batch before.
    lr
        Peak learning rate.
    warmup_epochs, warmup_from
        The rate rises linearly per batch from `warmup_from` to `lr` during these first epochs.
    normalise
        Whether the network subtracts the mean and divides by the standard deviation of each channel of its own
        training images.
    clip_gradient
        Largest norm of the whole gradient; None does not clip.
    precision
        Of matrix products while networks train and are judged: fp32, bf16 (autocast), or auto, which is bf16 on GPUs
        that have it and fp32 elsewhere. With auto the device decides, and is no part of any key.

    """

    name: str
    source: str
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    lr: float = Field(gt=0, le=_LARGEST)
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(5e-4, ge=0, le=_LARGEST)
    nesterov: bool = False
    schedule: Annotated[Steps | Cosine | OneCycle, Field(discriminator="kind")]
    warmup_epochs: int = Field(0, ge=0)
    warmup_from: float = Field(0.0, ge=0, le=_LARGEST)
    augmentation: Augmentation = Augmentation()
    normalise: bool = True
    clip_gradient: float | None = Field(None, gt=0)
    precision: Literal["auto", "fp32", "bf16"] = "auto"

    @model_validator(mode="before")
    @classmethod
    def _from_file(cls, value: Any) -> Any:
        """Accept `sep-2023`, or `{name: sep-2023, epochs: 5}` as that file with fields changed."""
        if isinstance(value, str):
            return _read(value)
        if not isinstance(value, dict) or "source" in value or "name" not in value:
            return value
        try:
            base = _read(value["name"])
        except UnknownName as error:
            raise FieldError(("name",), str(error)) from error
        changed = _changed(base, value)
        differences = ",".join(_differences(base, changed))
        return {**changed, "name": f"{base['name']}[{differences}]"} if differences else base

    def rate(self, step: int, steps_per_epoch: int) -> float:
        """Return the learning rate of the 0-based batch `step`."""
        epoch = step / steps_per_epoch
        if epoch < self.warmup_epochs:
            return self.warmup_from + (self.lr - self.warmup_from) * epoch / self.warmup_epochs
        # The one-cycle triangle is sampled mid-batch, so that neither the first nor the last batch has rate zero.
        if self.schedule.kind == "one-cycle":
            epoch += 0.5 / steps_per_epoch
        return self.lr * self.schedule.scale(epoch, self.epochs)

    def training_fields(self) -> dict[str, Any]:
        """Return what decides the result: every field but the name and the source."""
        fields = self.model_dump(mode="json", exclude={"name", "source"})
        # Named only where they are set, as they came later than the first results.
        if self.precision == "auto":
            del fields["precision"]
        if self.augmentation.resized_crop is None:
            del fields["augmentation"]["resized_crop"]
        return fields


def recipe_names() -> list[str]:
    """Return the names of the shipped recipes."""
    return shipped("bench.recipes")


def _read(name: Any) -> dict[str, Any]:
    if not isinstance(name, str) or name not in recipe_names():
        raise UnknownName("recipe", str(name), recipe_names())
    fields = yaml.safe_load((files("bench.recipes") / f"{name}.yaml").read_text(encoding="utf-8"))
    return {"name": name, **fields}


def _changed(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return the fields with changes; of a schedule or an augmentation only the fields that are given change."""
    return base | {
        field: _changed(base[field], new) if _is_part(base.get(field), new) else new for field, new in changes.items()
    }


def _differences(base: dict[str, Any], changed: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for field, new in sorted(changed.items(), key=str):
        if _is_part(base.get(field), new):
            yield from _differences(base[field], new, f"{prefix}{field}.")
        elif field not in base or base[field] != new:
            yield f"{prefix}{field}={_short(new)}"


def _is_part(old: Any, new: Any) -> bool:
    """Tell whether a mapping changes fields of another, rather than being another kind of schedule."""
    both = isinstance(old, dict) and isinstance(new, dict)
    return both and new.get("kind", old.get("kind")) == old.get("kind")


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_short(item)}" for key, item in value.items()) + "}"
    return str(value).replace(" ", "")
