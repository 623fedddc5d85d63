"""The contract of a training defense, and the chain that `+` makes of several."""

from collections.abc import Callable, Sequence
from copy import copy
from functools import cached_property
from pathlib import Path
from string import Formatter
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bench.contracts import places, promises
from bench.contracts.augment import Augmentation
from bench.contracts.plugin import P_co, Plugin, breach_of
from bench.core.errors import SepbenchError
from bench.core.paths import content_digest, expand_variables, is_there
from bench.core.registry import Registry
from bench.core.validation import shown

Loss = Callable[[nn.Module, Tensor, Tensor, torch.Generator], Tensor]
"""network, images [B, 3, H, W] in [0, 1], targets ([B] classes or [B, C] probabilities), generator -> scalar."""


class Defense(Plugin[P_co]):
    """What an appropriator does while training on a release; every hook does nothing unless overridden.

    `words` say what it is to somebody who has never heard its name, with its parameters in braces, as in
    `JPEG compression at quality {quality}`. `short` names the parameter that `name-VALUE` fills, as `quality` in
    `jpeg-10`. `files` names parameters that only
    say where a file or folder of files lies: results depend on what is in it, and no record or table shows the path.
    `copies` names one that says where a folder lies with what another tool has made of training sets, each under the
    name that `sepbench export` gives it: a result depends on `own_copy` alone, whatever lies beside it. A defense reads
    them in `dataset` or `network`; where they are not what the key of the result names, its cell fails.
    `innermost` is for a defense that takes the loss apart, image by image: it stands last in a chain.
    """

    words: ClassVar[str | None] = None
    short: ClassVar[str | None] = None
    files: ClassVar[tuple[str, ...]] = ()
    copies: ClassVar[str | None] = None
    innermost: ClassVar[bool] = False

    classes: int
    """Number of classes, set before any hook is called."""
    training_set: str = "unnamed"
    """What `sepbench export` calls the training set, set before any hook is called."""

    def described(self) -> str:
        """Return `words` with the values of its parameters; the name where it has none."""
        return self.name if self.words is None else self.words.format_map(self.params.model_dump())

    def path(self, parameter: str) -> Path:
        """Return the file or folder that a parameter in `files`, or `copies`, names; `~` and `${NAME}` are expanded.

        Raises `SepbenchError` where a variable is not set, or nothing is there.
        """
        field = f"{self.name}: {parameter}"
        written = getattr(self.params, parameter)
        advice = f"set it, or write the defense as {{{self.name}: {{{parameter}: PATH}}}}"
        path = Path(expand_variables(field, written, advice))
        if not is_there(path):
            raise SepbenchError(f"{field}: there is no {path}: check the path")
        return path

    def own_copy(self) -> Path:
        """Return where the copy of this training set lies, or is to lie, in the folder that `copies` names."""
        assert self.copies is not None
        return self.path(self.copies) / f"{self.training_set}.npz"

    @property
    def places(self) -> set[str]:
        """The parameters that only say where something lies."""
        return {*self.files, *([self.copies] if self.copies else [])}

    def reads(self) -> list[Path]:
        """Return the files and folders whose content decides the result; a copy may not be there yet."""
        return [*map(self.path, self.files), *([self.own_copy()] if self.copies else [])]

    def dataset(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Change the training images, uint8 [N, 3, H, W], once before training."""
        return images

    def augmentation(self, augmentation: Augmentation) -> Augmentation:
        """Change the recipe's augmentation."""
        return augmentation

    def batch(self, x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Change an augmented batch, float [B, 3, H, W] in [0, 1], and its targets, [B] or [B, C]."""
        return x, y

    def loss(self, loss: Loss, epoch: int) -> Loss:
        """Wrap the loss of a 0-based epoch."""
        return loss

    def optimizer(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """Wrap or replace the optimizer."""
        return optimizer

    def network(self, network: nn.Module) -> nn.Module:
        """Wrap or replace the network, freshly initialised."""
        return network

    def judged_epoch(self, test_acc: Sequence[float]) -> int:
        """Return the 0-based epoch whose network is judged, given the test accuracies (percent) of all so far."""
        return len(test_acc) - 1

    def extra_passes(self) -> float:
        """Return what a pass over the training set costs besides itself, in forward+backward passes, at most."""
        return 0


def _breach(kind: type[Defense]) -> str | None:
    breach = breach_of(kind, Defense)
    if breach is not None:
        return breach
    if not isinstance(kind.files, tuple | list):
        return f"its files are {kind.files!r}, not a tuple of parameters"
    for name in (*kind.files, *(name for name in (kind.short, kind.copies) if name is not None)):
        if name not in kind.Params.model_fields:
            return f"it names a parameter {name!r}, which it does not have"
    return _wordless(kind)


def _wordless(kind: type[Defense]) -> str | None:
    """Return what keeps the words of a defense from being filled in."""
    if not isinstance(kind.words, str | None):
        return f"its words are {kind.words!r}, not text"
    try:
        fields = [field for _, field, _, _ in Formatter().parse(kind.words or "") if field is not None]
    except ValueError as error:
        return f"its words are {kind.words!r}: {error}"
    unknown = [field for field in fields if field not in kind.Params.model_fields]
    return f"its words name a parameter {unknown[0]!r}, which it does not have" if unknown else None


DEFENSES: Registry[type[Defense]] = Registry.at(places.DEFENSES, _breach)


class Defenses(Defense):
    """A chain of defenses, applied from left to right.

    Attributes
    ----------
    contents
        Digests of what the chain reads as `on` found it, None for what was not there; None before.

    """

    def __init__(self, chain: Sequence[Defense]) -> None:
        super().__init__()
        self.chain = tuple(chain)
        self.contents: tuple[str | None, ...] | None = None
        for part in self.chain[:-1]:
            if part.innermost:
                raise SepbenchError(f"{part.name} takes the loss apart image by image: write it last in '{self}'")
        changes = [part for part in self.chain if type(part).dataset is not Defense.dataset]
        for part in changes[1:]:
            if part.copies:
                raise SepbenchError(
                    f"{part.name} takes its images from a file, whatever {changes[0].name} made of them before: write "
                    f"{part.name} first in '{self}'"
                )

    @classmethod
    def parse(cls, value: Any) -> "Defenses":
        """Read a name (`cutmix`), its short form (`jpeg-10`), `name:field=value,field=value`, a mapping
        (`{jpeg: {quality: 10}}`), several of the written forms joined by `+`, or a list of mappings.

        Raises `UnknownName` or `SepbenchError`, or pydantic's ValidationError for a bad parameter.
        """
        if isinstance(value, str):
            return cls([_parse_one(part.strip()) for part in value.split("+")])
        if isinstance(value, dict) and len(value) == 1:
            name, params = next(iter(value.items()))
            kind = DEFENSES.get(name)
            return cls([kind(kind.Params.model_validate(params or {}))])
        if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            return cls([part for one in value for part in cls.parse(one).chain])
        raise SepbenchError(
            f"{shown(value)} is not a defense: write its name, or one name with a mapping of parameters"
        )

    def written(self) -> list[dict[str, Any]]:
        """Return the chain as `parse` reads it, with every parameter, paths included."""
        return [{part.name: part.params.model_dump(mode="json")} for part in self.chain]

    def __str__(self) -> str:
        return self._written

    @cached_property
    def _written(self) -> str:
        return "+".join(_write_one(defense) for defense in self.chain)

    def described(self) -> str:
        """Return what the parts are, in the order in which they are applied."""
        return ", then ".join(part.described() for part in self.chain)

    @property
    def reads_copies(self) -> bool:
        """Whether a result depends on a copy of its training set that another tool has made."""
        return any(part.copies for part in self.chain)

    def on(self, training_set: str, digest: Callable[[Path], str] = content_digest) -> "Defenses":
        """Return the chain for victims of one training set; what it reads then has to stay what it is now.

        Raises `SepbenchError` where a file that a defense reads is missing, but for copies, which may be made later.
        """
        met = Defenses([copy(part) if part.copies else part for part in self.chain])
        for part in met.chain:
            if part.copies:
                part.training_set = training_set
        met.contents = _contents(met.reads(), digest)
        return met

    def identity(self) -> list[dict[str, Any]]:
        """Return what decides the result of the chain, as JSON.

        Raises `SepbenchError` where a file that a defense reads is missing.
        """
        contents = iter(_contents(self.reads(), content_digest) if self.contents is None else self.contents)
        return [
            {
                "name": part.name,
                "version": part.version,
                "params": part.params.model_dump(mode="json", exclude=part.places),
            }
            | ({"files": [next(contents) for _ in part.reads()]} if part.places else {})
            for part in self.chain
        ]

    def check_files(self) -> None:
        """Raise `SepbenchError` where a file that a defense reads is missing, but for copies."""
        self.reads()

    def reads(self) -> list[Path]:
        """Return what every part reads."""
        return [path for part in self.chain for path in part.reads()]

    def _check_unchanged(self) -> None:
        if self.contents is None:
            return
        paths = self.reads()
        for path, before, now in zip(paths, self.contents, _contents(paths, content_digest), strict=True):
            if now != before:
                raise SepbenchError(f"{path} changed after the plan was made: run the same command again")

    def dataset(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Apply every `dataset` hook."""
        for part in self.chain:
            if type(part).dataset is not Defense.dataset:
                images = _changed(part, images, labels, generator)
        self._check_unchanged()
        return images

    def augmentation(self, augmentation: Augmentation) -> Augmentation:
        """Apply every `augmentation` hook."""
        for part in self.chain:
            augmentation = promises.check_augmentation(part.name, part.augmentation(augmentation))
        return augmentation

    def batch(self, x: Tensor, y: Tensor, generator: torch.Generator, *, look: bool = False) -> tuple[Tensor, Tensor]:
        """Apply every `batch` hook; `look` also at the values that each returns."""
        for part in self.chain:
            if type(part).batch is not Defense.batch:
                changed = part.batch(x, y, generator)
                x, y = promises.check_batch(part.name, x, changed, getattr(part, "classes", None), values=look)
        return x, y

    def loss(self, loss: Loss, epoch: int) -> Loss:
        """Wrap the loss by every part; the leftmost sees the batch first."""
        for part in reversed(self.chain):
            loss = part.loss(loss, epoch)
        return loss

    def optimizer(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """Apply every `optimizer` hook."""
        for part in self.chain:
            optimizer = promises.check_optimizer(part.name, part.optimizer(optimizer))
        return optimizer

    def network(self, network: nn.Module) -> nn.Module:
        """Apply every `network` hook."""
        for part in self.chain:
            network = promises.check_network(part.name, part.network(network))
        self._check_unchanged()
        return network

    def judged_epoch(self, test_acc: Sequence[float]) -> int:
        """Return the epoch that the last part to choose one chooses."""
        last = len(test_acc) - 1
        chosen = (
            promises.check_epoch(part.name, part.judged_epoch(test_acc), len(test_acc)) for part in reversed(self.chain)
        )
        return next((epoch for epoch in chosen if epoch != last), last)

    @property
    def with_losses(self) -> str:
        """The names of the parts that change the loss, as a chain is written; empty where none does."""
        return "+".join(part.name for part in self.chain if type(part).loss is not Defense.loss)

    def extra_passes(self) -> float:
        """Return the sum over the parts."""
        return sum(part.extra_passes() for part in self.chain)


def _changed(part: Defense, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
    # A copy: the labels are those of the clean data, which every other victim of this process learns, too.
    given, version = labels.clone(), None if images.is_inference() else images._version
    changed = part.dataset(images, given, generator)
    overwritten = (version is not None and images._version != version) or not torch.equal(given, labels)
    promises.check_dataset(part.name, images, changed, overwritten=overwritten)
    return changed


def _contents(paths: Sequence[Path], digest: Callable[[Path], str]) -> tuple[str | None, ...]:
    """Return the digest of each file or folder, None where there is none."""
    return tuple(digest(path) if is_there(path) else None for path in paths)


def _parse_one(text: str) -> Defense:
    name, _, written = text.partition(":")
    if written:
        kind = DEFENSES.get(name)
        pairs = [pair.partition("=") for pair in written.split(",")]
        if not all(equals and field for field, equals, _ in pairs):
            raise SepbenchError(f"'{text}' is not a defense: parameters are written name:field=value,field=value")
        return kind(_from_text(kind, {field: value for field, _, value in pairs}))
    if name not in DEFENSES:
        stem, dash, value = name.rpartition("-")
        if dash and stem in DEFENSES and (short := DEFENSES.get(stem).short):
            kind = DEFENSES.get(stem)
            return kind(_from_text(kind, {short: value}))
    kind = DEFENSES.get(name)
    return kind()


def _from_text(kind: type[Defense], fields: dict[str, str]) -> Any:
    # Numbers written in text are read as their field's type; everywhere else parameters are strict.
    return kind.Params.model_validate(fields, strict=False)


def _write_one(defense: Defense) -> str:
    changed = {
        field: value
        for field, value in defense.params.model_dump(mode="json", exclude=defense.places).items()
        if value != type(defense.params).model_fields[field].get_default(call_default_factory=True)
        or field == defense.short
    }
    if defense.short is not None and list(changed) == [defense.short]:
        return f"{defense.name}-{changed[defense.short]}"
    written = ",".join(f"{field}={value}" for field, value in changed.items())
    return f"{defense.name}:{written}" if written else defense.name
