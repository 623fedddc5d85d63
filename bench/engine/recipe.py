"""How networks are trained: named files in bench/recipes, never mixed within one table."""

import math
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, model_validator

from bench.contracts.augment import Augmentation
from bench.contracts.normalisation import CONSTANTS, Constants, Normalisation
from bench.contracts.plugin import Params
from bench.core.errors import FieldError
from bench.core.registry import UnknownName
from bench.core.shipped import shipped

_LARGEST = 3.4e38  # that float32, in which networks train, can hold
_WARMUP_VERSION = 2
"""Bumped when the rates of the same warm-up change; part of the keys of recipes that have one."""


class Steps(Params):
    """Multiply the rate by `factor` at the start of each epoch in `at`.

    Examples
    --------
    >>> Steps(at=(10, 15)).scale(12, epochs=20)
    0.1

    """

    kind: Literal["steps"] = "steps"
    at: Annotated[tuple[int, ...], Field(strict=False)]
    factor: float = 0.1

    def scale(self, epoch: float, epochs: int) -> float:
        """Return the factor on the peak rate at a (fractional) epoch."""
        return self.factor ** sum(epoch >= milestone for milestone in self.at)


class Cosine(Params):
    """Anneal the rate along half a cosine, to zero or to a `final` share of the peak.

    Set once an epoch, it keeps to the value of the epoch's start, and so does a warm-up before it, which ends at the
    peak in its last epoch. The cosine is of all epochs, the first ones being the warm-up's, or, `after_warmup`, of
    those that follow, and begins at the peak.

    Examples
    --------
    >>> Cosine().scale(0, epochs=20), Cosine(each="epoch").scale(19.9, epochs=20) == Cosine().scale(19, epochs=20)
    (1.0, True)

    """

    kind: Literal["cosine"] = "cosine"
    each: Literal["batch", "epoch"] = "batch"
    final: float = Field(0.0, ge=0, le=1)
    after_warmup: bool = False

    def scale(self, epoch: float, epochs: int) -> float:
        """Return the factor on the peak rate at a (fractional) epoch."""
        if self.each == "epoch":
            epoch = math.floor(epoch)
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * epoch / epochs))


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
        The rate rises linearly per batch during these first epochs, from one step above `warmup_from` in the first
        batch to `lr` in the last one; or once an epoch, where the schedule is set so.
    augment_protected
        Whether victims augment protected images like all others. Where only some classes are protected, the released
        scripts of SEP feed these as stored and augment the others alone; but an appropriator cannot tell them apart
        and augments what it trains on, so that it is true by default.
    normalise
        Whether the network subtracts a mean from each channel and divides it by a standard deviation.
    normalisation
        Which these are: `measured` on the network's own training images, as defenses leave them, or fixed: a name in
        `CONSTANTS`, or a mean and a standard deviation for each channel. Scripts of papers fix them; measured ones fit
        any data set and any defense.
    clip_gradient
        Largest norm of the whole gradient; None does not clip.
    precision
        Of matrix products while networks train and are judged: fp32, bf16 (autocast), or auto, which is bf16 on GPUs
        that have it and fp32 elsewhere. With auto the device decides, and is no part of any key. Of fp32 on a GPU whose
        convolutions round to TF32, as torch lets them, records say tf32.

    Examples
    --------
    >>> recipe = Recipe(name="own", source="-", epochs=10, batch_size=128, lr=0.1, schedule=Cosine())
    >>> recipe.rate(step=0, steps_per_epoch=40)
    0.1

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
    augment_protected: bool = True
    normalise: bool = True
    normalisation: Normalisation = "measured"
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

    @model_validator(mode="after")
    def _normalises_with_what_is_given(self) -> "Recipe":
        if not self.normalise and self.normalisation != "measured":
            raise ValueError("normalisation is given, but normalise is false: set it to true or leave the other out")
        return self

    def changed(self, fields: Mapping[str, Any]) -> "Recipe":
        """Return it with some fields changed, as part of its name; raises `ValidationError` where they cannot be."""
        old = self.model_dump()
        new = _changed(old, dict(fields))
        differences = ",".join(_differences(old, new))
        return Recipe.model_validate({**new, "name": f"{self.name}[{differences}]"}) if differences else self

    def rate(self, step: int, steps_per_epoch: int) -> float:
        """Return the learning rate of the 0-based batch `step`."""
        epoch = step / steps_per_epoch
        if epoch < self.warmup_epochs:
            last = step if self._each == "batch" else (step // steps_per_epoch + 1) * steps_per_epoch - 1
            risen = (last + 1) / (self.warmup_epochs * steps_per_epoch)
            return self.warmup_from + (self.lr - self.warmup_from) * risen
        # The one-cycle triangle is sampled mid-batch, so that neither the first nor the last batch has rate zero.
        if self.schedule.kind == "one-cycle":
            epoch += 0.5 / steps_per_epoch
        begins = self.warmup_epochs if self.schedule.kind == "cosine" and self.schedule.after_warmup else 0
        return self.lr * self.schedule.scale(epoch - begins, self.epochs - begins)

    @property
    def _each(self) -> Literal["batch", "epoch"]:
        """How often the rate is set."""
        return self.schedule.each if self.schedule.kind == "cosine" else "batch"

    @property
    def constants(self) -> Constants | None:
        """What networks normalise with, where that is fixed."""
        if self.normalisation == "measured":
            return None
        return CONSTANTS[self.normalisation] if isinstance(self.normalisation, str) else self.normalisation

    def training_fields(self) -> dict[str, Any]:
        """Return what decides a result: every field but the name, the source, and what is of some victims alone."""
        fields = self.model_dump(mode="json", exclude={"name", "source", "augment_protected", "normalisation"})
        # Named only where they are set, as they came later than the first results.
        if self.precision == "auto":
            del fields["precision"]
        if self.augmentation.resized_crop is None:
            del fields["augmentation"]["resized_crop"]
        if self.schedule.kind == "cosine" and self.schedule.each == "batch":
            del fields["schedule"]["each"]
        if self.schedule.kind == "cosine" and not self.schedule.final:
            del fields["schedule"]["final"]
        if self.schedule.kind == "cosine" and not self.schedule.after_warmup:
            del fields["schedule"]["after_warmup"]
        if self.constants is not None:
            fields["normalisation"] = self.constants.model_dump(mode="json")
        if self.warmup_epochs:
            fields["warmup_version"] = _WARMUP_VERSION
            if self._each == "epoch":
                fields["warmup_each"] = "epoch"
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
