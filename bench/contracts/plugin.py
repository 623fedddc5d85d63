"""What methods, defenses and data sets have in common: a name, a version, a citation, validated parameters."""

from typing import Any, ClassVar, Generic, cast, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from typing_extensions import TypeVar  # of typing from Python 3.13 on


class Params(BaseModel):
    """Parameters of a plug-in: frozen, strict, finite, unknown names refused. Subclass it and declare fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def default_values(params: type[Params]) -> dict[str, Any]:
    """Return the default of each parameter that has one, as JSON."""
    fields = {name: info for name, info in params.model_fields.items() if not info.is_required()}
    defaults = {name: info.get_default(call_default_factory=True) for name, info in fields.items()}
    made = params.model_construct(set(defaults), **defaults)
    written: dict[str, Any] = made.model_dump(mode="json", include=set(defaults))
    return written


P_co = TypeVar("P_co", bound=Params, default=Params, covariant=True)


class Plugin(Generic[P_co]):
    """Base of the plug-ins that take parameters.

    A plug-in names the class of its parameters in brackets, as in `class SEP(Method[SEPParams])`, and finds them,
    validated, in `self.params`; without brackets it has none. The first line of its docstring is what `sepbench ls`
    prints. `version` is bumped when the output for the same input changes: it is part of every key that depends on the
    plug-in.

    Attributes
    ----------
    Params
        The class in brackets; one that is set in the body of the class takes its place.
    params
        What the plug-in is to do.

    """

    Params: ClassVar[type[Params]] = Params
    cite: ClassVar[str | None] = None
    version: ClassVar[int] = 1
    name: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "Params" not in vars(cls):
            arguments = [argument for base in vars(cls).get("__orig_bases__", ()) for argument in get_args(base)]
            named = [one for one in arguments if isinstance(one, type) and issubclass(one, Params)]
            if named:
                cls.Params = named[0]

    def __init__(self, params: P_co | None = None) -> None:
        self.params: P_co = cast(P_co, self.Params()) if params is None else params


def breach_of(kind: object, base: type[Plugin[Any]]) -> str | None:
    """Return how a class breaks what every plug-in made of `base` promises, None where it does not."""
    if not (isinstance(kind, type) and issubclass(kind, base)):
        return f"it is no class made of bench.api.{base.__name__}"
    missing: frozenset[str] = getattr(kind, "__abstractmethods__", frozenset())
    if missing:
        return f"it does not define {' and '.join(sorted(missing))}"
    if not (isinstance(kind.Params, type) and issubclass(kind.Params, Params)):
        return "its Params is no class made of bench.api.Params"
    if type(kind.version) is not int:
        return f"its version is {kind.version!r}, not a whole number"
    if not isinstance(kind.cite, str | None):
        return f"its cite is {kind.cite!r}, not the key of a reference"
    try:
        kind.Params().model_dump(mode="json")
    except ValidationError:
        pass  # a parameter without a default: who leaves it out is told so
    except Exception as error:
        return f"its parameters cannot be made ({type(error).__name__}: {' '.join(str(error).split())})"
    return None
