"""What methods, defenses and data sets have in common: a name, a version, a citation, validated parameters."""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class Params(BaseModel):
    """Parameters of a plug-in: frozen, strict, unknown names refused. Subclass it and declare fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Plugin:
    """Base of the plug-ins that take parameters.

    The first line of a subclass's docstring is what `sepbench ls` prints. `version` is bumped when the output
    for the same input changes: it is part of every key that depends on the plug-in.
    """

    Params: ClassVar[type[Params]] = Params
    cite: ClassVar[str | None] = None
    version: ClassVar[int] = 1
    name: ClassVar[str]

    def __init__(self, params: Any = None) -> None:
        self.params: Any = self.Params() if params is None else params
